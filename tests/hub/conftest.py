"""The client of most tests of the hub: one that may do everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nhagent import HubClient
from nhagent.emulator import Emulator


@pytest.fixture
def client(notification_hub: Emulator) -> Iterator[HubClient]:
    with HubClient(notification_hub.full, notification_hub.hub) as client:
        yield client
