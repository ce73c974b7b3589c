"""A push channel of Windows (WNS), for a packaged app, through winrt (the extra ``wns``).

It follows the types and the documents of that API. It was not run on Windows yet.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from nhagent import validation
from nhagent.errors import ChannelError
from nhagent.logs import Log
from nhagent.push_channels import Platform

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SECONDS: Final = 30.0
"""How long Windows may take where nobody says how long it may."""
LEAST_SECONDS: Final = 2.0
"""The least time for Windows, however little a start has left."""
RENEWED: Final = 0.1
"""Windows is asked for another channel when this part of a channel's life is left, or less."""
_UNREACHABLE: Final = "cannot reach its push service"
PASSING: Final = {
    0x880403E8: "is not connected to its push service",
    0x880403E9: "is connecting to its push service again",
    0x880403FE: "has trouble with its push service",
    0x803E0101: "did not complete the request",
    0x803E0103: "is at work on another request of this app",
    0x803E0105: "has no notification platform at the moment",
    0x803E011A: "cannot sign in to its push service",
    0x803E011B: "has no push service at the moment",
    # The network's own: no answer in time, no such name, no connection, connection lost, no route.
    **dict.fromkeys((0x800705B4, 0x80072EE2, 0x80072EE7, 0x80072EFD, 0x80072EFE, 0x80072EFF), _UNREACHABLE),
    **dict.fromkeys((0x80072AF9, 0x80072750, 0x80072751, 0x8007274C), _UNREACHABLE),
}
"""What is so where trying again in some minutes helps, by Windows' number."""
TO_CHANGE: Final = {
    0x803E0109: ("has turned cloud notifications off", "turn notifications on in its settings or policies"),
    0x803E0110: ("finds no cloud notifications in the app's manifest", "declare them there"),
    0x803E0113: ("finds no access to the Internet in the app's manifest", "declare internetClient there"),
}
"""What is so, and what to do, where somebody must do something."""
NO_IDENTITY: Final = frozenset({0x80073D54, 0x80070490})
"""What Windows says to a program that belongs to no package."""

_log = Log(__name__)


class PushChannel(Protocol):
    """What is used of winrt's ``PushNotificationChannel``."""

    @property
    def uri(self) -> str:
        """The channel's address."""

    @property
    def expiration_time(self) -> datetime:
        """When it ends."""


class Manager(Protocol):
    """What is used of winrt's ``PushNotificationChannelManagerForUser``."""

    def create_push_notification_channel_for_application_async(self) -> Awaitable[PushChannel]:
        """Ask for the app's channel."""

    def create_push_notification_channel_for_secondary_tile_async(
        self, tile_id: str, /
    ) -> Awaitable[PushChannel]:
        """Ask for the channel of a secondary tile."""


class WnsChannel:
    """A channel source that asks Windows. It gives the same channel until that nears its end.

    Windows gives channels to packaged apps (MSIX, Store): plain ``python.exe`` has none.

    Args:
        tile_id: the secondary tile whose channel it is; None: the app's own.
        manager: gives winrt's manager; for tests.
        clock: gives the time, aware; for tests.

    Attributes:
        expires_at: when the channel ends that it gave last, aware; None before.

    Raises:
        ConfigurationError: the tile's id is none.
    """

    platform: Final = Platform.WNS

    def __init__(
        self,
        tile_id: str | None = None,
        *,
        manager: Callable[[], Manager] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if tile_id is not None:
            validation.check_name("tile_id", tile_id)
        self._tile_id = tile_id
        self._manager = manager or _manager_of_windows
        self._clock = clock
        self._uri: str | None = None
        self._renewed_from = datetime.min.replace(tzinfo=UTC)
        self.expires_at: datetime | None = None

    def __call__(self) -> str:
        """Give the channel; Windows is asked where there is none yet, or it nears its end.

        A failure that may pass is told only where there is no channel that still lives.

        Raises:
            ChannelError: Windows gives none.
        """
        from nhagent.channels.source import is_only_looking, seconds_left

        now = self._clock()
        if self._uri is not None and (now < self._renewed_from or is_only_looking()):
            return self._uri
        if is_only_looking():
            raise ChannelError("wns: Windows was not asked yet", "the next start asks it", pending=True)
        left = seconds_left()
        try:
            channel = self._asked(SECONDS if left is None else max(LEAST_SECONDS, left))
        except ChannelError as error:
            if not error.pending or self._uri is None or self.expires_at is None or now >= self.expires_at:
                raise
            _log.info("%s; the former channel holds until %s", error, self.expires_at)
            return self._uri
        expires_at = channel.expiration_time.astimezone(UTC)
        self._uri, self.expires_at = channel.uri, expires_at
        self._renewed_from = expires_at - (expires_at - now) * RENEWED
        return channel.uri

    def _asked(self, seconds: float) -> PushChannel:
        """Ask Windows, in a thread of its own: the caller's may have a loop that runs."""
        from nhagent.interruption import run_beside

        given: list[PushChannel] = []
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                given.append(asyncio.run(asyncio.wait_for(self._channel(), seconds)))
            except BaseException as error:  # noqa: BLE001 - it is told below
                failed.append(error)

        run_beside(ask, seconds + LEAST_SECONDS, "nhagent wns", given_up=lambda _: None)
        if given:
            return given[0]
        raise _as_channel_error(failed[0] if failed else TimeoutError(), seconds)

    async def _channel(self) -> PushChannel:
        manager = self._manager()
        if self._tile_id is None:
            return await manager.create_push_notification_channel_for_application_async()
        return await manager.create_push_notification_channel_for_secondary_tile_async(self._tile_id)


def _manager_of_windows() -> Manager:
    if sys.platform != "win32":
        raise ChannelError(
            "wns: Windows alone gives such channels", "on Linux take nhagent.channels.WebPushChannel"
        )
    try:
        from winrt.windows.networking import pushnotifications
    except ImportError:
        raise ChannelError("wns: winrt is not installed", 'run "pip install nhagent[wns]"') from None
    manager: Any = pushnotifications.PushNotificationChannelManager.get_default()
    if manager is None:
        raise ChannelError("wns: Windows has no notification platform here", "run it in a user's session")
    found: Manager = manager
    return found


def _as_channel_error(error: BaseException, seconds: float) -> ChannelError:
    if isinstance(error, ChannelError):
        return error
    if isinstance(error, TimeoutError):
        return ChannelError(
            f"wns: Windows gave no channel within {seconds:g} s", "it is asked again", pending=True
        )
    if not isinstance(error, OSError):
        raise error
    number = (getattr(error, "winerror", None) or error.errno or 0) & 0xFFFFFFFF
    if number in PASSING:
        return ChannelError(
            f"wns: Windows {PASSING[number]} (0x{number:08X})",
            "it is asked again in some minutes",
            pending=True,
        )
    if number in TO_CHANGE:
        fact, hint = TO_CHANGE[number]
        return ChannelError(f"wns: Windows {fact} (0x{number:08X})", hint)
    if number in NO_IDENTITY:
        return ChannelError(
            f"wns: this program belongs to no package (0x{number:08X})",
            "Windows gives channels to packaged apps alone: package it as MSIX",
        )
    return ChannelError(f"wns: Windows gave no channel (0x{number:08X})", "see what the number means")
