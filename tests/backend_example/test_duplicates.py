"""A channel is held once: what else the hub holds for it is deleted, and never a row of an installation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nhagent import HubClient, Registration

from .running import HANDLE, Caller, RunningBackend, set_to

TILE = "https://push.example/tile"
NEW = "https://push.example/new"


@pytest.fixture
def hub(backend: RunningBackend) -> Iterator[HubClient]:
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as client:
        yield client


def requests_of(backend: RunningBackend) -> list[tuple[str, str]]:
    """What the hub was asked since this was last called: method, and what kind of record."""
    asked = [(entry.method, entry.path.split("?")[0].split("/")[2]) for entry in backend.hub.log()]
    backend.hub.clear_log()
    return asked


def test_registrations_of_no_installation_are_deleted_after_the_write(
    backend: RunningBackend, phone: Caller, hub: HubClient
) -> None:
    for channel in (HANDLE, HANDLE, TILE, NEW):
        hub.create_registration(Registration("wns", channel, ["old"]))
    backend.hub.clear_log()
    assert phone.put("one", secondaryTiles={"t": {"pushChannel": TILE}}).status == 200
    assert requests_of(backend) == [
        ("PUT", "installations"),
        ("GET", "registrations"),
        ("DELETE", "registrations"),
        ("DELETE", "registrations"),
        ("GET", "registrations"),
        ("DELETE", "registrations"),
    ]
    assert [row.channel for row in hub.registrations() if row.installation_id is None] == [NEW]
    backend.hub.clear_log()
    assert phone.patch("one", {"op": "add", "path": "/tags", "value": "x"}).status == 200
    assert requests_of(backend) == [("GET", "installations"), ("PUT", "installations")]
    assert phone.patch("one", set_to("/pushChannel", NEW)).status == 200
    assert backend.hub.contents()["registrations"] == []


def test_another_installation_of_the_same_device_is_deleted_as_a_whole(
    backend: RunningBackend, phone: Caller, tablet: Caller, stranger: Caller
) -> None:
    for device, name in ((phone, "First"), (tablet, "tablets"), (stranger, "strangers")):
        assert device.put(name, pushChannel=f"https://push.example/{name}").status == 200
    for device, name in ((tablet, "tablets"), (stranger, "strangers"), (phone, "First")):
        device.put(name)
    backend.hub.clear_log()
    assert phone.put("second").status == 200
    assert {item["installationId"] for item in backend.hub.contents()["installations"]} == {
        "tablets", "strangers", "second",
    }  # fmt: skip
    deleted = [entry.path.split("?")[0] for entry in backend.hub.log() if entry.method == "DELETE"]
    assert deleted == [f"/{backend.hub.hub}/installations/First"]
    assert stranger.put("First").code == "not_found"


def test_an_installation_that_nobody_of_ours_wrote_is_left_alone(
    backend: RunningBackend, phone: Caller, hub: HubClient
) -> None:
    from nhagent import Installation

    hub.put_installation(Installation("foreign", "wns", HANDLE))
    assert phone.put("one").status == 200
    assert backend.held("foreign") is not None


def test_a_registration_that_somebody_touches_meanwhile_is_left_to_him(
    backend: RunningBackend, phone: Caller, hub: HubClient
) -> None:
    hub.create_registration(Registration("wns", HANDLE))
    backend.hub.fail("DELETE", status=412)
    assert phone.put("one").status == 200
    assert len(backend.hub.contents()["registrations"]) == 1
    assert phone.put("one").status == 200
    assert backend.hub.contents()["registrations"] == []
