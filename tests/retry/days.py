"""A world in which days take no time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from nhagent import Agent
from nhagent.emulator import Emulator
from tests.events import HELD_SECONDS

DAY = 86400.0


class Days:
    """A world in which a wait takes no time: its clocks go on by what is slept, and the story has an end.

    A thread that sleeps past the end is held there until the world is let go.
    """

    def __init__(self, hub: Emulator, ends_after: float, began: timedelta = timedelta()) -> None:
        self._hub = hub
        self._offset = began
        self.now = datetime.now(UTC)
        self.slept: list[float] = []
        self.ended = threading.Event()
        self._left = ends_after
        self._released = threading.Event()

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        if self._left <= 0:
            self.ended.set()
            self._released.wait(HELD_SECONDS)
            return
        self.slept.append(seconds)
        self._left -= seconds
        self.now += timedelta(seconds=seconds)
        self._offset += timedelta(seconds=seconds)
        self._hub.set_clock(self._offset.total_seconds())

    def live(self, agent: Agent) -> None:
        """Keep a device fresh until the story ends."""
        with agent.keep_fresh():
            assert self.ended.wait(HELD_SECONDS), self.slept[-5:]
            self.let_go()

    def let_go(self) -> None:
        """Let the thread go that sleeps past the end."""
        self._released.set()
