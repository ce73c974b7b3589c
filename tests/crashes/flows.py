"""What a device lives through, to be stopped anywhere: how it comes there, what it does, what must hold."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from nhagent import Agent, Backend, HubClient, Platform, Registration, Report, SecondaryTile, Template
from nhagent.filesystem import Disk, read_whole
from tests.backend_double import TOKEN

from .volatile_disk import PowerCut, VolatileDisk

TOAST = Template(body="<toast>$(message)</toast>", headers={"X-WNS-Type": "wns/toast"}, tags=["alerts"])
BADGE = Template(body="<badge value='$(n)'/>", headers={"X-WNS-Type": "wns/badge"})
FOLDER = "/var/lib/nhagent"


@dataclass
class Hub:
    """What a process knows of a hub that runs in another one."""

    hub: str
    listen: str
    url: str = ""


@dataclass
class World:
    """One device, its disk (None: the real one) and its hub."""

    hub: Any
    style: Any
    disk: VolatileDisk | None = field(default_factory=VolatileDisk)
    channel: str = "https://push.example/1"
    tile: str = "https://push.example/tile/1"
    templates: dict[str, Template] = field(default_factory=lambda: {"alert": TOAST})
    tags: list[str] | None = field(default_factory=lambda: ["kitchen"])
    machine: str = "first"
    state_dir: str = FOLDER
    days: float = 0

    def agent(self) -> Agent:
        where: dict[str, Any] = {
            "hub": self.hub.hub,
            "connection_string": self.hub.listen,
            "style": self.style,
        }
        if self.style == "backend":
            where = {"hub": Backend(self.hub.hub, self.hub.url, token=TOKEN)}
        return Agent(
            app="thermostat",
            platform="wns",
            channel=lambda: self.channel,
            tags=self.tags,
            templates=self.templates,
            secondary_tiles={"weather": SecondaryTile(channel=lambda: self.tile)} if self.tile else {},
            **where,
            state_dir=self.state_dir,
            clock=self._now,
            sleep=lambda _: None,
            random=lambda: 0.5,
            machine=lambda: self.machine,
            disk=self.disk,
        )

    def start(self) -> Report:
        return self.agent().start(timeout=0)

    def identity(self) -> str | None:
        """The id on disk."""
        try:
            content = read_whole(self.disk or Disk(), self.path("identity.json"), 10_000)
            return str(json.loads(content)["installation_id"])
        except (FileNotFoundError, ValueError):
            return None

    def path(self, name: str) -> str:
        return os.path.join(self.state_dir, "thermostat", self.hub.hub, name)

    def held(self) -> list[str]:
        """What the hub holds, one name for each record."""
        contents = self.hub.contents()
        installations = [
            f"installation {held['pushChannel']} {sorted(held.get('templates') or {})} "
            f"{sorted(held.get('tags') or [])} "
            f"{[tile['pushChannel'] for tile in (held.get('secondaryTiles') or {}).values()]}"
            for held in contents["installations"]
        ]
        rows = [
            f"registration {row.get('secondaryTileName', '')}/{row.get('templateName', 'native')} "
            f"{row['channel'] if 'channel' in row else row.get('channelUri')}"
            for row in contents["registrations"]
            if not row.get("installationId")
        ]
        return sorted(installations + rows)

    def _now(self) -> datetime:
        if self.disk is not None:
            self.disk.fuse.burn("clock, before or after a request")
        return datetime.now(UTC) + timedelta(days=self.days)


def _nothing(world: World) -> None:
    """It begins from nothing."""


def _registered(world: World) -> None:
    assert world.start().error is None


def _stale_rows(world: World) -> None:
    """What a device that lost its disk left at the hub, twice."""
    with HubClient(world.hub.full, world.hub.hub) as backend:
        for _ in range(2):
            backend.create_registration(Registration(Platform.WNS, world.channel, ["stale"]))
            backend.create_registration(
                Registration(Platform.WNS, world.channel, template=TOAST, template_name="alert")
            )


def _lost_disk(world: World) -> None:
    _registered(world)
    if world.disk is None:
        shutil.rmtree(world.state_dir)
    else:
        world.disk = VolatileDisk()


def _unregistered(world: World) -> None:
    _registered(world)
    assert world.agent().unregister(timeout=0).outcome == "disabled"


def _other_style(world: World) -> None:
    wanted = world.style
    world.style = "registration" if wanted == "installation" else "installation"
    _registered(world)
    world.style = wanted


def _start(world: World) -> Report:
    return world.start()


def _rotate(world: World) -> None:
    world.channel, world.tile = "https://push.example/2", "https://push.example/tile/2"


def _redeclare(world: World) -> None:
    world.templates, world.tile = {"badge": BADGE}, ""


def _forgotten(world: World) -> None:
    _registered(world)
    contents = world.hub.contents()
    for held in contents["installations"]:
        world.hub.forget(installation=held["installationId"])
    for row in contents["registrations"]:
        if not row.get("installationId"):
            world.hub.forget(registration=row["registrationId"], gone=True)


def _let_time_pass(world: World) -> None:
    """The refresh is due, and will find out what the hub has lost."""
    world.days = 2


def _unregister(world: World) -> Report:
    return world.agent().unregister(timeout=0)


def _enable(world: World) -> Report:
    return world.agent().enable(timeout=0)


def _enable_again(world: World) -> None:
    world.agent().enable(timeout=0)


def _damaged(world: World) -> None:
    """The state file is torn, and says so."""
    _registered(world)
    path = world.path("state.json")
    if world.disk is None:
        os.truncate(path, os.path.getsize(path) - 40)
    else:
        world.disk.put(path, world.disk.files()[path][:-40])


def _with_leftovers(world: World) -> None:
    _registered(world)
    _stale_rows(world)


@dataclass(frozen=True)
class Flow:
    """One thing that a device lives through.

    Attributes:
        before: brings it there, undisturbed.
        act: what is stopped.
        change: what has become different when it begins.
        again: what a person does again before the start that must mend all; None: nothing.
        keeps: the identity on disk before is the one afterwards.
        off: nothing is at the hub in the end.
    """

    name: str
    before: Callable[[World], None]
    act: Callable[[World], Report] = _start
    change: Callable[[World], None] = _nothing
    again: Callable[[World], object] | None = None
    keeps: bool = True
    off: bool = False


FLOWS = [
    Flow("first run", _nothing),
    Flow("first run among stale duplicates", _stale_rows),
    Flow("first run after a lost disk", _lost_disk),
    Flow("rotation of the channels", _registered, change=_rotate),
    Flow("change of templates and tiles", _registered, change=_redeclare),
    Flow("change of style", _other_style),
    Flow("lost at the hub", _forgotten, change=_let_time_pass),
    Flow("torn state file", _damaged),
    Flow("unregister", _registered, _unregister, again=_unregister, off=True),
    Flow("unregister among leftovers", _with_leftovers, _unregister, again=_unregister, off=True),
    Flow("enable", _unregistered, _enable, again=_enable_again, keeps=False),
]
STYLES = ["installation", "registration", "backend"]


def stopped(world: World, flow: Flow, at: int | None, failure: OSError | None = None) -> list[str]:
    """Carry a flow out up to an operation; what was done until then."""
    assert world.disk is not None
    world.disk.fuse.seen.clear()
    world.disk.fuse.at, world.disk.fuse.fails = at, failure
    flow.change(world)
    try:
        flow.act(world)
    except PowerCut:
        assert failure is None
    seen = list(world.disk.fuse.seen)
    world.disk.fuse.at = world.disk.fuse.fails = None
    return seen


def mended(world: World, flow: Flow) -> None:
    """One start must leave one record of each name, under the same identity; a second has nothing to do."""
    before = world.identity()
    if flow.again is not None:
        flow.again(world)
    report = world.start()
    assert report.error is None, report
    if before is not None and flow.keeps:
        assert world.identity() == before, "another identity"
    check(world, flow, report)
    world.hub.clear_log()
    world.days = 0
    assert world.start().error is None
    assert world.hub.log() == [], "the next start is not at rest"


def check(world: World, flow: Flow, report: Report) -> None:
    """What the hub must hold in the end."""
    if flow.off:
        assert report.outcome == "disabled"
        assert world.held() == []
        return
    tiles = [world.tile] if world.tile else []
    if world.style != "registration":
        tags = sorted(world.tags or [])
        expected = [f"installation {world.channel} {sorted(world.templates)} {tags} {tiles}"]
        [held] = world.hub.contents()["installations"]
        assert held["installationId"] == report.installation_id
    else:
        names = ["native", *world.templates]
        expected = [f"registration /{name} {world.channel}" for name in names]
        expected += [f"registration weather/native {tile}" for tile in tiles]
    assert world.held() == sorted(expected)


def scenario(seed: int) -> tuple[Flow, str, random.Random]:
    """The flow and style of a seed: all of them in turn."""
    luck = random.Random(seed)
    return FLOWS[seed % len(FLOWS)], STYLES[seed // len(FLOWS) % len(STYLES)], luck
