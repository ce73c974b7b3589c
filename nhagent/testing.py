"""A pytest plug-in: a notification hub for your own tests.

It is there as soon as nhagent is installed beside pytest:

    def test_my_device_registers(notification_hub, tmp_path):
        hub = notification_hub
        Agent(..., hub=hub.hub, connection_string=hub.listen, state_dir=tmp_path).start()
        assert len(hub.contents()["installations"]) == 1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nhagent.emulator import Emulator


@pytest.fixture
def notification_hub() -> Iterator[Emulator]:
    """An emulated hub on loopback, empty, over plain http; gone after the test."""
    from nhagent.emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def tls_notification_hub() -> Iterator[Emulator]:
    """The same over TLS; give its ``ca`` to an agent as ``ca_bundle``."""
    from nhagent.emulator import Emulator

    with Emulator(tls=True) as emulator:
        yield emulator
