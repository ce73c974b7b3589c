"""Asks a hub again that is asked too often, or does not answer, for as long as a person would wait."""

from __future__ import annotations

from random import random

from nhagent.errors import HubUnavailable, Throttled
from nhagent.interruption import sleep
from nhagent.retry.backoff import LONGEST_WAIT_SECONDS, delay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final, TypeVar

    from nhagent.hub.held import Page, Registrations

    _T = TypeVar("_T")

ATTEMPTS: Final = 6


class Patience:
    """Makes an exchange, and makes it again, as a device would, where the hub asks for time or is away.

    Args:
        rate: exchanges a second at most; None: as many as there can be.
        wait: waits some seconds.
        random: gives a number from 0 to 1.
    """

    def __init__(
        self,
        rate: float | None = None,
        wait: Callable[[float], object] = sleep,
        random: Callable[[], float] = random,
    ) -> None:
        self._pause = 0.0 if rate is None else 1 / rate
        self._wait = wait
        self._random = random
        self.requests = 0

    def __call__(self, ask: Callable[[], _T]) -> _T:
        """Make an exchange.

        Raises:
            HubError: the hub refused, asks for more time than a person waits, or has not answered however
                often it was asked.
        """
        for attempt in range(ATTEMPTS):
            if self._pause:
                self._wait(self._pause)
            self.requests += 1
            try:
                return ask()
            except (Throttled, HubUnavailable) as error:
                seconds = delay(error, attempt, self._random())
                if attempt == ATTEMPTS - 1 or seconds > LONGEST_WAIT_SECONDS:
                    raise
                self._wait(seconds)
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
