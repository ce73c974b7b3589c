"""What is made on the way, and what is logged and stored in a device's life: no secret is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from nhagent import (
    BrowserChannel,
    ConnectionString,
    HubClient,
    Installation,
    Platform,
    Registration,
    SecondaryTile,
    Template,
)
from nhagent.device.accepted import Sweep
from nhagent.device.credential_sources import FoundCredential
from nhagent.device.state import State
from nhagent.device.store import Memory
from nhagent.emulator.sas import AccessRule
from nhagent.hub.exchange import HubExchange
from nhagent.hub.markup import Element
from nhagent.hub.transport import Request, Response, Transport
from nhagent.reconcile.planner import StartInputs, StartPlan
from nhagent.reconcile.readings import Readings
from nhagent.reconcile.settings import Settings
from nhagent.report import to_plain
from nhagent.session.credential_chain import Source
from nhagent.steps import PutRecord, Step

from .marks import HANDLES, MARK, TILE, TOKEN
from .witness import Witness
from .world import STYLES, WNS, Cursed, World, raising

# A list of a channel's registrations has the handle in its address, and an element is what it was read from.
SHOWING = {Request, Element}


@pytest.mark.parametrize("style", STYLES)
def test_no_value_shows_a_secret_in_its_repr(world: World, style: str) -> None:
    world.style = style
    with Witness() as witness:
        agent = world.agent()
        shown: list[object] = [agent, *agent.plan(), agent.start(), agent.status(), *agent.plan()]
        world.channel = f"{WNS}&z={MARK}"
        steps = agent.plan()
        with HubClient(world.hub.listen, world.hub.hub) as client:
            registrations = list(client.registrations_by_channel(WNS))
    assert steps
    assert registrations
    values = {Memory, Readings, StartInputs, StartPlan, Settings, AccessRule}
    assert witness.kinds >= {*values, HubClient, HubExchange, Transport}
    assert any(issubclass(kind, Step) for kind in witness.kinds)
    for text, kind in witness.shown().items():
        if kind not in SHOWING:
            world.check(text, kind.__name__)
    shown += [*steps, *map(str, steps), client, *registrations]
    connection = ConnectionString.parse(world.hub.listen)
    browser = BrowserChannel.parse(HANDLES["browser"])
    tile = SecondaryTile(channel=TILE)
    shown += [
        connection, str(connection), f"{connection}", browser, str(browser), tile, Source("x", connection),
        Installation("a", Platform.WNS, WNS, secondary_tiles={"weather": tile}),
        Installation("a", Platform.BROWSER, browser),
        Registration(Platform.APNS, HANDLES["apns"], template=Template("{}"), template_name="t"),
        FoundCredential(world.hub.listen, "x"), Readings({"channel": WNS}),
        Request("GET", "http://x/", {"Authorization": TOKEN}, WNS.encode()),
        Response(200, {"x": TOKEN}, WNS.encode()), State(foreign=(WNS,), channels={"wns": {"channel": WNS}}),
        Sweep("wns", WNS), PutRecord("x", "y", "z", Registration(Platform.WNS, WNS)),
        world.hub, *world.hub.log(),
    ]  # fmt: skip
    for value in shown:
        world.check(repr(value), type(value).__name__)
        for part in getattr(value, "__dict__", {}).values():
            if type(part).__module__.startswith("nhagent"):
                world.check(repr(part), type(part).__name__)
    world.check_rest()


@pytest.mark.parametrize("style", STYLES)
def test_whole_life_of_a_device_leaves_no_secret_in_logs_and_state(world: World, style: str) -> None:
    world.style = style
    agent = world.agent(on_registered=lambda _: raising(Cursed())(), on_error=lambda _: raising(Cursed())())
    seen = [agent.start()]
    assert "a callback of the app failed (Cursed" in world.caplog.text
    world.channel = f"{WNS}&2"
    seen += [agent.start(), agent.add_tags("later"), agent.refresh(force=True)]
    world.channel = None
    seen += [agent.start(), world.agent(channel=raising(Cursed())).start()]
    assert "source failed" in world.caplog.text
    seen += [agent.unregister()]
    world.channel = WNS
    seen += [world.agent(connection_string=lambda: signed(world), endpoint=world.hub.endpoint).enable()]
    assert seen[-1].outcome == "registered"
    [folder] = [path.parent for path in world.folder.rglob("state.json")]
    (folder / "state.json").write_text("{")
    seen += [agent.start()]
    other = "registration" if style == "installation" else "installation"
    seen += [world.agent(style=other).start()]
    for report in seen:
        world.check(f"{report!r} {json.dumps(to_plain(report))}", "a report")
    world.check_rest()


def signed(world: World) -> str:
    return ConnectionString.parse(world.hub.listen).token(f"{world.hub.endpoint}/", datetime.now(UTC))


def test_bug_on_the_way_leaves_nothing_behind_in_the_log(world: World) -> None:
    class Bug(Exception):
        pass

    agent = world.agent(clock=raising(Bug("the clock")))
    with pytest.raises(Bug):
        agent.start()
    world.check_rest()
