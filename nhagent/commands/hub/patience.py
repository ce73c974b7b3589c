"""Asks a hub again that is asked too often, or does not answer, for as long as a person would wait."""

from __future__ import annotations

from nhagent.errors import HubUnavailable, Throttled
from nhagent.interruption import sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, TypeVar

    from nhagent.hub.held import Page, Registrations

    _T = TypeVar("_T")

ATTEMPTS: Final = 6
LONGEST_WAIT: Final = 120.0
"""Seconds of a Retry-After that are waited."""


class Patience:
    """Makes an exchange, and makes it again where the hub asks for time or does not answer.

    Args:
        rate: exchanges a second at most; None: as many as there can be.
        wait: waits some seconds.
    """

    def __init__(self, rate: float | None = None, wait: Callable[[float], object] = sleep) -> None:
        self._pause = 0.0 if rate is None else 1 / rate
        self._wait = wait
        self.requests = 0

    def __call__(self, ask: Callable[[], _T]) -> _T:
        """Make an exchange.

        Raises:
            HubError: the hub refused, or has not answered however long it was asked.
        """
        for attempt in range(ATTEMPTS):
            if self._pause:
                self._wait(self._pause)
            self.requests += 1
            try:
                return ask()
            except (Throttled, HubUnavailable) as error:
                if attempt == ATTEMPTS - 1:
                    raise
                asked_for = error.retry_after
                self._wait(min(2.0**attempt if asked_for is None else asked_for, LONGEST_WAIT))
        raise AssertionError  # the last attempt returned or raised

    def pages(self, found: Registrations, token: str | None = None) -> Iterator[Page]:
        """Ask for a list page by page; one that does not come is asked for again.

        Args:
            found: the list.
            token: where it goes on; None: at its beginning.

        Raises:
            HubError: as for one exchange.
        """
        while True:
            page = self(lambda: next(found.pages(token), None))  # noqa: B023 - called at once
            if page is None:
                return
            yield page
            token = page.token
            if token is None:
                return
