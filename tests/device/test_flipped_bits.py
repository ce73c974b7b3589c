"""A bit of a file flips, as flash and memory do it: the device stays itself, and no other record suffers.

$NHAGENT_FLIPS sets how many are tried; each failure names its seed.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from nhagent.report import StartState
from tests.device_under_test import Device

FLIPS = int(os.environ.get("NHAGENT_FLIPS", "96"))
NEIGHBOUR = "https://push.example/0"
"""One bit away from the channel of the device."""


def names(device: Device) -> Counter[str]:
    """What the hub holds, by name; rows that the service makes of an installation go with it."""
    held = device.hub.contents()
    rows = [row for row in held["registrations"] if not row.get("installationId")]
    return Counter(f"{row.get('secondaryTileName')}/{row.get('templateName')}" for row in rows) + Counter(
        "installation" for _ in held["installations"]
    )


def ids(device: Device) -> set[str]:
    held = device.hub.contents()
    return {row["registrationId"] for row in held["registrations"] if not row.get("installationId")} | {
        installation["installationId"] for installation in held["installations"]
    }


def of_neighbour(device: Device) -> list[dict[str, Any]]:
    """Whatever the hub holds on the channels of the other device, without what a row is numbered by."""
    held = device.hub.contents()
    return [
        record
        for kind in ("installations", "registrations")
        for record in held[kind]
        if "neighbour" in json.dumps(record)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rotates", [False, True], ids=["same channel", "channel rotated at once"])
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_device_with_a_flipped_bit_stays_itself_and_leaves_no_orphan(
    device: Device, style: str, rotates: bool
) -> None:
    settings: dict[str, Any] = {"style": style, "first_run_list": True, "machine": lambda: "serial 1"}
    neighbour = replace(device, folder=device.folder.with_name("neighbour"), channel=NEIGHBOUR)
    neighbour.tile_channel = "https://push.example/tile/0"
    neighbour.start(**settings, tags=["neighbour"])
    device.start(**settings)
    files = {name: device.files[name] for name in ("identity.json", "state.json")}
    good = {name: path.read_bytes() for name, path in files.items()}
    expected, ours, theirs = names(device), ids(device), of_neighbour(device)
    for number in range(FLIPS // 4):
        seed = f"{style}/{rotates}/{number}"
        luck = random.Random(seed)
        name = luck.choice(list(good))
        at, bit = luck.randrange(len(good[name])), luck.randrange(8)
        damaged = bytearray(good[name])
        damaged[at] ^= 1 << bit
        files[name].write_bytes(damaged)
        described = (
            f"seed {seed}: bit {bit} of byte {at} of {name}: {bytes(damaged[max(0, at - 20) : at + 20])!r}"
        )
        device.channel = f"https://push.example/{10 + number}" if rotates else "https://push.example/1"
        device.start(**settings)
        device.start(**settings)
        assert ids(device) == ours, described
        assert names(device) == expected, described
        assert of_neighbour(device) == theirs, described
        assert device.agent(**settings).status().state is StartState.IN_SYNC, described
        device.channel = "https://push.example/1"
        device.agent(**settings).refresh(force=True)
        good = {name: path.read_bytes() for name, path in files.items()}
        for name, path in device.files.items():
            if name.count(".") > 1:
                path.unlink()


@pytest.mark.parametrize("name", ["identity.json", "state.json"])
def test_schema_number_that_has_flipped_is_no_newer_edition(device: Device, name: str) -> None:
    """Else nothing of the file would be checked from then on."""
    device.start()
    path = device.files[name]
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 3'))
    assert device.agent().status().unreadable == (name,)
    device.start()
    assert '"schema": 1' in path.read_text()
