"""What a channel source is, and how one is asked."""

from __future__ import annotations

from contextvars import ContextVar
from time import monotonic

from nhagent.errors import ChannelError, ConfigurationError, NhagentError, is_failure
from nhagent.logs import Log
from nhagent.models import BrowserChannel, read_channel
from nhagent.validation import check_not_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Final, TypeAlias

    from nhagent.models import Platform, PushChannel, RawChannel

ChannelSource: TypeAlias = "Callable[[], RawChannel]"
"""Gives a push channel, or None where the platform has issued none yet.

It may have attributes: ``platform``, the only one that it serves; ``expires_at``, when the push channel ends
that it gave last, an aware datetime or seconds since 1970, before which it is asked again;
``receive(on_message, stop)``, which hands on what arrives.
"""

_deadline: Final[ContextVar[float | None]] = ContextVar("deadline of the channel source", default=None)

_warned: Final[list[object]] = []
"""Sources whose ``expires_at`` was told to be wrong."""
_log = Log(__name__)
_looks: Final[ContextVar[bool]] = ContextVar("whether channel sources change nothing", default=False)


def seconds_left() -> float | None:
    """Give the seconds that are left to the channel source that is being asked; None: as many as it likes."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - monotonic())


def is_only_looking() -> bool:
    """Tell the channel source that is being asked whether it must change nothing, here or elsewhere."""
    return _looks.get()


class only_looking:  # noqa: N801 - a context manager; contextlib would cost every start its import
    """Ask channel sources, in a ``with`` block, without letting them obtain a push channel."""

    def __enter__(self) -> None:
        self._before = _looks.set(True)

    def __exit__(self, *_: object) -> None:
        _looks.reset(self._before)


def followed(source: ChannelSource, path: str) -> ChannelSource:
    """Say that a source reads a file, so that whoever keeps the device fresh looks when that changes."""
    source.path = path  # type: ignore[attr-defined]
    return source


def file_of(source: object) -> str | None:
    """Give the file that a source reads; None where it reads none."""
    path = getattr(source, "path", None)
    return path if isinstance(path, str) else None


def expiry_of(source: object) -> datetime | None:
    """Give when the push channel ends that a source has given last; None where it does not say.

    Args:
        source: its attribute ``expires_at`` is an aware datetime, or seconds since 1970, or None.
    """
    from datetime import UTC, datetime

    try:
        moment = getattr(source, "expires_at", None)
        if moment is None:
            return None
        if isinstance(moment, int | float) and not isinstance(moment, bool):
            return datetime.fromtimestamp(moment, UTC)
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except Exception:  # noqa: BLE001, S110 - a property of the app's own, or a zone, may raise anything
        pass
    if not any(source is warned for warned in _warned):
        _warned.append(source)
        _log.warning(
            "a channel source's expires_at is no moment: give an aware datetime, or seconds since 1970"
        )
    return None


def as_source(platform: Platform, given: object, name: str) -> ChannelSource:
    """Make a channel source of what an app gives as a channel.

    Args:
        platform: the device's platform.
        given: a channel source, or the push channel itself.
        name: what to call it in an error.

    Raises:
        ConfigurationError: it is not a push channel of this platform, or a coroutine function.
    """
    if callable(given):
        check_not_async(name, given)
        return given
    channel = read_channel(platform, given, name)
    return lambda: channel


def ask(
    source: ChannelSource,
    platform: Platform,
    name: str,
    *,
    seconds: float | None = None,
    known: object = None,
) -> PushChannel | None:
    """Ask a channel source once.

    Args:
        source: the channel source.
        platform: the device's platform.
        name: what to call the channel in an error.
        seconds: how long it may take, for a source that looks at `seconds_left`; None: as long as it likes.
        known: as for `nhagent.models.read_channel`.

    Returns:
        The push channel, or None where there is none yet.

    Raises:
        ChannelError: the source failed, or gave something else than a push channel of this platform.
    """
    before = _deadline.set(None if seconds is None else monotonic() + seconds)
    try:
        raw = source()
    except ChannelError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        raise _failed(error, name) from None
    finally:
        _deadline.reset(before)
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    _check_kind(raw, name)
    try:
        return read_channel(platform, raw, name, known)
    except ConfigurationError as error:
        raise ChannelError(error.fact, error.hint) from error


def _failed(error: BaseException, name: str) -> ChannelError:
    """Make the error of a source that failed. Of an error that is not ours only plain words are shown."""
    from nhagent.redaction import in_prose

    shown = str(error) if isinstance(error, NhagentError) else in_prose(error)
    return ChannelError(f"{name}: its source failed ({shown})", "correct it")


def _check_kind(raw: object, name: str) -> None:
    """Check that a source gave what may be a push channel.

    Raises:
        ChannelError: it gave a coroutine, or something else that no push channel can be.
    """
    if isinstance(raw, str | BrowserChannel):
        return
    from collections.abc import Mapping

    if isinstance(raw, Mapping):
        return
    if hasattr(raw, "cr_code") and hasattr(raw, "close"):
        raw.close()  # else Python warns that it was never awaited
        raise ChannelError(f"{name}: its source is a coroutine function", "give a plain callable")
    raise ChannelError(
        f"{name}: its source gave a {type(raw).__name__}", "it must give a push channel or None"
    )
