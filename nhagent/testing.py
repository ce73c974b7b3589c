"""A pytest plug-in: a notification hub for your own tests.

Its fixtures exist as soon as nhagent is installed beside pytest:

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
    """Provide an emulated hub on loopback over plain http: empty at first, closed after the test."""
    from nhagent.emulator import Emulator

    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def tls_notification_hub() -> Iterator[Emulator]:
    """Provide the same over TLS. Give its ``ca`` to an agent as ``ca_bundle``."""
    from nhagent.emulator import Emulator

    with Emulator(tls=True) as emulator:
        yield emulator
