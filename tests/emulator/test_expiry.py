"""What has expired by the hub's own clock is forgotten, and what a push service reports as dead is marked."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator

from .caller import Caller, toast, wns
from .describing import (
    VERSION,
    created,
    described,
    filtered,
    ids_of,
    native,
    on,
    template,
    windows,
)

CHANNEL = "https://x.notify.windows.com/?t=1"
HOUR = 3600
BROWSER = {"endpoint": "https://b/1", "p256dh": "p", "auth": "a"}


class Lasting(Caller):
    """A caller whose tokens outlive what the hub holds."""

    def token(self, *, lifetime: int = 10**10, now: float | None = None) -> str:
        return super().token(lifetime=lifetime, now=now)


@pytest.fixture(params=[False, True], ids=["strict", "lenient"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator("my-hub", lenient=request.param) as running:
        yield running


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[Caller]:
    with Lasting(emulator.endpoint, emulator.listen, emulator.hub) as caller:
        yield caller


@pytest.fixture
def backend(emulator: Emulator) -> Iterator[Caller]:
    with Lasting(emulator.endpoint, emulator.full, emulator.hub) as caller:
        yield caller


def ahead(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def of_channel(caller: Caller, channel: str = CHANNEL) -> list[str]:
    return ids_of(filtered(caller, f"ChannelUri eq '{channel}'"))


def test_an_installation_is_forgotten_when_its_time_has_come(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    hub.put(wns(tags=["a"], templates={"t": toast()}, expirationTime=ahead(HOUR)))
    hub.put({**wns(tags=["a"]), "installationId": "stays"})
    made = of_channel(hub)
    assert len(made) == 3
    emulator.set_clock(HOUR - 60)
    assert hub.get().status == 200
    emulator.set_clock(HOUR + 60)
    reply = hub.get()
    assert reply.status == 404
    assert "Installation not found" in reply.text
    assert hub.patch({"op": "add", "path": "/tags", "value": "b"}).status == 404
    left = of_channel(hub)
    assert left == made[2:]
    assert on(hub, "GET", made[0]).status == 404
    assert ids_of(backend.send("GET", f"/my-hub/registrations?{VERSION}")) == left
    assert ids_of(backend.send("GET", f"/my-hub/tags/a/registrations?{VERSION}")) == left
    assert [found["installationId"] for found in emulator.contents()["installations"]] == ["stays"]
    # Forgotten for good: a clock that goes back brings nothing back.
    emulator.set_clock(0)
    assert hub.get().status == 404
    assert hub.put(wns()).status == 200


def test_the_control_routes_show_nothing_that_has_expired(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(expirationTime=ahead(HOUR)))
    emulator.set_clock(2 * HOUR)
    assert hub.control("GET", "/hubs/my-hub").json["installations"] == []
    hub.put(wns(expirationTime=ahead(3 * HOUR)))
    emulator.set_clock(4 * HOUR)
    for route in ("/forget", "/expire"):
        assert hub.control("POST", route, {"installation": "i"}).status == 404
    with pytest.raises(KeyError):
        emulator.forget(installation="i")


@pytest.mark.parametrize("given", ["2001-01-01T00:00Z", "0900-01-01T00:00:00.0000000Z"])
def test_an_installation_whose_time_is_past_is_taken_and_forgotten(hub: Caller, given: str) -> None:
    assert hub.put(wns(expirationTime=given)).status == 200
    assert hub.get().status == 404


def test_a_later_time_and_a_new_channel_keep_an_installation(emulator: Emulator, hub: Caller) -> None:
    for installation_id in ("put", "patched", "without"):
        hub.put({**wns(expirationTime=ahead(HOUR)), "installationId": installation_id})
    hub.put({**wns(expirationTime=ahead(3 * HOUR)), "installationId": "put"})
    channel = {"op": "replace", "path": "/pushChannel", "value": "https://new/"}
    hub.patch(channel, installation_id="patched")
    hub.put({**wns(), "installationId": "without"})
    emulator.set_clock(2 * HOUR)
    assert [hub.get(found).status for found in ("put", "patched", "without")] == [200] * 3
    emulator.set_clock(4 * HOUR)
    assert [hub.get(found).status for found in ("put", "patched", "without")] == [404, 200, 200]


def test_a_clients_registration_has_no_time_of_its_own(emulator: Emulator, hub: Caller) -> None:
    # The service sets the time itself: never, unless the hub says otherwise.
    registration_id = created(hub, native("Gcm", f"<ExpirationTime>{ahead(HOUR)}</ExpirationTime>"))
    emulator.set_clock(100 * 365 * 24 * HOUR)
    assert on(hub, "GET", registration_id).status == 200


def test_a_registration_of_an_installation_that_a_client_took_over_expires_with_it(
    emulator: Emulator, hub: Caller
) -> None:
    hub.put(wns(expirationTime=ahead(HOUR)))
    (registration_id,) = of_channel(hub)
    assert on(hub, "PUT", registration_id, windows(CHANNEL)).status == 200
    emulator.set_clock(2 * HOUR)
    assert on(hub, "GET", registration_id).status == 404
    # The id may be used again, by PUT without If-Match.
    assert on(hub, "PUT", registration_id, windows(CHANNEL)).headers["ETag"] == 'W/"1"'


def test_what_expired_while_the_emulator_was_down_is_forgotten(tmp_path: Path) -> None:
    emulator = Emulator("my-hub", data=str(tmp_path / "hub.db"))
    with emulator, Lasting(emulator.endpoint, emulator.listen, "my-hub") as hub:
        hub.put(wns(expirationTime=ahead(HOUR)))
        hub.put({**wns(), "installationId": "stays"})
    emulator.set_clock(2 * HOUR)
    with emulator, Lasting(emulator.endpoint, emulator.listen, "my-hub") as hub:
        assert [hub.get(found).status for found in ("i", "stays")] == [404, 200]


def expire(emulator: Emulator, caller: Caller, by_route: bool, what: dict[str, Any]) -> None:
    if by_route:
        reply = caller.control("POST", "/expire", what)
        assert (reply.status, reply.json) == (200, {"ok": True})
    else:
        emulator.expire(**what)


@pytest.fixture(params=[False, True], ids=["method", "route"])
def by_route(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_an_installation_whose_channel_is_dead_stays_and_says_so(
    emulator: Emulator, hub: Caller, by_route: bool
) -> None:
    hub.put(wns(templates={"t": toast()}, tags=["a"]))
    before, made = hub.get().json, of_channel(hub)
    expire(emulator, hub, by_route, {"installation": "i"})
    assert hub.get().json == {**before, "pushChannelExpired": True}
    assert of_channel(hub) == made
    # A client cannot set the mark back but by a channel.
    hub.patch({"op": "add", "path": "/tags", "value": "b"})
    assert hub.get().json["pushChannelExpired"] is True
    hub.patch({"op": "replace", "path": "/pushChannel", "value": "https://new/"})
    assert hub.get().json["pushChannelExpired"] is False
    expire(emulator, hub, by_route, {"installation": "i"})
    hub.put(wns())
    assert hub.get().json["pushChannelExpired"] is False


def test_a_registration_whose_handle_is_dead_leaves_with_all_of_that_handle(
    emulator: Emulator, hub: Caller, by_route: bool
) -> None:
    gone = [created(hub, native("Gcm")), created(hub, template("Gcm"))]
    other = [
        created(hub, native("Gcm").replace("gcm:1", "gcm:2")),
        created(hub, described("Adm", "<AdmRegistrationId>gcm:1</AdmRegistrationId>")),
    ]
    expire(emulator, hub, by_route, {"registration": gone[0]})
    assert [on(hub, "GET", found).status for found in gone] == [404, 404]
    assert [on(hub, "GET", found).status for found in other] == [200, 200]


def test_a_registration_of_an_installation_stands_for_it(
    emulator: Emulator, hub: Caller, by_route: bool
) -> None:
    hub.put(wns(templates={"t": toast()}))
    own = created(hub, windows(CHANNEL))
    made = of_channel(hub)
    expire(emulator, hub, by_route, {"registration": made[1]})
    assert hub.get().json["pushChannelExpired"] is True
    assert of_channel(hub) == made
    assert own in made


def test_a_browsers_channel_keeps_its_form_when_it_is_dead(
    emulator: Emulator, hub: Caller, by_route: bool
) -> None:
    for channel in (BROWSER, json.dumps(BROWSER)):
        hub.put({"installationId": "i", "platform": "browser", "pushChannel": channel})
        expire(emulator, hub, by_route, {"installation": "i"})
        found = hub.get().json
        assert (found["pushChannel"], found["pushChannelExpired"]) == (channel, True)


def test_what_the_hub_does_not_hold_cannot_expire(emulator: Emulator, hub: Caller) -> None:
    for what in ({"installation": "i"}, {"registration": "1-1-1"}):
        with pytest.raises(KeyError):
            expire(emulator, hub, False, what)
        reply = hub.control("POST", "/expire", what)
        assert reply.status == 404
        assert next(iter(what.values())) in reply.json["error"]
    with pytest.raises(TypeError):
        expire(emulator, hub, False, {})
