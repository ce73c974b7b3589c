"""State folders of the first edition are read, and written back in the same form.

`state_folders` says where they come from; ``state_files.json`` says what is expected of each.
"""

from __future__ import annotations

import json
import re
import stat
import sys
from typing import Any

import pytest

from nhagent import KEEP, HubClient, Status
from nhagent.errors import NhagentError
from tests.device_under_test import Device

from . import state_folders
from .state_folders import STYLES, declared, folder_of, plant, put_in_place, set_clocks
from .tables import FOLDER, read_table, reduced
from .transcript import PUSH, drain

TABLE = read_table("state_files.json")
CASES = [(style, case) for style in STYLES for case in TABLE["cases"]]
FILES = ("identity.json", "state.json")

SOMETIMES = {"rotated", "lists_by_uri"}
"""Keys that are written only where they say something."""


def ready(device: Device, backend: HubClient, style: str, case: str, **after: float) -> dict[str, str]:
    """The files in place, their records at the hub, and so much time gone by; names for the ids."""
    names = plant(backend, put_in_place(device, style, case))
    set_clocks(device, **after)
    device.hub.clear_log()
    if case in {"trouble", "in_doubt"}:  # what the device was about to tell the hub
        device.channel = f"{PUSH}2"
    return names


def start(device: Device, style: str, **changes: Any) -> str:
    """What a start comes to."""
    try:
        report = device.agent(**{**declared(style, device), **changes}).start(timeout=0)
    except NhagentError as error:
        return f"raises {type(error).__name__}"
    return (
        str(report.outcome) if report.error is None else f"{report.outcome} ({type(report.error).__name__})"
    )


def told(status: Status, names: dict[str, str]) -> dict[str, Any]:
    """The fields of a status that come from the files."""
    plain = {name: getattr(status, name) for name in TABLE["status"]}
    as_json = json.loads(json.dumps({**plain, "channels": dict(status.channels)}, default=str))
    short: dict[str, Any] = reduced(as_json, names)
    return short


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """A document by dotted paths; lists, and objects without fields, stay whole."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, Any] = {}
    for name, part in value.items():
        found |= flat(part, f"{path} > {name}" if path else name)
    return found


def changes(device: Device, before: dict[str, bytes], names: dict[str, str]) -> dict[str, Any]:
    """What was written, by file and path; "(gone)": it was there. What is new in files is checked here."""
    seen = {}
    for name in FILES:
        old, new = json.loads(before[name]), json.loads((folder_of(device) / name).read_bytes())
        added = TABLE["keys since"][name]
        if new != old:
            assert new.keys() - SOMETIMES == {*TABLE["keys"][name], *added} - {"sum"}
            assert new.pop("checksum") == state_folders.checksum_of(new)
        was, is_now = (
            flat({key: part for key, part in file.items() if key not in {*added, *SOMETIMES}})
            for file in (old, new)
        )
        paths = [path for path in {**was, **is_now} if path != "sum" and was.get(path) != is_now.get(path)]
        seen[name] = {path: reduced(is_now.get(path, "(gone)"), names) for path in paths}
    return seen


def contents(device: Device) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in device.files.items()}


@pytest.mark.parametrize(("style", "case"), CASES)
def test_files_hold_these_keys(style: str, case: str) -> None:
    """The fixtures themselves: they are as the first edition wrote them, and stay so."""
    for name in FILES:
        document = json.loads((FOLDER / "first_edition" / style / case / name).read_text())
        assert sorted(document) == sorted(TABLE["keys"][name])
        assert document["schema"] == 1


@pytest.mark.parametrize(("style", "case"), CASES)
def test_status_tells_what_is_in_the_files(device: Device, backend: HubClient, style: str, case: str) -> None:
    names = ready(device, backend, style, case, minutes=1)
    status = device.agent(**declared(style, device)).status()
    assert told(status, names) == TABLE["cases"][case][style]["status"]
    assert (status.unreadable, device.hub.log()) == ((), [])
    assert status.namespace == device.hub.endpoint.partition("://")[2]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("case", "outcome"),
    [("in_sync", "unchanged"), ("trouble", "waiting (HeldBack)"), ("disabled", "disabled")],
)
def test_unchanged_start_sends_nothing_and_writes_nothing(
    device: Device, backend: HubClient, style: str, case: str, outcome: str
) -> None:
    ready(device, backend, style, case, minutes=1)
    before = contents(device)
    assert start(device, style) == outcome
    assert device.hub.log() == []
    after = contents(device)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() <= {"lock"}


@pytest.mark.parametrize(("style", "case"), CASES)
def test_changed_channel_sends_this_and_writes_that(
    device: Device, backend: HubClient, style: str, case: str
) -> None:
    names = ready(device, backend, style, case, hours=1)
    device.channel = f"{PUSH}3"
    before, expected = contents(device), TABLE["cases"][case][style]
    assert [start(device, style), *drain(device.hub, names)] == expected["changed channel"]
    assert changes(device, before, names) == expected["written"]
    assert device.files.keys() - {"lock"} == set(FILES)
    assert start(device, style) == ("disabled" if case == "disabled" else "unchanged")
    assert device.hub.log() == []


@pytest.mark.parametrize("style", STYLES)
def test_disabled_device_is_registered_again_once_it_is_enabled(
    device: Device, backend: HubClient, style: str
) -> None:
    names = ready(device, backend, style, "disabled", hours=1)
    before = contents(device)
    assert device.agent(**declared(style, device)).enable(timeout=0).outcome == "registered"
    methods = [entry.method for entry in device.hub.log()]
    assert methods == (["PUT"] if style == "installation" else ["POST", "PUT"] * 4)
    written = changes(device, before, names)
    assert written["identity.json"] == {"installation_id": "(id)", "disabled": False}
    assert written["state.json"]["disabled"] is False


@pytest.mark.parametrize("style", STYLES)
def test_what_was_declared_is_read_where_the_app_leaves_it_open(
    device: Device, backend: HubClient, style: str
) -> None:
    ready(device, backend, style, "in_sync", minutes=1)
    left_open = ("tags", "templates", "secondary_tiles", "push_variables")
    assert start(device, style, **dict.fromkeys(left_open), user_id=KEEP) == "unchanged"
    assert device.hub.log() == []


@pytest.mark.parametrize(
    ("style", "name"),
    [("installation", "identity.json"), ("registration", "identity.json"), ("registration", "state.json")],
)
def test_flipped_bit_in_an_id_is_noticed(device: Device, backend: HubClient, style: str, name: str) -> None:
    ready(device, backend, style, "in_sync", minutes=1)
    path = folder_of(device) / name
    pattern = r'(_id": ".*)[0-9a-f]"' if name == "identity.json" else r'("id": ".*)\d"'
    path.write_text(re.sub(pattern, r'\1x"', path.read_text(), count=1))
    assert device.agent(**declared(style, device)).status().unreadable == (name,)


@pytest.mark.parametrize("style", STYLES)
def test_what_a_newer_edition_wrote_is_kept(device: Device, backend: HubClient, style: str) -> None:
    ready(device, backend, style, "in_sync", minutes=1)
    for name in FILES:
        path = folder_of(device) / name
        document = json.loads(path.read_text())
        path.write_text(json.dumps({**document, "schema": 2, "later": {"kept": [1]}}))
    device.channel = f"{PUSH}3"
    assert start(device, style) == "updated"
    for name in FILES:
        document = json.loads((folder_of(device) / name).read_text())
        assert (document["schema"], document["later"]) == (2, {"kept": [1]})


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_files_are_the_owners_alone(device: Device, backend: HubClient) -> None:
    ready(device, backend, "installation", "in_sync", minutes=1)
    device.channel = f"{PUSH}3"
    start(device, "installation")
    assert {stat.S_IMODE(path.stat().st_mode) for path in device.files.values()} == {0o600}
