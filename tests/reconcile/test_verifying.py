"""A look at what the hub holds: what is told of it, what it costs, and what the next start mends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, Registration
from nhagent.emulator import Emulator
from nhagent.errors import InvalidRequest
from nhagent.models import altered
from nhagent.report import StartState
from tests.device_under_test import PLAIN, TOAST, Device, first_run, register


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_hub_that_holds_what_it_accepted_is_in_sync(device: Device, style: str) -> None:
    device.start(style=style)
    device.seen()
    agent = device.agent(style=style)
    assert agent.status().verified_at is None
    seen = agent.verify()
    assert (seen.in_sync, seen.drift, seen.expired) == (True, (), ())
    assert seen.requests == (1 if style == "installation" else 3)
    assert set(device.seen()) == {"GET"}
    assert agent.status().verified_at is not None
    assert device.start(style=style).requests == 0


def test_drift_is_told_field_by_field_and_mended_by_the_next_start(
    device: Device, backend: HubClient
) -> None:
    report = device.start()
    [held] = device.held()
    backend.patch_installation(
        str(report.installation_id),
        [
            {"op": "add", "path": "/tags", "value": "cellar"},
            {"op": "replace", "path": "/templates/alert/body", "value": "<toast/>"},
            {"op": "replace", "path": "/pushChannel", "value": "https://push.example/stolen"},
        ],
    )
    agent = device.agent()
    seen = agent.verify()
    assert not seen.in_sync
    drift = {part.field: part for part in seen.drift}
    assert set(drift) == {"tags", "templates.alert.body", "pushChannel"}
    assert drift["tags"].found == "['cellar', 'kitchen']"
    assert held["pushChannel"] not in str(seen)
    assert "stolen" not in str(seen)
    assert agent.status().in_doubt == ("installation",)
    assert device.start().outcome == "updated"
    assert device.held()[0]["tags"] == ["kitchen"]
    assert agent.verify().in_sync


@pytest.mark.parametrize("what", ["copied", "damaged", "moved"])
def test_verify_asks_for_nothing_that_is_not_known_to_be_its_own(
    device: Device, what: str, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    device.start(machine=lambda: "the first board")
    device.seen()
    changes: dict[str, Any] = {"machine": lambda: "the first board"}
    if what == "copied":
        changes = {"machine": lambda: "the other board"}
    elif what == "damaged":
        device.files["state.json"].write_text("{")
    else:
        changes |= another_namespace
    before = device.files["state.json"].read_text()
    seen = device.agent(**changes).verify()
    assert (seen.in_sync, seen.verified_at, seen.requests) == (False, None, 0)
    assert "none that is known" in str(seen.drift[0])
    assert (device.seen(), tls_notification_hub.log()) == ([], [])
    assert device.files["state.json"].read_text() == before


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_record_that_the_hub_has_lost_is_told_and_made_again(device: Device, style: str) -> None:
    report = device.start(style=style)
    if style == "installation":
        device.hub.forget(installation=str(report.installation_id))
    else:
        device.hub.forget(registration=report.registration_ids["template:alert"], gone=True)
    agent = device.agent(style=style)
    seen = agent.verify()
    assert [(part.field, part.found) for part in seen.drift] == [("", "none")]
    assert device.start(style=style).error is None
    assert agent.verify().in_sync


def test_expired_channel_is_not_sent_again_until_the_source_gives_another(device: Device) -> None:
    report = device.start(**PLAIN)
    device.hub.expire(installation=str(report.installation_id))
    agent = device.agent(**PLAIN)
    seen = agent.verify()
    assert (seen.in_sync, seen.expired) == (False, ("channel",))
    device.seen()
    report = device.agent(**PLAIN).refresh(force=True, timeout=0)
    assert report.outcome == "waiting"
    assert "marked as expired" in str(report.error)
    assert device.seen() == []
    device.channel = "https://push.example/2"
    assert device.start(**PLAIN).outcome == "updated"
    assert agent.verify().in_sync


def test_channel_that_is_alive_again_is_sent_again(device: Device, backend: HubClient) -> None:
    report = device.start(**PLAIN)
    device.hub.expire(installation=str(report.installation_id))
    agent = device.agent(**PLAIN)
    assert agent.verify().expired == ("channel",)
    assert device.agent(**PLAIN).refresh(force=True, timeout=0).outcome == "waiting"
    [held] = device.held()
    backend.put_installation(
        Installation(held["installationId"], Platform.WNS, device.channel, tags=["kitchen"])
    )
    assert agent.verify().expired == ()
    device.seen()
    assert device.start(**PLAIN).error is None
    assert device.agent(**PLAIN).refresh(force=True).outcome == "updated"
    assert device.seen() == ["PUT"]


@pytest.mark.parametrize("hours", [25, -25])
def test_channel_that_was_dead_is_tried_again_after_the_refresh_interval(device: Device, hours: int) -> None:
    report = device.start(**PLAIN)
    device.hub.expire(installation=str(report.installation_id))
    device.agent(**PLAIN).verify()
    assert device.agent(**PLAIN).refresh(force=True, timeout=0).outcome == "waiting"
    device.offset = timedelta(hours=hours)
    assert device.agent(**PLAIN).refresh(force=True, timeout=0).outcome == "updated"


def test_registering_again_forgets_that_a_channel_was_dead(device: Device) -> None:
    report = device.start(**PLAIN)
    device.hub.expire(installation=str(report.installation_id))
    agent = device.agent(**PLAIN)
    agent.verify()
    agent.unregister()
    assert agent.enable(timeout=0).outcome == "registered"


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_loss_is_counted_where_it_is_found_and_mended_by_its_name(device: Device, style: str) -> None:
    """By whom it is found makes no difference: a look at the hub, or the next write."""
    device.start(**PLAIN, style=style)
    held = device.hub.contents()
    for installation in held["installations"]:
        device.hub.forget(installation=installation["installationId"])
    for row in held["registrations"]:
        if style == "registration":
            device.hub.forget(registration=row["registrationId"])
    agent = device.agent(**PLAIN, style=style)
    assert not agent.verify().in_sync
    assert not agent.verify().in_sync, "a second look finds the same loss, and not another one"
    assert agent.status().losses == 1
    assert device.start(**PLAIN, style=style).outcome == "recreated"
    assert device.agent(**PLAIN, style=style).refresh(force=True).outcome == "updated"


def test_unregistered_device_is_verified_to_be_gone(device: Device, backend: HubClient) -> None:
    first_run(device)
    agent = device.agent(first_run_list=True)
    agent.unregister()
    assert agent.verify().in_sync
    backend.create_registration(Registration(Platform.WNS, device.channel, template=TOAST, template_name="a"))
    seen = agent.verify()
    assert [part.record for part in seen.drift] == ["registration"]
    assert agent.start().outcome == "disabled"
    assert agent.verify().in_sync


def test_device_that_never_registered_is_told_without_a_request(device: Device) -> None:
    seen = device.agent().verify()
    assert not seen.in_sync
    assert "none was ever accepted" in str(seen.drift[0])
    assert device.seen() == []


def test_row_that_was_throttled_before_it_was_ever_written_is_not_in_sync(device: Device) -> None:
    device.hub.fail("PUT", status=429)
    device.agent(style="registration", **PLAIN).start(timeout=0)
    device.offset = timedelta(hours=1)
    assert device.seen() == ["POST", "PUT"]
    agent = device.agent(style="registration", **PLAIN)
    seen = agent.verify()
    assert (seen.in_sync, seen.verified_at, seen.requests) == (False, None, 0)
    assert "none was ever accepted" in str(seen.drift[0])
    assert device.seen() == []
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    assert device.start(style="registration", **PLAIN).error is None
    assert agent.verify().in_sync


@pytest.mark.parametrize("owned", [{}, {"owns_tags": False, "tags": None}], ids=["ours", "backend"])
def test_row_that_the_hub_refused_is_told_beside_those_that_it_holds(
    device: Device, owned: dict[str, Any]
) -> None:
    mine: dict[str, Any] = {
        "style": "registration",
        "secondary_tiles": {},
        "templates": {"alert": replace(TOAST, tags=())},
        **owned,
    }
    device.hub.fail("PUT", status=400, times=2)  # under its id, and under another
    with pytest.raises(InvalidRequest):
        device.start(**mine)
    device.seen()
    agent = device.agent(**mine)
    seen = agent.verify()
    assert not seen.in_sync
    assert [str(part) for part in seen.drift] == [
        "native: expected a record, the hub holds none that is known: none was ever accepted"
    ]
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    device.start(**mine)
    assert device.seen() == ["GET", "PUT"], "what was never written is not read first"
    assert agent.verify().in_sync


def test_row_that_has_not_even_an_id_is_told_beside_those_that_the_hub_holds(device: Device) -> None:
    mine: dict[str, Any] = {"style": "registration", "secondary_tiles": {}}
    device.hub.fail("POST", delay=0.01)
    device.hub.fail("POST", status=429)
    device.agent(**mine).start(timeout=0)
    device.offset = timedelta(hours=1)
    assert device.seen() == ["POST", "PUT", "POST"]
    agent = device.agent(**mine)
    assert [(part.record, part.field) for part in agent.verify().drift] == [("template:alert", "")]
    assert json.loads(device.files["state.json"].read_text())["in_doubt"] == []
    device.start(**mine)
    assert device.seen() == ["GET", "POST", "PUT"]
    assert agent.verify().in_sync


@pytest.mark.parametrize(
    ("before", "after"), [("installation", "registration"), ("registration", "installation")]
)
def test_records_of_the_other_style_are_told_without_a_request(
    device: Device, before: str, after: str
) -> None:
    device.start(style=before)
    device.seen()
    agent = device.agent(style=after)
    seen = agent.verify()
    assert (seen.in_sync, seen.verified_at, device.seen()) == (False, None, [])
    [part] = seen.drift
    assert str(part).startswith(f"{after}: expected a record, the hub holds none that is known: ")
    assert str(part).endswith(f'what it accepted is of style "{before}"')
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    device.start(style=after)
    assert agent.verify().in_sync


def test_device_that_was_unregistered_before_it_had_a_channel_is_not_called_verified(device: Device) -> None:
    device.channel = device.tile_channel = None
    device.agent().unregister()
    seen = device.agent().verify()
    assert (seen.in_sync, seen.verified_at, device.seen()) == (True, None, [])


def test_registered_device_has_a_state_that_tells_accepted_from_verified(device: Device) -> None:
    register(device)
    status = device.agent(style="registration").status()
    assert status.state is StartState.IN_SYNC
    assert status.accepted_at is not None
    assert status.verified_at is None


def test_record_that_had_drifted_before_it_was_lost_is_recreated(device: Device, backend: HubClient) -> None:
    report = device.start(**PLAIN)
    held = backend.get_installation(str(report.installation_id))
    backend.put_installation(altered(held, tags=("another",)))
    agent = device.agent(**PLAIN)
    assert not agent.verify().in_sync
    device.hub.forget(installation=str(report.installation_id))
    assert not agent.verify().in_sync
    assert agent.status().losses == 1
    assert device.start(**PLAIN).outcome == "recreated"
