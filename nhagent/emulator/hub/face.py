"""What users of the emulator see of what the hub holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, overload

from nhagent.emulator.http_messages import Refused
from nhagent.emulator.hub.hub import Hub


class WithContents(ABC):
    """The part of an emulator that shows what the hub holds, and makes it lose things."""

    def contents(self) -> dict[str, Any]:
        """Return all that the hub holds, as ``GET /_emulator/hubs/{hub}`` answers it."""
        return self._hub_now().contents()

    @overload
    def forget(self, *, installation: str) -> None: ...
    @overload
    def forget(self, *, registration: str, gone: bool = False) -> None: ...
    def forget(
        self, *, installation: str | None = None, registration: str | None = None, gone: bool = False
    ) -> None:
        """Make the hub lose an installation or a registration.

        Args:
            installation: its id.
            registration: its id; with ``gone`` also one under which nothing was put yet.
            gone: answer 410 from now on to every write under that registration's id.

        Raises:
            KeyError: the hub has nothing under that id.
        """
        hub = self._hub_now()
        if installation is not None:
            known = hub.installations.delete(installation)
        elif registration is not None:
            known = hub.registrations.forget(registration, gone=gone) or gone
        else:
            raise TypeError("forget needs an installation or a registration.")
        if not known:
            raise KeyError(installation or registration)

    @overload
    def expire(self, *, installation: str) -> None: ...
    @overload
    def expire(self, *, registration: str) -> None: ...
    def expire(self, *, installation: str | None = None, registration: str | None = None) -> None:
        """Mark a channel as expired, as a push service's report does.

        The service keeps an installation, with ``pushChannelExpired``, and removes registrations.

        Args:
            installation: its id.
            registration: its id. Every registration with the same handle leaves too; one that was made from
                an installation stands for that installation.

        Raises:
            KeyError: the hub has nothing under that id.
        """
        hub = self._hub_now()
        try:
            if installation is not None:
                hub.installations.expire(installation)
            elif registration is not None:
                hub.expire_registration(registration)
            else:
                raise TypeError("expire needs an installation or a registration.")
        except Refused as refused:
            raise KeyError(installation or registration) from refused

    @abstractmethod
    def _hub_now(self) -> Hub: ...
