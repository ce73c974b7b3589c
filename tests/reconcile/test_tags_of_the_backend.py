"""``owns_tags=False``: what of the backend's tags a device leaves as it is, and what it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nhagent import HubClient, Report
from tests.device_under_test import PLAIN, TOAST, Device

OWN: dict[str, Any] = {**PLAIN, "tags": None, "owns_tags": False}


@pytest.fixture
def tagged(device: Device, backend: HubClient) -> Device:
    """A device whose backend has given it a tag."""
    report = device.start(**OWN)
    give(device, backend, "gold", str(report.installation_id))
    device.seen()
    return device


def give(device: Device, backend: HubClient, tag: str, installation_id: str | None = None) -> None:
    held = installation_id or device.held()[0]["installationId"]
    backend.patch_installation(held, [{"op": "add", "path": "/tags", "value": tag}])


def tags(device: Device) -> list[str]:
    [held] = device.held()
    return list(held.get("tags", []))


def test_refresh_of_what_is_as_it_was_is_one_read(tagged: Device) -> None:
    report = tagged.agent(**OWN).refresh(force=True)
    assert (report.outcome, tagged.seen()) == ("unchanged", ["GET"])
    assert tags(tagged) == ["gold"]


def test_refresh_of_what_differs_is_a_read_and_a_patch(tagged: Device, backend: HubClient) -> None:
    held = tagged.held()[0]["installationId"]
    backend.patch_installation(held, [{"op": "replace", "path": "/pushChannel", "value": "https://other/"}])
    tagged.seen()
    report = tagged.agent(**OWN).refresh(force=True)
    assert (report.outcome, tagged.seen()) == ("updated", ["GET", "PATCH"])
    assert tags(tagged) == ["gold"]
    assert tagged.held()[0]["pushChannel"] == "https://push.example/1"


def test_what_a_patch_can_say_never_touches_a_tag(tagged: Device, backend: HubClient) -> None:
    """Whenever the backend gives another: nothing was read that could be written back."""
    changes: list[dict[str, Any]] = [
        {"user_id": "ann"},
        {"templates": {"alert": replace(TOAST, tags=())}},
        {},
    ]
    for number, change in enumerate(changes):
        tagged.channel = f"https://push.example/{number + 2}"
        give(tagged, backend, f"more{number}")
        tagged.seen()
        tagged.start(**{**OWN, **change})
        assert tagged.seen() == ["PATCH"]
    assert tags(tagged) == ["gold", "more0", "more1", "more2"]


def test_what_only_a_whole_write_can_say_goes_out_with_the_tags_just_read(tagged: Device) -> None:
    tagged.start(**{**OWN, "push_variables": {"name": "Ann"}})
    assert tagged.seen() == ["GET", "PUT"]
    assert tags(tagged) == ["gold"]


def test_device_that_the_hub_has_lost_comes_back_bare_and_the_backend_can_be_told(tagged: Device) -> None:
    tagged.hub.forget(installation=tagged.held()[0]["installationId"])
    told: list[Report] = []
    tagged.agent(**OWN, on_registered=told.append).refresh(force=True)
    assert tagged.seen() == ["GET", "PUT"]
    assert [report.outcome for report in told] == ["recreated"]
    assert tags(tagged) == []
