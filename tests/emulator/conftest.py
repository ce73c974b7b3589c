from __future__ import annotations

from collections.abc import Iterator

import pytest

from nhagent.emulator import Emulator

from .caller import Caller


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator("my-hub") as running:
        yield running


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[Caller]:
    """A device that speaks to the hub with its listen-only key."""
    with Caller(emulator.endpoint, emulator.listen, emulator.hub) as caller:
        yield caller
