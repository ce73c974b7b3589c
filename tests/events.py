"""How tests wait: for what happens, not for how long it takes. A busy machine only makes them slower.

What must not be waited for is held back by a peer for ``HELD_SECONDS``. Whoever comes back before
``HANG_SECONDS`` are over has not waited for it; on the busiest machine only what hangs takes so long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Any, Final, TypeVar

HELD_SECONDS: Final = 600.0
"""How long a peer holds back what nobody must wait for."""
HANG_SECONDS: Final = 120.0
"""After this a test is given up: what it waits for hangs."""

_T = TypeVar("_T")


def happens(holds: Callable[[], Any]) -> bool:
    """Wait for an event; False if it does not come at all."""
    deadline = time.monotonic() + HANG_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def comes_back(act: Callable[[], _T]) -> _T:
    """Give what an action gives, or raise what it raises, while a peer still holds back what it waits for."""
    given: list[_T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(act())
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run, name="comes back", daemon=True)
    thread.start()
    thread.join(HANG_SECONDS)
    assert not thread.is_alive(), "it waits for what its peer holds back"
    if raised:
        raise raised[0]
    return given[0]
