"""Frozen values with named fields, like frozen dataclasses, which cost next to nothing at import.

An unchanged start spends most of its time importing; making one frozen dataclass costs as much as importing
a small module, and ``dataclasses`` itself imports ``inspect``. A subclass of `Frozen`,
`Value` or `Validated` is written like a dataclass, is checked like one by type checkers, and is one to
`dataclasses.fields`, ``asdict`` and ``replace``, which are imported by whoever calls them.
"""

from __future__ import annotations

from nhagent.secret import without_locals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from inspect import Signature
    from typing import Any, ClassVar, NoReturn, ParamSpec, Self, TypeVar, dataclass_transform

    _P = ParamSpec("_P")
    _T = TypeVar("_T")
    _V = TypeVar("_V", bound="Validated")
    _Key = TypeVar("_Key")
    _Item = TypeVar("_Item")
else:

    def dataclass_transform(**_: object) -> object:
        """Mark, for type checkers alone, what behaves as a dataclass."""
        return lambda kind: kind


class _DataclassFields:
    """What `dataclasses` looks for on a class, made when it is looked for."""

    def __get__(self, instance: object, kind: type[Frozen]) -> Any:
        from dataclasses import MISSING, field, make_dataclass

        # Keyword-only, since fields of a subclass without a default may follow those with one.
        twin = make_dataclass(
            kind.__name__,
            [
                (name, annotation, field(default=default, repr=name not in kind._hidden))
                for name, annotation, default in _described(kind, MISSING)
            ],
            frozen=True,
            kw_only=True,
        )
        made = vars(twin)["__dataclass_fields__"]
        kind.__dataclass_fields__ = made  # type: ignore[attr-defined]
        return made


class _Signature:
    """What `inspect` and ``help`` look for on a class, made when it is looked for."""

    def __get__(self, instance: object, kind: type[Frozen]) -> Signature:
        from inspect import Parameter, Signature

        described = _described(kind, Parameter.empty)
        lacks_default = [default is Parameter.empty for _, _, default in described]
        in_order = lacks_default == sorted(lacks_default, reverse=True)
        how = Parameter.POSITIONAL_OR_KEYWORD if in_order else Parameter.KEYWORD_ONLY
        return Signature(
            [
                Parameter(name, how, default=default, annotation=annotation)
                for name, annotation, default in described
            ]
        )


def _described(kind: type[Frozen], no_default: object) -> list[tuple[str, str, Any]]:
    """Every field of a class: its name, its annotation, and its default or ``no_default``."""
    annotations: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        annotations |= vars(base).get("__annotations__", {})
    return [(name, annotations[name], kind._defaults.get(name, no_default)) for name in kind._fields]


@dataclass_transform(frozen_default=True)
class Frozen:
    """The base of frozen values: they hold whatever they are given.

    Annotated names of a subclass are its fields, in their order; a value assigned to one is its default.
    Those that begin with an underscore, or are annotated as ``ClassVar``, are not. ``_hidden`` names the
    fields that ``repr`` leaves out.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _names: ClassVar[frozenset[str]] = frozenset()
    _defaults: ClassVar[dict[str, Any]] = {}
    _hidden: ClassVar[frozenset[str]] = frozenset()
    if not TYPE_CHECKING:
        __signature__ = _Signature()

    def __init_subclass__(cls) -> None:
        own = tuple(
            name
            for name, kind in vars(cls).get("__annotations__", {}).items()
            if not name.startswith("_") and not kind.startswith("ClassVar")
        )
        cls._fields = (*cls._fields, *own)
        cls._names = frozenset(cls._fields)
        cls._defaults = {
            **cls._defaults,
            **{name: vars(cls)[name] for name in own if name in vars(cls)},
        }
        if not TYPE_CHECKING:  # a type checker knows both of every dataclass
            cls.__match_args__ = cls._fields
            cls.__dataclass_fields__ = _DataclassFields()  # one of its own, since it is replaced once made

    if not TYPE_CHECKING:  # a type checker makes its own of the fields

        def __init__(self, *values: Any, **named: Any) -> None:
            fields = self.__dict__
            fields.update(self._defaults)
            fields.update(zip(self._fields, values))  # noqa: B905 - one too many is refused below
            fields.update(named)
            if (
                fields.keys() != self._names
                or len(values) > len(self._fields)
                or (values and named and not named.keys().isdisjoint(self._fields[: len(values)]))
            ):
                self._refuse(values, named)

    def _refuse(self, values: tuple[Any, ...], named: dict[str, Any]) -> NoReturn:
        unknown = [name for name in named if name not in self._fields]
        missing = [name for name in self._fields if name not in self.__dict__]
        doubled = [name for name in self._fields[: len(values)] if name in named]
        raise TypeError(
            f"{type(self).__name__}: {len(values)} values for {len(self._fields)} fields, "
            f"unknown {unknown}, missing {missing}, given twice {doubled}"
        )

    def _changed(self, **changes: Any) -> Self:
        """Give the same value with some fields changed, as `dataclasses.replace` does."""
        changed = object.__new__(type(self))
        changed.__dict__.update(self.__dict__, **changes)
        if len(changed.__dict__) != len(self._fields):
            raise TypeError(f"{type(self).__name__} has no such fields: {sorted(changes)}")
        return changed

    def __replace__(self, **changes: Any) -> Self:
        """Give the same value with some fields changed, for `copy.replace` of Python 3.13."""
        return type(self)(**{**self.__dict__, **changes})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        parts = map(self.__dict__.__getitem__, self._fields)
        return hash(
            (type(self), *[frozenset(part.items()) if isinstance(part, dict) else part for part in parts])
        )

    def __repr__(self) -> str:
        shown = (f"{name}={self.__dict__[name]!r}" for name in self._fields if name not in self._hidden)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.__dict__.copy())


class Value(Frozen):
    """The base of internal values, which are often changed."""

    changed = Frozen._changed


class Validated(Frozen):
    """The base of public values: their constructor validates, and freezes their mappings.

    ``_mappings`` names the fields that hold mappings. `unvalidated` and `altered` make values without
    validating them.
    """

    _mappings: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:

        def __init__(self, *values: Any, **named: Any) -> None:
            super().__init__(*values, **named)
            del values, named  # a traceback would show them
            try:
                self._validate()
            except BaseException as error:
                self.__dict__.update(dict.fromkeys(self._fields))  # what was refused is not shown
                without_locals(error)
                raise
            self._freeze()

    def _validate(self) -> None:
        """Refuse wrong fields, and normalise others: those in ``self.__dict__`` may be changed here."""

    def _freeze(self) -> None:
        for name in self._mappings:
            if type(self.__dict__[name]) is not _FrozenDict:
                self.__dict__[name] = _FrozenDict(self.__dict__[name])


def unvalidated(kind: Callable[_P, _T], *_: _P.args, **fields: _P.kwargs) -> _T:
    """Make a value of what was not declared here, such as a hub's answer: it is not judged by our rules.

    Args:
        kind: the class, one of `Validated`'s.
        **fields: as its constructor takes them, by name.

    Returns:
        The value, its mappings frozen.

    Raises:
        TypeError: the class has other fields.
    """
    made: Any = object.__new__(kind)  # type: ignore[arg-type]
    made.__dict__.update(made._defaults, **fields)
    if made.__dict__.keys() != made._names:
        made._refuse((), fields)
    made._freeze()
    value: _T = made
    return value


def altered(value: _V, **changes: Any) -> _V:
    """Give the same value with some fields changed, as `dataclasses.replace` does, without validating it.

    Args:
        value: what was validated before, or came from elsewhere.
        **changes: the fields that are to be different.

    Returns:
        The new value, its mappings frozen.

    Raises:
        TypeError: the value has no such fields.
    """
    made = value._changed(**changes)
    made._freeze()
    return made


class _FrozenDict(dict["Any", "Any"]):
    """A mapping that cannot be changed. Unlike a ``mappingproxy`` it can be hashed, copied and pickled."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a mapping of a frozen value cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _FrozenDict, (dict(self),)


def frozen(mapping: Mapping[_Key, _Item]) -> Mapping[_Key, _Item]:
    """Give an immutable copy of a mapping, which can be hashed, copied and pickled.

    Args:
        mapping: what to copy; one that is frozen already is given back.
    """
    return mapping if type(mapping) is _FrozenDict else _FrozenDict(mapping)


EMPTY: Mapping[Any, Any] = frozen({})
"""The mapping without items, immutable: a default."""


def _restored(kind: type[Frozen], fields: dict[str, Any]) -> Frozen:
    """Make a value again from its fields, for ``pickle`` and ``copy``."""
    value = object.__new__(kind)
    value.__dict__.update(fields)
    return value
