"""What of a record that the hub holds is drift, and what only looks like it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from nhagent import BrowserChannel, HubClient, SecondaryTile
from nhagent.models import altered
from tests.device_under_test import PLAIN, TOAST, Device
from tests.subscriptions import KEYS, OTHER_AUTH, P256DH


def test_tags_that_the_backend_owns_are_no_drift(device: Device, backend: HubClient) -> None:
    mine: dict[str, Any] = {**PLAIN, "owns_tags": False, "tags": None}
    report = device.start(**mine)
    backend.patch_installation(
        str(report.installation_id), [{"op": "add", "path": "/tags", "value": "theirs"}]
    )
    assert device.agent(**mine).verify().in_sync


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_name_that_the_hub_makes_the_tag_of_a_template_without_any_is_no_drift(
    device: Device, style: str
) -> None:
    bare = {"alert": replace(TOAST, tags=())}
    mine: dict[str, Any] = {
        "style": style,
        "templates": bare,
        "secondary_tiles": {"weather": SecondaryTile(device.tile_channel, templates=bare)},
    }
    device.start(**mine)
    if style == "installation":
        [held] = device.held()
        assert held["templates"]["alert"]["tags"] == ["alert"]
        assert held["secondaryTiles"]["weather"]["templates"]["alert"]["tags"] == ["alert"]
    device.seen()
    assert device.agent(**mine).verify().drift == ()
    assert device.start(**mine).outcome == "unchanged"
    assert set(device.seen()) == {"GET"}


def test_name_as_the_tag_of_a_template_that_has_others_is_drift(device: Device, backend: HubClient) -> None:
    report = device.start()
    held = backend.get_installation(str(report.installation_id))
    backend.put_installation(replace(held, templates={"alert": replace(TOAST, tags=("alert",))}))
    [part] = device.agent().verify().drift
    assert (part.field, part.expected, part.found) == ("templates.alert.tags", "['alerts']", "['alert']")


def test_names_that_are_those_of_fields_are_compared_like_any_other(
    device: Device, backend: HubClient
) -> None:
    bare = replace(TOAST, tags=())
    names = ("channel", "pushChannel", "tags", "expirationTime", "installationId", "templates")
    mine: dict[str, Any] = {
        "templates": dict.fromkeys(names, bare),
        "secondary_tiles": {"channel": SecondaryTile(device.tile_channel, templates={"tags": bare})},
        "push_variables": dict.fromkeys(names, "1"),
        "owns_tags": False,
        "tags": None,
    }
    report = device.start(**mine)
    agent = device.agent(**mine)
    assert agent.verify().drift == ()

    held = backend.get_installation(str(report.installation_id))
    changed = {name: replace(bare, body="<toast/>") for name in names}
    tile = altered(held.secondary_tiles["channel"], templates={"tags": changed["tags"]})
    backend.put_installation(
        altered(
            held,
            templates=changed,
            push_variables=dict.fromkeys(names, "2"),
            secondary_tiles={"channel": tile},
        )
    )
    assert {part.field for part in agent.verify().drift} == {
        "secondaryTiles.channel.templates.tags.body",
        *(f"templates.{name}.body" for name in names),
        *(f"pushVariables.{name}" for name in names),
    }


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_capitals_that_mean_nothing_to_the_hub_are_no_drift(
    device: Device, backend: HubClient, style: str
) -> None:
    device.channel = "ab" * 32
    mine: dict[str, Any] = {**PLAIN, "platform": "apns", "tags": ["Kitchen", "b"], "style": style}
    report = device.start(**mine)
    if style == "installation":
        held = backend.get_installation(str(report.installation_id))
        backend.put_installation(replace(held, push_channel="AB" * 32, tags=("B", "kitchen")))
    else:
        key = report.registration_ids["native"]
        row = backend.get_registration(key)
        backend.put_registration(key, replace(row, channel="AB" * 32, tags=("B", "kitchen")))
    agent = device.agent(**mine)
    assert agent.verify().drift == ()
    assert device.start(**mine).outcome == "unchanged"


def test_subscription_with_other_keys_is_drift(device: Device, backend: HubClient) -> None:
    device.channel = {"endpoint": "https://push.example/1", **KEYS}
    mine: dict[str, Any] = {**PLAIN, "platform": "browser"}
    report = device.start(**mine)
    held = backend.get_installation(str(report.installation_id))
    other = BrowserChannel("https://push.example/1", P256DH, OTHER_AUTH)
    backend.put_installation(replace(held, push_channel=other))
    assert [part.field for part in device.agent(**mine).verify().drift] == ["pushChannel"]


@pytest.mark.parametrize(
    "odd",
    [
        {"pushVariables": {"a": [1, "b"]}},
        {"pushVariables": [[1, "x"], ["a", "y"], [None, "z"]]},
        {"templates": {"x": {"body": {"a": [None, {}]}, "headers": {"h": [1, "a", None]}}}},
        {"userId": {"a": [1, "x"]}},
        {"userId": json.loads("[" * 300 + "]" * 300)},
        {"userId": json.loads('{"a":' * 300 + "1" + "}" * 300)},
        {"tags": [1, None, {"a": 1}, ["b", 2]]},
        {"pushChannel": {"a": [1, "b"]}},
        {"secondaryTiles": {"t": {"pushChannel": [1, "b"], "tags": [2, "c"]}}},
        {"secondaryTiles": {"t": {"pushChannel": {"tags": "a"}, "templates": {"tags": {"body": [1, ""]}}}}},
    ],
)
def test_odd_answer_is_drift_and_not_a_fault(device: Device, odd: dict[str, Any]) -> None:
    device.start(**PLAIN)
    [held] = device.held()
    json_type = {"Content-Type": "application/json"}
    device.hub.fail("GET", status=200, headers=json_type, body=json.dumps({**held, **odd}))
    seen = device.agent(**PLAIN).verify()
    assert not seen.in_sync
    assert all(part.field.startswith(tuple(odd)) for part in seen.drift)
    assert str(seen.drift)
    assert device.start(**PLAIN).outcome == "updated"
