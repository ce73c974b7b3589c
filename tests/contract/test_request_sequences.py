"""The requests of every flow in both styles, and what each start comes to.

`flows` and `flows_of_trouble` play, ``request_sequences.json`` says what is expected. Step texts and messages
are not part of it: outcomes, numbers of requests, classes of errors, and the requests are. A flow begins with
a device that is known to its hub, unless it says otherwise.
"""

from __future__ import annotations

import pytest

from nhagent import HubClient
from tests.device_under_test import Device

from . import flows, flows_of_trouble
from .play import FLOWS, Play
from .tables import read_table

TABLE = read_table("request_sequences.json")


@pytest.mark.parametrize(
    ("name", "style"), [(name, style) for name, styles in TABLE.items() for style in styles]
)
def test_requests_of_a_flow(
    request: pytest.FixtureRequest, device: Device, backend: HubClient, name: str, style: str
) -> None:
    play = Play(request, device, backend, style)
    FLOWS[name](play)
    assert play.lines == TABLE[name][style]


def test_every_flow_is_in_the_table() -> None:
    assert FLOWS.keys() == TABLE.keys()
    assert {played.__module__ for played in FLOWS.values()} == {flows.__name__, flows_of_trouble.__name__}
