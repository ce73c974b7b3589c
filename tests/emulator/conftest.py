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


@pytest.fixture
def backend(emulator: Emulator) -> Iterator[Caller]:
    """A backend that speaks to the same hub with all rights."""
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as caller:
        yield caller


@pytest.fixture
def lenient_hub() -> Iterator[Caller]:
    """A device of a hub that takes what the service would not."""
    with (
        Emulator("my-hub", lenient=True) as running,
        Caller(running.endpoint, running.listen, running.hub) as caller,
    ):
        yield caller
