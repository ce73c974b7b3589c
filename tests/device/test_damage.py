"""What may happen to a file of a device: torn, flipped, emptied, from the future, gone, or a folder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, NhagentError
from tests.device_under_test import Device


def _torn(content: bytes, place: int) -> bytes:
    return content[: place % len(content)]


def _flipped(content: bytes, place: int) -> bytes:
    at = place % len(content)
    return content[:at] + bytes([content[at] ^ (1 << place % 8)]) + content[at + 1 :]


def _zeroed(content: bytes, place: int) -> bytes:
    at = place % len(content)
    return content[:at] + b"\0" * (len(content) - at)


def _future(content: bytes, place: int) -> bytes:
    return json.dumps({**json.loads(content), "schema": 2 + place % 5, "later": {"kept": place}}).encode()


DAMAGES = [_torn, _flipped, _zeroed, _future, None]


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(["identity.json", "state.json"]),
    damage=st.sampled_from(DAMAGES),
    place=st.integers(0, 100_000),
)
def test_damaged_file_loses_nothing_that_the_hub_still_knows(
    device: Device, style: str, name: str, damage: Any, place: int
) -> None:
    device.offset = timedelta()
    for path in device.files.values():  # what the last example left must not be damaged once more
        path.unlink()
    device.start(style=style, first_run_list=True)
    known = device.hub.contents()
    identity = json.loads(device.files["identity.json"].read_text())["installation_id"]
    content = device.files[name].read_bytes()
    if damage is None:
        device.files[name].unlink()
    else:
        device.files[name].write_bytes(damage(content, place))
    damaged = device.files[name].read_bytes() if damage is not None else b""
    try:
        device.offset = timedelta(days=2)  # whatever it believes now, a refresh is due
        device.start(style=style, first_run_list=True)
        device.offset = timedelta()
        device.start(style=style, first_run_list=True)
    except ConfigurationError:
        pytest.fail(f"{name} {damaged!r}")
    held = device.hub.contents()
    assert _names(held) == _names(known), damaged
    if damage is not _flipped or name == "identity.json":  # else one can make another id of a record
        if style == "installation":
            assert json.loads(device.files["identity.json"].read_text())["installation_id"] == identity
        else:
            assert _ids(held) == _ids(known)
    if damage in {_torn, _zeroed} and damaged.strip(b"\0 \n") != content.strip():
        asides = [path for path in device.files if path.startswith(name.partition(".")[0] + ".2")]
        assert damaged in [device.files[path].read_bytes() for path in asides] or _is_whole(damaged)
    if damage is _future and name == "state.json":
        assert json.loads(device.files[name].read_text())["later"] == {"kept": place}


def _is_whole(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False


def _ids(contents: dict[str, Any]) -> set[str]:
    return {row["registrationId"] for row in contents["registrations"]}


def _names(contents: dict[str, Any]) -> Counter[str]:
    return Counter(
        f"{row.get('secondaryTileName')}/{row.get('templateName')}/{bool(row.get('installationId'))}"
        for row in contents["registrations"]
    ) + Counter("installation" for _ in contents["installations"])


def test_library_says_what_it_is_whatever_the_state_folder_holds(device: Device, tmp_path: Path) -> None:
    """A folder where a file belongs, and files where folders belong, end in words."""
    device.start()
    with Emulator("other") as hub:
        elsewhere = replace(device, hub=hub, folder=tmp_path / "odd")
        (tmp_path / "odd" / "thermostat" / "other" / "identity.json").mkdir(parents=True)
        try:
            report = elsewhere.agent(first_run_list=True).start(timeout=0)
        except NhagentError as error:
            pytest.fail(str(error))
        assert report.outcome == "registered"
