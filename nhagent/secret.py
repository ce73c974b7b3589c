"""Secrets that no ``repr`` shows, errors whose frames hold none, and the shapes by which secrets are told.

A key or a token is text only where it is used. On its way it is held by a `Secret`, and an error that leaves
nhagent through `NO_LOCALS` takes no variable of a frame along: error trackers print those.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Final, Generic, NoReturn, ParamSpec, Self, TypeVar

    _P = ParamSpec("_P")
    _T = TypeVar("_T")
else:
    Generic = dict.fromkeys("_", object)  # an unchanged start does not import typing
    _T = "_"

_SHOWN: Final = "<secret>"
_PACKAGES: Final = frozenset({"nhagent", "requests", "urllib3", "http", "ssl", "socket", "json", "keyring"})
"""Packages whose finished frames are emptied: the app's own frames are the app's."""
_KEY_CHARACTERS: Final = 44
"""Length of an access key: 32 bytes in base64."""
_IN_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_CODED: Final = (
    ("%25", "%"), ("%25", "%"), ("%3d", "="), ("%3a", ":"), ("%20", " "), ("+", " "), ("%26", "&"),
    ("&amp;", "&"), ("&#61;", "="), ("&#x3d;", "="), ("&#58;", ":"), ("&quot;", '"'), ("\\u003d", "="),
)  # fmt: skip
"""How the characters beside a key are coded, and what each stands for; in lower case."""
_BETWEEN: Final = " \t\r\n\"'\\"
"""What may stand between a name and the sign before its value."""
_MOST_BETWEEN: Final = 64


class Secret(Generic[_T]):
    """Something that must not be shown: no ``repr``, ``str``, ``format`` or pickle of it tells what it is.

    Args:
        value: what is held; a secret's is taken out of it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: _T | Secret[_T]) -> None:
        self._value: _T = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> _T:
        """Give what is held, to be used at once: in a variable a traceback would show it."""
        return self._value

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, how: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


class HiddenCallable:
    """A callable of the app's own, such as a `functools.partial`, whose ``repr`` may hold a key.

    Args:
        call: the callable.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = Secret(call)

    def __call__(self) -> Any:
        return self._call.reveal()()

    def __repr__(self) -> str:
        return "<token callable>"

    def reveal_call(self) -> Callable[[], Any]:
        """Give the callable itself, to be looked at."""
        return self._call.reveal()

    def check(self, check: Callable[[object], object]) -> None:
        """Let somebody look at the callable itself."""
        check(self._call.reveal())


def hidden(credential: object) -> Any:
    """Hide what an app gives as a credential.

    Args:
        credential: text, a callable, None, or what hides itself already.

    Returns:
        A `Secret`, a `HiddenCallable`, or what was given.
    """
    if credential is None or isinstance(credential, Secret | HiddenCallable):
        return credential
    if callable(credential):
        return HiddenCallable(credential)
    # A connection string that was parsed hides itself. It is known by its name: its module is above this one.
    return credential if type(credential).__name__ == "ConnectionString" else Secret(credential)


class _NoLocals:
    """While it is entered, an error that leaves takes no variables along; see `without_locals`."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            without_locals(error)


NO_LOCALS: Final = _NoLocals()


def hiding_arguments(call: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a function whose arguments no traceback of its errors may show."""
    from functools import wraps

    @wraps(call)
    def hiding(*values: _P.args, **named: _P.kwargs) -> _T:
        try:
            return call(*values, **named)
        except BaseException as error:
            del values, named  # this frame is still running, and would keep them
            without_locals(error)
            raise

    return hiding


def without_locals(error: BaseException) -> None:
    """Empty the finished frames of an error, and of what led to it; drop what was not to be shown with it.

    Frames keep their places and lines. What ``raise … from None`` suppresses is let go of: the exceptions of
    requests and urllib3 hold the request, with its token and its push channels.

    Args:
        error: as it was caught.
    """
    left, seen = [error], set[int]()
    while left:
        current = left.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.__suppress_context__ and current.__cause__ is None:
            current.__context__ = None
        trace = current.__traceback__
        while trace is not None:
            frame, trace = trace.tb_frame, trace.tb_next
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES:
                try:
                    frame.clear()
                except RuntimeError:  # it is still running
                    pass
        left += [led for led in (current.__cause__, current.__context__) if led is not None]


def holds_hub_secret(text: str) -> bool:
    """Tell whether text holds a connection string's key or a hub's SAS token, in any coding.

    A ``sig`` alone may be of the address of a picture, which may stand in a template.
    """
    plain = _decoded(text.casefold())
    return (
        _has_value(plain, "sharedaccesskey", "=:")
        or _has_value(plain, "sharedaccesssignature", " =:")
        or (_has_value(plain, "sig", "=") and _has_value(plain, "skn", "="))
    )


def holds_secret(text: str) -> bool:
    """Tell whether text holds a key, a token, or a signature alone, in any coding."""
    folded = text.casefold()
    return ("sig" in folded and _has_value(_decoded(folded), "sig", "=")) or (
        "sharedaccess" in folded and holds_hub_secret(text)
    )


def is_key(text: str) -> bool:
    """Tell whether text looks like an access key by itself. A digest in base64 looks the same."""
    text = text.strip()
    return (
        len(text) == _KEY_CHARACTERS
        and text.endswith("=")
        and _IN_BASE64.issuperset(text[:-1])
        and text.lower() != text != text.upper()
    )


def _decoded(folded: str) -> str:
    for code, character in _CODED:
        folded = folded.replace(code, character)
    return folded


def _has_value(text: str, name: str, signs: str) -> bool:
    """Tell whether a name has one of these signs after it; the text is passed once."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        rest = text[end : end + _MOST_BETWEEN]
        begins = name != "sig" or at == 0 or not (text[at - 1].isalnum() or text[at - 1] == "_")
        if begins and (rest.lstrip(_BETWEEN)[:1] or "\0") in signs:
            return True
        if begins and " " in signs and rest[:1].isspace():
            return True
        at = text.find(name, end)
    return False
