"""``nhagent demo``: what nhagent is for, shown on a hub that is embedded in the process.

A device is registered as an installation, started again, given new push channels, lost by the hub, and has
its disk wiped. Then another device is registered in the older style, where stale duplicates wait for it and
the hub ends its registration. A third one, without any platform, gets a push channel by itself and is sent
something (`nhagent.commands.demo_push`). Every step shows the requests that the hub saw; the last shows what
it holds. All of it is real: files in a temporary folder, TLS on loopback, a listen-only key.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nhagent.agent import Agent
from nhagent.commands import demo_push
from nhagent.hub.client import HubClient
from nhagent.models import Platform, Registration, SecondaryTile, Template

if TYPE_CHECKING:
    from nhagent.emulator import Emulator
    from nhagent.literals import StyleName
    from nhagent.report import Report

HUB: Final = "demo-hub"
INSTALLATION: Final = "installation"
REGISTRATION: Final = "registration"
ALERT: Final = Template(
    "<toast><text id='1'>$(message)</text></toast>", {"X-WNS-Type": "wns/toast"}, ["alerts"]
)


@dataclass(slots=True)
class Device:
    """A device with a folder of its own, and the PNS handles that its platform gives it.

    Attributes:
        hub: where it is registered.
        app: the app's name.
        style: how it is registered.
        folder: its state folder.
        channel: its PNS handle.
        tile_channel: the PNS handle of its tile; None: it has no tile.
        story: what its starts came to, one object for each.
    """

    hub: Emulator
    app: str
    style: StyleName
    folder: str
    channel: str
    tile_channel: str | None = None
    story: list[dict[str, Any]] = field(default_factory=list)

    def start(self, title: str, why: str) -> Report:
        """Start it as its app does, and add what the hub saw to the story.

        Args:
            title: what has happened.
            why: what that means for the start.

        Returns:
            The start's report.
        """
        tile = SecondaryTile(channel=lambda: self.tile_channel, tags=["weather"])
        agent = Agent(
            app=self.app,
            hub=self.hub.hub,
            platform="wns",
            channel=lambda: self.channel,
            tags=["kitchen"],
            templates={"alert": ALERT},
            secondary_tiles={"weather": tile} if self.tile_channel else {},
            user_id="",
            push_variables={},
            style=self.style,
            connection_string=self.hub.listen,
            ca_bundle=self.hub.ca,
            state_dir=self.folder,
        )
        self.hub.clear_log()
        report = agent.start()
        self.story.append(
            {
                "step": title,
                "why": why,
                "style": self.style,
                "outcome": str(report.outcome),
                "installation_id": report.installation_id if self.style == INSTALLATION else None,
                "registration_ids": dict(report.registration_ids),
                "requests": [
                    {"method": entry.method, "path": entry.path, "status": entry.status}
                    for entry in self.hub.log()
                ],
                "done": [step.partition(": ")[2] for step in report.steps],
            }
        )
        return report


def run() -> tuple[dict[str, Any], str]:
    """Run the whole demo.

    Returns:
        The object for ``--json``, and the text for people, in 80 columns.
    """
    from nhagent.emulator import Emulator

    began = monotonic()
    story: list[dict[str, Any]] = []
    with Emulator(HUB, tls=True) as hub, TemporaryDirectory(prefix="nhagent-demo-") as folder:
        push = "https://push.example"
        thermostat = Device(
            hub, "thermostat", INSTALLATION, f"{folder}/1", f"{push}/thermostat/1", f"{push}/tile/1", story
        )
        _play_installation(hub, thermostat)
        _play_registrations(
            hub, Device(hub, "doorbell", REGISTRATION, f"{folder}/2", f"{push}/bell/1", None, story)
        )
        contents = hub.contents()
        reached = demo_push.play(hub, f"{folder}/3")
        endpoint = hub.endpoint
    seconds = monotonic() - began
    holds = {kind: contents[kind] for kind in ("installations", "registrations")}
    document = {"steps": story, "push": reached, "holds": holds, "elapsed": seconds, "error": None}
    return document, _text(endpoint, story, reached, holds, seconds)


def _play_installation(hub: Emulator, device: Device) -> None:
    first = device.start("first start", "The hub does not know the device yet, nor its two channels.")
    device.start("second start", "Nothing has changed, so nothing is sent.")
    device.channel, device.tile_channel = "https://push.example/thermostat/2", "https://push.example/tile/2"
    device.start("both channels rotated", "The platform gave the device and its tile new handles.")
    hub.forget(installation=str(first.installation_id))
    device.channel = "https://push.example/thermostat/3"
    device.start("lost at the hub", "The hub has forgotten the device; the next change meets a 404.")
    shutil.rmtree(device.folder)
    device.start("the disk was wiped", "The hub still knows the channels: no second device is made.")


def _play_registrations(hub: Emulator, device: Device) -> None:
    with HubClient(hub.full, hub.hub, ca_bundle=hub.ca) as backend:
        for number in range(3):
            backend.create_registration(Registration(Platform.WNS, device.channel, [f"stale-{number}"]))
    first = device.start(
        "registrations, first start", "Three stale duplicates of the channel wait at the hub."
    )
    hub.forget(registration=first.registration_ids["native"], gone=True)
    device.channel = "https://push.example/bell/2"
    device.start("registration gone", "The hub has ended one of its ids (410): it takes a new one.")


def _text(
    endpoint: str, story: list[dict[str, Any]], push: dict[str, Any], holds: dict[str, Any], seconds: float
) -> str:
    lines = [
        "Three devices and one notification hub, embedded in this process: nothing",
        f"leaves this machine. The hub listens on {endpoint} (TLS).",
    ]
    for number, step in enumerate(story, start=1):
        lines += ["", f"{number}. {step['step']}: {step['outcome']}", f"   {step['why']}"]
        lines += [_line(seen) for seen in step["requests"]]
        if not step["requests"]:
            lines.append("   (no request)")
    lines += ["", *demo_push.lines_of(push, len(story) + 1, HUB)]
    lines += ["", "What the hub holds of the first two:", ""]
    lines += [f"   {line}" for line in json.dumps(holds, indent=2).splitlines()]
    starts = [*story, *([] if "left_out" in push else [push])]
    requests = sum(len(start["requests"]) for start in starts)
    lines += ["", f"{len(starts)} starts, {requests} requests, {seconds:.1f} s."]
    return "\n".join(lines)


def _line(seen: dict[str, Any]) -> str:
    """One request in 80 columns: the hub's name, which is always the same, is left out."""
    path = seen["path"].removeprefix(f"/{HUB}")
    what = f"{path}?$filter=…" if path == "/registrations" and seen["method"] == "GET" else path
    return f"   {seen['method']:<6} {seen['status']} {what}"
