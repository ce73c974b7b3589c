"""A hub with a push service, and a device of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from nhagent.emulator import Emulator

if TYPE_CHECKING:
    from .devices import Device


@pytest.fixture
def hub() -> Iterator[Emulator]:
    with Emulator() as hub:
        assert hub.push
        yield hub


@pytest.fixture
def device(hub: Emulator) -> Iterator[Device]:
    from .devices import Device  # what it needs is missing on some machines, where these tests are skipped

    with Device(hub) as device:
        yield device
