"""State folders that the first edition wrote, put where a device finds them, and the records in them.

Under ``first_edition/STYLE/CASE`` stand ``identity.json`` and ``state.json`` as they were written at
2026-01-02 03:04:05 UTC, but for the namespace, which is ``NAMESPACE`` in them: here it is that of the hub in
question, and the sum over the identity is made again by hand.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from nhagent import HubClient, Installation, Platform, Registration, SecondaryTile, Template
from tests.device_under_test import TOAST, Device

from .tables import FOLDER
from .transcript import FRONT

WRITTEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STYLES = ("installation", "registration")


def declared(style: str, device: Device) -> dict[str, Any]:
    """What the app declares in every case: all that the style can carry."""
    tile = SecondaryTile(lambda: device.tile_channel, ["forecast"], {"front": FRONT})
    return {
        "style": style,
        "tags": ["kitchen"],
        "templates": {"alert": TOAST},
        "secondary_tiles": {"weather": tile},
        "push_variables": {"name": "Ann"},
        **({"user_id": "ann"} if style == "installation" else {}),
        "machine": lambda: "the board",
        "first_run_list": True,
    }


def sum_of_identity(identity: dict[str, Any]) -> int:
    """Tells a flipped bit in ``identity.json``."""
    fields = ("installation_id", "namespace", "disabled", "machine")
    return crc32("\n".join(str(identity[name]) for name in fields).encode())


def checksum_of(document: dict[str, Any]) -> int:
    """Tells a flipped bit anywhere in a file of this edition."""
    return crc32(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def folder_of(device: Device) -> Path:
    """Where the files of a device of this app at this hub stand."""
    return device.folder / "thermostat" / device.hub.hub


def set_clocks(device: Device, **after: float) -> None:
    """Let it be so long after the files were written, for the device and for its hub."""
    device.offset = WRITTEN + timedelta(**after) - datetime.now(UTC)
    device.hub.set_clock(device.offset.total_seconds())


def put_in_place(device: Device, style: str, case: str) -> dict[str, dict[str, Any]]:
    """Copy a folder to where the device finds it.

    Returns:
        The documents by file name.
    """
    namespace = device.hub.endpoint.partition("://")[2]
    folder = folder_of(device)
    folder.mkdir(parents=True, mode=0o700)
    documents = {}
    for path in sorted((FOLDER / "first_edition" / style / case).iterdir()):
        document = json.loads(path.read_text().replace("NAMESPACE", namespace))
        if path.name == "identity.json":
            document["sum"] = sum_of_identity(document)
        copy = folder / path.name
        copy.touch(mode=0o600)
        copy.write_text(json.dumps(document, indent=1, ensure_ascii=False))
        documents[path.name] = document
    return documents


def plant(backend: HubClient, documents: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Let the hub hold what these files say, and what they say must go.

    Returns:
        Names for the ids.
    """
    ours, state = documents["identity.json"]["installation_id"], documents["state.json"]
    names = {ours: "ours"}
    if state["style"] == "installation" and state["records"]:
        plant_installation(backend, ours)
    elif state["style"] == "registration":
        for name, record in state["records"].items():
            backend.put_registration(record["id"], _row(name, record["registration"]))
            names[record["id"]] = name
    for number, entry in enumerate(state["leaving"], start=1):
        names.setdefault(entry["id"], f"leaving {number}")
        if entry["kind"] == "installation":
            plant_installation(backend, entry["id"])
        else:
            backend.put_registration(
                entry["id"], Registration(Platform.WNS, "https://push.example/1", [f"leaving-{number}"])
            )
    return names


def plant_installation(backend: HubClient, installation_id: str) -> None:
    tile = SecondaryTile("https://push.example/tile/1", ["forecast"], {"front": FRONT})
    backend.put_installation(
        Installation(
            installation_id,
            Platform.WNS,
            "https://push.example/1",
            ["kitchen"],
            "ann",
            {"name": "Ann"},
            {"alert": TOAST},
            {"weather": tile},
        )
    )


def _row(name: str, written: dict[str, Any]) -> Registration:
    template = written.get("template")
    return Registration(
        Platform(written["platform"]),
        written["channel"],
        written["tags"],
        written["pushVariables"],
        None if template is None else Template(template["body"], template["headers"]),
        None if template is None else name.rpartition("template:")[2],
        written["tile"],
    )
