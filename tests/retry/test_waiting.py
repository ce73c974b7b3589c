"""Wrong clocks, waits that outlive a restart, and looks at what the hub holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nhagent import BrowserChannel, ConnectionString, HubClient, SecondaryTile
from nhagent.emulator import Emulator
from nhagent.errors import HeldBack, HubUnavailable, InvalidRequest, Throttled, Unauthorized
from nhagent.report import StartState
from tests.device_under_test import PLAIN, TOAST, Device, first_run, register

YEARS = timedelta(days=3652)
OFFSETS = [sign * offset for offset in (timedelta(minutes=10), timedelta(days=1), YEARS) for sign in (1, -1)]


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("offset", OFFSETS, ids=str)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_wrong_clock_costs_at_most_two_requests_more(
    tls: bool,
    offset: timedelta,
    style: str,
    notification_hub: Emulator,
    tls_notification_hub: Emulator,
    tmp_path: Any,
) -> None:
    device = Device(tls_notification_hub if tls else notification_hub, tmp_path / "state")
    right = Device(device.hub, tmp_path / "right").start(style=style, first_run_list=True).requests
    device.channel, device.tile_channel = "https://push.example/w", "https://push.example/tile/w"
    device.offset = offset
    agent = device.agent(style=style, first_run_list=True)
    report = agent.start()
    assert report.outcome == "registered"
    assert report.requests <= right + 2
    assert report.clock_skew == pytest.approx(-offset.total_seconds(), abs=5)
    device.channel = "https://push.example/w2"
    assert agent.start().requests <= (1 if style == "installation" else 2), "remembered by the process"


def test_clock_that_is_ahead_does_not_refresh_at_every_start(device: Device) -> None:
    device.offset = YEARS
    device.start()
    device.seen()
    for _ in range(3):
        assert device.start().requests == 0
    device.offset += timedelta(days=2)
    assert device.start().requests > 0, "two days have passed by its own clock"


def test_clock_that_is_set_right_does_not_keep_the_device_from_refreshing(device: Device) -> None:
    device.offset = timedelta(days=5)
    device.start()
    device.offset = timedelta()
    assert device.start().requests == 0
    device.offset = timedelta(days=6.5)
    assert device.start().requests > 0


def test_every_tenth_start_before_the_last_acceptance_refreshes(device: Device) -> None:
    device.start()
    device.seen()
    device.offset = -YEARS
    requests = [device.start().requests for _ in range(21)]
    assert [bool(count) for count in requests] == [number in {9, 19} for number in range(21)]
    assert device.seen().count("PUT") == 2


def test_date_that_moves_with_every_401_is_followed_once(device: Device) -> None:
    for hours in (2, 5, 9):
        date = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        device.hub.fail("*", status=401, headers={"Date": date})
    with pytest.raises(Unauthorized, match="401"):
        device.start()
    assert len(device.seen()) == 2


def test_expiry_is_reckoned_by_the_hubs_clock(device: Device) -> None:
    device.offset = -YEARS
    device.start(expires_after=timedelta(days=90))
    expires = datetime.fromisoformat(device.held()[0]["expirationTime"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)


@pytest.mark.parametrize("offset", [YEARS, -YEARS], ids=["ahead", "behind"])
@pytest.mark.parametrize("by_token", [True, False], ids=["token callable", "key"])
def test_expiry_of_a_first_run_is_reckoned_by_the_hubs_clock_without_a_401(
    device: Device, offset: timedelta, by_token: bool
) -> None:
    key = ConnectionString.parse(device.hub.listen)
    given: dict[str, Any] = {
        "connection_string": lambda: key.token(device.hub.endpoint, datetime.now(UTC)),
        "endpoint": device.hub.endpoint,
    }
    device.offset = offset
    first_run(device, expires_after=timedelta(days=90), **(given if by_token else {}))
    expires = datetime.fromisoformat(device.held()[0]["expirationTime"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)


def test_clock_that_is_set_while_the_process_runs_is_believed_again(device: Device) -> None:
    device.offset = -YEARS
    agent = device.agent(expires_after=timedelta(days=90))
    assert agent.start().requests == 2, "one by its own clock, one by the hub's"
    device.offset = timedelta()
    device.seen()
    for _ in range(3):
        assert agent.start().outcome == "unchanged"
    agent.refresh(force=True)
    expires = datetime.fromisoformat(device.held()[0]["expirationTime"])
    assert abs(expires - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert device.seen() == ["PUT"]


# Waits that outlive a restart.


@pytest.mark.parametrize("retry_after", [None, "300"])
def test_reboot_does_not_make_the_hubs_wish_forgotten(device: Device, retry_after: str | None) -> None:
    device.start()
    device.channel = "https://push.example/2"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    device.hub.fail("*", status=429, times=99, headers=headers)
    device.seen()
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    for _ in range(5):  # a reboot loop
        report = device.agent().start(timeout=0)
        assert isinstance(report.error, HeldBack)
        assert (report.outcome, report.requests) == ("waiting", 0)
        assert report.next_attempt is not None
    assert len(device.seen()) == 1
    assert device.agent().status().last_error == "Throttled"
    device.offset = timedelta(hours=1)
    device.hub.clear_faults()
    assert device.start().outcome == "updated"
    assert device.agent().status().last_error is None


def test_first_start_that_was_throttled_is_held_back_after_a_reboot_too(device: Device) -> None:
    device.hub.fail("*", status=429)
    assert isinstance(device.agent(first_run_list=True).start(timeout=0).error, Throttled)
    report = device.agent(first_run_list=True).start(timeout=0)
    assert isinstance(report.error, HeldBack)
    assert device.seen() == ["GET"]
    device.offset = timedelta(hours=1)
    assert first_run(device).outcome == "registered"
    assert device.agent().status().last_error is None


def test_hub_that_asked_for_time_is_not_asked_anything_else_either(device: Device) -> None:
    device.start()
    device.hub.fail("GET", status=429)
    with pytest.raises(Throttled):
        device.agent().verify()
    device.channel = "https://push.example/2"
    assert isinstance(device.agent().start(timeout=0).error, HeldBack)
    with pytest.raises(HeldBack):
        device.agent().verify()
    assert device.seen() == ["PUT", "GET"]


def test_tries_go_on_being_counted_after_a_restart(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, times=99)
    waits = []
    for number in range(4):
        device.offset = timedelta(days=number)
        report = device.agent().start(timeout=0)
        assert report.next_attempt is not None
        waits.append((report.next_attempt - datetime.now(UTC) - device.offset).total_seconds())
    assert waits == pytest.approx([205, 385, 745, 1465], abs=2)


def test_nothing_to_send_waits_for_nothing(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429)
    device.agent().start(timeout=0)
    device.channel = "https://push.example/1"
    report = device.start()
    assert (report.outcome, report.error) in {("unchanged", None), ("updated", None)}


def test_clock_that_was_set_back_does_not_make_the_wait_longer(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "100"})
    device.agent().start(timeout=0)
    device.offset = -YEARS
    error = device.agent().start(timeout=0).error
    assert isinstance(error, HeldBack)
    assert error.retry_after is not None
    assert error.retry_after <= 120


@pytest.mark.parametrize("retry_after", [None, "600"])
def test_throttled_while_the_clock_was_ahead_waits_once_and_not_until_that_day(
    device: Device, retry_after: str | None
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    device.hub.fail("*", status=429, headers=headers)
    device.offset = YEARS
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    device.offset = timedelta()
    assert isinstance(device.agent().start(timeout=0).error, HeldBack), "a new process, and the time is right"
    device.offset = timedelta(minutes=15)
    assert device.start().outcome == "updated"


def test_wait_that_no_hub_can_have_asked_for_is_not_believed(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429)
    device.agent().start(timeout=0)
    state = device.files["state.json"]
    document = json.loads(state.read_text())
    document["trouble"]["until"] = f"7{document['trouble']['until'][1:]}"  # one digit has changed
    state.write_text(json.dumps(document))
    assert isinstance(device.agent().start(timeout=0).error, HeldBack)
    device.offset = timedelta(hours=2, minutes=1)
    assert device.start().outcome == "updated"


def test_start_with_nothing_to_send_does_not_forget_what_the_hub_asked_for(device: Device) -> None:
    device.start()
    device.hub.fail("*", status=429, headers={"Retry-After": "600"}, times=9)
    with pytest.raises(Throttled):
        device.agent().verify()
    before = device.files["state.json"].read_bytes()
    for _ in range(2):
        assert device.start().outcome == "unchanged"
        with pytest.raises(HeldBack):
            device.agent().verify()
    assert device.files["state.json"].read_bytes() == before
    assert device.seen() == ["PUT", "GET"]


def test_source_that_fails_does_not_shorten_what_the_hub_asked_for(device: Device) -> None:
    device.start()
    agent = device.agent()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "3000"}, times=9)
    assert isinstance(agent.start(timeout=0).error, Throttled)
    device.slept.clear()
    device.tile_channel = OSError("the platform is busy")
    error = agent.start(timeout=0).error
    assert isinstance(error, HeldBack)
    agent.start(timeout=300)
    assert len(device.seen()) == 2


def test_clock_that_is_set_in_a_pause_does_not_shorten_what_the_hub_asked_for(device: Device) -> None:
    class Ended(BaseException):
        pass

    device.hub.fail("*", status=429)
    lived, asked = [0.0], []

    def wait(seconds: float) -> bool:
        asked.append((lived[0], len(device.hub.log())))
        lived[0] += min(seconds, 10.0)
        device.offset = YEARS  # the network time has come
        if lived[0] > 3600:
            raise Ended
        return False

    with pytest.raises(Ended):
        device.agent(first_run_list=True).live(wait=wait, lived=lambda: lived[0])
    first_again = next(moment for moment, requests in asked if requests > 1)
    assert first_again >= 205
    assert len(device.held()) == 1


@pytest.mark.parametrize("wish", ["0", "-5", "soon", "99999999999", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_hub_that_asks_for_time_in_odd_words_is_not_asked_at_once(device: Device, wish: str) -> None:
    device.hub.fail("*", status=403, headers={"Retry-After": wish}, times=99)
    report = device.agent().start(timeout=0.5)
    assert isinstance(report.error, Throttled)
    assert report.next_attempt is not None
    assert report.next_attempt - datetime.now(UTC) < timedelta(hours=2)
    assert (device.seen(), device.slept) == (["PUT"], [])


def test_plan_that_was_throttled_holds_back_the_start_too(device: Device) -> None:
    device.hub.fail("*", status=429, headers={"Retry-After": "3600"}, times=99)
    agent = device.agent(first_run_list=True)
    with pytest.raises(Throttled):
        agent.plan()
    with pytest.raises(HeldBack):
        device.agent(first_run_list=True).plan()
    assert isinstance(device.agent(first_run_list=True).start(timeout=0).error, HeldBack)
    assert device.seen() == ["GET"]


def test_hub_that_asked_for_time_holds_nobody_back_from_another(
    device: Device, another_namespace: dict[str, Any]
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "3600"}, times=99)
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    assert device.start(**another_namespace).outcome == "registered"


def test_first_start_with_a_refused_key_is_blocked(device: Device) -> None:
    device.hub.fail("*", status=401, times=9)
    with pytest.raises(Unauthorized):
        device.agent(first_run_list=True).start(timeout=0)
    status = device.agent().status()
    assert (status.state, status.last_error, status.failures) == (StartState.BLOCKED, "Unauthorized", 1)
    device.hub.clear_faults()
    assert first_run(device).outcome == "registered"
    assert device.agent().status().state is StartState.IN_SYNC


def test_network_that_was_away_is_tried_at_once_after_a_restart(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", cut_after=0)
    assert isinstance(device.agent().start(timeout=0).error, HubUnavailable)
    before = device.files["state.json"].read_text()
    assert json.loads(before)["trouble"] is None
    assert device.start().outcome == "updated"


def test_first_request_after_the_boot_waits_for_the_devices_own_place(device: Device) -> None:
    spread: dict[str, Any] = {"startup_spread": timedelta(days=20_000), "machine": lambda: "a board"}
    report = device.agent(**spread).start(timeout=0)
    assert isinstance(report.error, HeldBack)
    again = device.agent(**spread).start(timeout=0).error
    assert isinstance(again, HeldBack)
    assert again.retry_after == pytest.approx(report.error.retry_after, abs=5), "it keeps its place"
    assert device.seen() == []
    assert device.start(startup_spread=timedelta(milliseconds=1)).outcome == "registered"
    assert device.start(**spread).outcome == "unchanged", "there is nothing to wait for"


# A look at what the hub holds.


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_hub_that_holds_what_it_accepted_is_in_sync(device: Device, style: str) -> None:
    device.start(style=style)
    device.seen()
    agent = device.agent(style=style)
    assert agent.status().verified_at is None
    seen = agent.verify()
    assert (seen.in_sync, seen.drift, seen.expired) == (True, (), ())
    assert seen.requests == (1 if style == "installation" else 3)
    assert set(device.seen()) == {"GET"}
    assert agent.status().verified_at is not None
    assert device.start(style=style).requests == 0


def test_drift_is_told_field_by_field_and_mended_by_the_next_start(
    device: Device, backend: HubClient
) -> None:
    report = device.start()
    [held] = device.held()
    backend.patch_installation(
        str(report.installation_id),
        [
            {"op": "add", "path": "/tags", "value": "cellar"},
            {"op": "replace", "path": "/templates/alert/body", "value": "<toast/>"},
            {"op": "replace", "path": "/pushChannel", "value": "https://push.example/stolen"},
        ],
    )
    agent = device.agent()
    seen = agent.verify()
    assert not seen.in_sync
    drift = {part.field: part for part in seen.drift}
    assert set(drift) == {"tags", "templates.alert.body", "pushChannel"}
    assert drift["tags"].found == "['cellar', 'kitchen']"
    assert held["pushChannel"] not in str(seen)
    assert "stolen" not in str(seen)
    assert agent.status().in_doubt == ("installation",)
    assert device.start().outcome == "updated"
    assert device.held()[0]["tags"] == ["kitchen"]
    assert agent.verify().in_sync


@pytest.mark.parametrize("what", ["copied", "damaged", "moved"])
def test_verify_asks_for_nothing_that_is_not_known_to_be_its_own(
    device: Device, what: str, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    device.start(machine=lambda: "the first board")
    device.seen()
    changes: dict[str, Any] = {"machine": lambda: "the first board"}
    if what == "copied":
        changes = {"machine": lambda: "the other board"}
    elif what == "damaged":
        device.files["state.json"].write_text("{")
    else:
        changes |= another_namespace
    before = device.files["state.json"].read_text()
    seen = device.agent(**changes).verify()
    assert (seen.in_sync, seen.verified_at, seen.requests) == (False, None, 0)
    assert "none that is known" in str(seen.drift[0])
    assert (device.seen(), tls_notification_hub.log()) == ([], [])
    assert device.files["state.json"].read_text() == before


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_record_that_the_hub_has_lost_is_told_and_made_again(device: Device, style: str) -> None:
    report = device.start(style=style)
    if style == "installation":
        device.hub.forget(installation=str(report.installation_id))
    else:
        device.hub.forget(registration=report.registration_ids["template:alert"], gone=True)
    agent = device.agent(style=style)
    seen = agent.verify()
    assert [(part.field, part.found) for part in seen.drift] == [("", "none")]
    assert device.start(style=style).error is None
    assert agent.verify().in_sync


def test_expired_channel_is_not_sent_again_until_the_source_gives_another(device: Device) -> None:
    report = device.start(**PLAIN)
    device.hub.expire(installation=str(report.installation_id))
    agent = device.agent(**PLAIN)
    seen = agent.verify()
    assert (seen.in_sync, seen.expired) == (False, ("channel",))
    device.seen()
    report = device.agent(**PLAIN).refresh(force=True, timeout=0)
    assert report.outcome == "waiting"
    assert "marked as expired" in str(report.error)
    assert device.seen() == []
    device.channel = "https://push.example/2"
    assert device.start(**PLAIN).outcome == "updated"
    assert agent.verify().in_sync


def test_unregistered_device_is_verified_to_be_gone(device: Device, backend: HubClient) -> None:
    first_run(device)
    agent = device.agent(first_run_list=True)
    agent.unregister()
    assert agent.verify().in_sync
    from nhagent import Platform, Registration

    backend.create_registration(Registration(Platform.WNS, device.channel, template=TOAST, template_name="a"))
    seen = agent.verify()
    assert [part.record for part in seen.drift] == ["registration"]
    assert agent.start().outcome == "disabled"
    assert agent.verify().in_sync


def test_device_that_never_registered_is_told_without_a_request(device: Device) -> None:
    seen = device.agent().verify()
    assert not seen.in_sync
    assert "none was ever accepted" in str(seen.drift[0])
    assert device.seen() == []


def test_row_that_was_throttled_before_it_was_ever_written_is_not_in_sync(device: Device) -> None:
    device.hub.fail("PUT", status=429)
    device.agent(style="registration", **PLAIN).start(timeout=0)
    device.offset = timedelta(hours=1)
    assert device.seen() == ["POST", "PUT"]
    agent = device.agent(style="registration", **PLAIN)
    seen = agent.verify()
    assert (seen.in_sync, seen.verified_at, seen.requests) == (False, None, 0)
    assert "none was ever accepted" in str(seen.drift[0])
    assert device.seen() == []
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    assert device.start(style="registration", **PLAIN).error is None
    assert agent.verify().in_sync


@pytest.mark.parametrize("owned", [{}, {"owns_tags": False, "tags": None}], ids=["ours", "backend"])
def test_row_that_the_hub_refused_is_told_beside_those_that_it_holds(
    device: Device, owned: dict[str, Any]
) -> None:
    mine: dict[str, Any] = {
        "style": "registration",
        "secondary_tiles": {},
        "templates": {"alert": replace(TOAST, tags=())},
        **owned,
    }
    device.hub.fail("PUT", status=400)
    with pytest.raises(InvalidRequest):
        device.start(**mine)
    device.seen()
    agent = device.agent(**mine)
    seen = agent.verify()
    assert not seen.in_sync
    assert [str(part) for part in seen.drift] == [
        "native: expected a record, the hub holds none that is known: none was ever accepted"
    ]
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    device.start(**mine)
    assert device.seen() == ["GET", "PUT"], "what was never written is not read first"
    assert agent.verify().in_sync


def test_row_that_has_not_even_an_id_is_told_beside_those_that_the_hub_holds(device: Device) -> None:
    mine: dict[str, Any] = {"style": "registration", "secondary_tiles": {}}
    device.hub.fail("POST", delay=0.01)
    device.hub.fail("POST", status=429)
    device.agent(**mine).start(timeout=0)
    device.offset = timedelta(hours=1)
    assert device.seen() == ["POST", "PUT", "POST"]
    agent = device.agent(**mine)
    assert [(part.record, part.field) for part in agent.verify().drift] == [("template:alert", "")]
    assert json.loads(device.files["state.json"].read_text())["in_doubt"] == []
    device.start(**mine)
    assert device.seen() == ["GET", "POST", "PUT"]
    assert agent.verify().in_sync


@pytest.mark.parametrize(
    ("before", "after"), [("installation", "registration"), ("registration", "installation")]
)
def test_records_of_the_other_style_are_told_without_a_request(
    device: Device, before: str, after: str
) -> None:
    device.start(style=before)
    device.seen()
    agent = device.agent(style=after)
    seen = agent.verify()
    assert (seen.in_sync, seen.verified_at, device.seen()) == (False, None, [])
    [part] = seen.drift
    assert str(part).startswith(f"{after}: expected a record, the hub holds none that is known: ")
    assert str(part).endswith(f'what it accepted is of style "{before}"')
    assert json.loads(device.files["state.json"].read_text())["verified_at"] is None
    device.start(style=after)
    assert agent.verify().in_sync


def test_device_that_was_unregistered_before_it_had_a_channel_is_not_called_verified(device: Device) -> None:
    device.channel = device.tile_channel = None
    device.agent().unregister()
    seen = device.agent().verify()
    assert (seen.in_sync, seen.verified_at, device.seen()) == (True, None, [])


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
    held, _ = backend.get_installation(str(report.installation_id))
    backend.put_installation(replace(held, templates={"alert": replace(TOAST, tags=["alert"])}))
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

    held, _ = backend.get_installation(str(report.installation_id))
    changed = {name: replace(bare, body="<toast/>") for name in names}
    tile = replace(held.secondary_tiles["channel"], templates={"tags": changed["tags"]}, from_hub=True)
    backend.put_installation(
        replace(
            held,
            templates=changed,
            push_variables=dict.fromkeys(names, "2"),
            secondary_tiles={"channel": tile},
            from_hub=True,
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
        held, _ = backend.get_installation(str(report.installation_id))
        backend.put_installation(replace(held, push_channel="AB" * 32, tags=["B", "kitchen"]))
    else:
        key = report.registration_ids["native"]
        row, _ = backend.get_registration(key)
        backend.create_or_update_registration(key, replace(row, channel="AB" * 32, tags=["B", "kitchen"]))
    agent = device.agent(**mine)
    assert agent.verify().drift == ()
    assert device.start(**mine).outcome == "unchanged"


def test_subscription_with_other_keys_is_drift(device: Device, backend: HubClient) -> None:
    device.channel = {"endpoint": "https://push.example/1", "p256dh": "BGZk", "auth": "c2Vj"}
    mine: dict[str, Any] = {**PLAIN, "platform": "browser"}
    report = device.start(**mine)
    held, _ = backend.get_installation(str(report.installation_id))
    other = BrowserChannel("https://push.example/1", "BGZk", "b3RoZXI")
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


def test_registered_device_has_a_state_that_tells_accepted_from_verified(device: Device) -> None:
    register(device)
    status = device.agent(style="registration").status()
    assert status.state is StartState.IN_SYNC
    assert status.accepted_at is not None
    assert status.verified_at is None
