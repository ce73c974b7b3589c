"""``nhagent demo``: the main job, on a hub that is embedded in the process.

A device with a primary channel and a secondary tile is registered, started again, given new channels, and
lost by the hub. Every step shows the requests that the hub saw; the last shows what it holds. All of it is
real: files in a temporary folder, TLS on loopback, a listen-only key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

from nhagent.agent import Agent
from nhagent.models import SecondaryTile, Template

if TYPE_CHECKING:
    from nhagent.emulator import Emulator
    from nhagent.report import Report

HUB = "demo-hub"


@dataclass(slots=True)
class Device:
    """What the platform's push service gives this device: handles that may change at any moment."""

    channel: str = "https://push.example/thermostat/1"
    tile_channel: str = "https://push.example/thermostat/tile/1"

    def agent(self, hub: Emulator, folder: str) -> Agent:
        """The agent as the device's app makes it at every start."""
        return Agent(
            app="thermostat",
            hub=hub.hub,
            platform="wns",
            channel=lambda: self.channel,
            tags=["kitchen"],
            templates={
                "alert": Template(
                    body="<toast><text id='1'>$(message)</text></toast>",
                    headers={"X-WNS-Type": "wns/toast"},
                    tags=["alerts"],
                )
            },
            secondary_tiles={"weather": SecondaryTile(channel=lambda: self.tile_channel, tags=["weather"])},
            connection_string=hub.listen,
            ca_bundle=hub.ca,
            state_dir=folder,
        )


def run() -> tuple[dict[str, Any], str]:
    """Play it.

    Returns:
        The object for ``--json``, and the text for people, in 80 columns.
    """
    from nhagent.emulator import Emulator

    began = monotonic()
    device = Device()
    story: list[dict[str, Any]] = []
    with Emulator(HUB, tls=True) as hub, TemporaryDirectory(prefix="nhagent-demo-") as folder:

        def start(title: str, why: str) -> Report:
            hub.clear_log()
            report = device.agent(hub, folder).start()
            story.append(
                {
                    "step": title,
                    "why": why,
                    "outcome": str(report.outcome),
                    "installation_id": report.installation_id,
                    "requests": [
                        {"method": entry.method, "path": entry.path, "status": entry.status}
                        for entry in hub.log()
                    ],
                    "done": [step.partition(": ")[2] for step in report.steps],
                }
            )
            return report

        first = start("first start", "The hub does not know the device yet.")
        start("second start", "Nothing has changed, so nothing is sent.")
        device.channel = "https://push.example/thermostat/2"
        device.tile_channel = "https://push.example/thermostat/tile/2"
        start("both channels rotated", "The platform gave the device and its tile new handles.")
        hub.forget(installation=str(first.installation_id))
        device.channel = "https://push.example/thermostat/3"
        start("lost at the hub", "The hub has forgotten the device; the next change meets a 404.")
        held = hub.contents()["installations"]
        endpoint = hub.endpoint
    seconds = monotonic() - began
    document = {"steps": story, "holds": held, "elapsed": seconds, "error": None}
    return document, _text(endpoint, story, held, seconds)


def _text(endpoint: str, story: list[dict[str, Any]], held: list[Any], seconds: float) -> str:
    lines = [
        "One device and one notification hub, embedded in this process: nothing",
        f"leaves this machine. The hub listens on {endpoint} (TLS).",
    ]
    for number, step in enumerate(story, start=1):
        lines += ["", f"{number}. {step['step']}: {step['outcome']}", f"   {step['why']}"]
        lines += [f"   {seen['method']:<5} {seen['path']}  {seen['status']}" for seen in step["requests"]]
        lines += [f"         {_wrapped(done)}" for done in step["done"]]
        if not step["requests"]:
            lines.append("   (no request)")
    lines += ["", "What the hub holds now:", ""]
    lines += [f"   {line}" for line in json.dumps(held, indent=2).splitlines()]
    requests = sum(len(step["requests"]) for step in story)
    lines += ["", f"{len(story)} starts, {requests} requests, one installation id, {seconds:.1f} s."]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    from textwrap import wrap

    return "\n         ".join(wrap(text, 68))
