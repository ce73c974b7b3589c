"""All that a hub holds, taken down and put back; a hub that begins with a file's content."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nhagent.emulator import Emulator

from .caller import Caller, toast, wns
from .describing import described, post

GCM = "<Tags>b,c</Tags><GcmRegistrationId>g</GcmRegistrationId>"


def schedule(backend: Caller, hours: float) -> None:
    """Send to everybody on Windows, some hours from now."""
    when = datetime.now(UTC) + timedelta(hours=hours)
    headers = {
        "ServiceBusNotification-Format": "windows",
        "ServiceBusNotification-ScheduleTime": f"{when:%Y-%m-%dT%H:%M:%S}",
        "X-WNS-Type": "wns/toast",
    }
    target = f"/{backend.hub}/schedulednotifications?api-version=2020-06"
    reply = backend.send("POST", target, "<toast/>", headers=headers)
    assert reply.status == 201, reply.text


def fill(emulator: Emulator) -> None:
    """One of everything that a hub holds."""
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as backend:
        templates = {"one": toast(tags=["a"]), "<two>": toast()}
        tiles = {"tile": {"pushChannel": "https://x.notify.windows.com/?t=2", "templates": {"t": toast()}}}
        backend.put(wns(templates=templates, secondaryTiles=tiles, tags=["b"]))
        assert post(backend, described("Gcm", GCM)).status == 200
        backend.put(wns(installationId="j", userId="u"))
        backend.patch({"op": "add", "path": "/tags", "value": "later"}, installation_id="j")
        keys = {"endpoint": "https://push.example/1", "p256dh": "p", "auth": "a"}
        backend.put(wns(installationId="k", platform="browser", pushChannel=keys))
        emulator.expire(installation="k")
        emulator.forget(registration="1-2-3", gone=True)
        schedule(backend, 1)


def lists(emulator: Emulator) -> str:
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as backend:
        reply = backend.send("GET", f"/{emulator.hub}/registrations?api-version=2020-06")
        assert reply.status == 200
        return reply.text.partition("<entry")[2].replace(emulator.endpoint.partition("//")[2], "HOST")


def test_a_snapshot_is_put_back_exactly_in_another_hub_and_with_its_ids(emulator: Emulator) -> None:
    fill(emulator)
    taken = emulator.snapshot()
    assert [each["installationId"] for each in taken["installations"]] == ["i", "j", "k"]
    with Emulator("other") as other:
        other.restore(taken)
        again = other.snapshot()
        assert {**again, "hub": "my-hub", "at": taken["at"]} == taken
        assert other.contents()["installations"] == emulator.contents()["installations"]
        assert other.contents()["registrations"] == emulator.contents()["registrations"]
        with Caller(other.endpoint, other.full, other.hub) as backend:
            gone = backend.send(
                "PUT",
                "/other/registrations/1-2-3?api-version=2020-06",
                described("Gcm", GCM),
            )
            assert gone.status == 410


def test_putting_back_undoes_all_that_came_after(emulator: Emulator, hub: Caller) -> None:
    fill(emulator)
    taken = emulator.snapshot()
    hub.delete("i")
    hub.put(wns(installationId="new"))
    emulator.forget(registration="9-9-9", gone=True)
    assert hub.control("POST", "/restore", taken).json == {"ok": True}
    assert {**hub.control("GET", "/snapshot").json, "at": taken["at"]} == taken


def test_a_scheduled_send_is_put_back_and_is_sent_at_its_time(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(tags=["t"]))
    with Caller(emulator.endpoint, emulator.full, emulator.hub) as backend:
        schedule(backend, 2)
    taken = emulator.snapshot()
    assert len(taken["scheduled"]) == 1
    emulator.reset()
    assert emulator.snapshot()["scheduled"] == []
    emulator.restore(taken)
    emulator.set_clock(3 * 3600)
    assert [each.installation for each in emulator.wait_for_delivery(timeout=30).matched] == ["i"]


def test_an_emulator_that_was_reset_is_as_new_but_for_its_keys(emulator: Emulator, hub: Caller) -> None:
    fill(emulator)
    emulator.fail("PUT", status=503, times=9)
    emulator.set_clock(3600)
    keys = emulator.listen, emulator.full, emulator.endpoint
    assert hub.control("POST", "/reset").json == {"ok": True}
    assert emulator.contents() == {"hub": "my-hub", "installations": [], "registrations": []}
    assert emulator.log() == []
    assert emulator.deliveries() == []
    assert (emulator.listen, emulator.full, emulator.endpoint) == keys
    assert hub.put(wns()).status == 200


def test_health_is_answered_without_a_token(hub: Caller) -> None:
    reply = hub.control("GET", "/health")
    assert (reply.status, reply.json["ok"], reply.json["hub"]) == (200, True, "my-hub")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: [found], "A snapshot is a JSON object."),
        (lambda _: {}, "has neither 'installations' nor 'registrations'"),
        (lambda found: found | {"schema": 2}, "has the form 2; this emulator reads 1"),
        (lambda found: found | {"installations": {}}, "'installations' is not an array"),
        (lambda found: found | {"installations": [{}]}, "installations[0]: 'installationId' is missing"),
        (lambda found: found | {"installations": [5]}, "installations[0]: 'installationId' is missing"),
        (
            lambda found: found | {"installations": found["installations"] * 2},
            "installations[3]: The installation 'i' is there twice",
        ),
        (
            lambda found: found | {"registrations": found["registrations"] * 2},
            "registrations[8]: The registration '",
        ),
        (lambda found: found | {"installations": []}, "registrations[0]: The installation 'i' has no '"),
        (
            lambda found: found | {"registrations": [{"registrationId": "1-1-1", "kind": "Gcm"}]},
            "registrations[0]: 'channel' is missing",
        ),
        (
            lambda found: found | {"registrations": [{"registrationId": "1-1-1", "etag": "x"}]},
            "registrations[0]: 'etag' is not a number as text",
        ),
        (lambda found: found | {"gone": [1]}, "'gone' is not an array of strings"),
        (lambda found: found | {"scheduled": [{}]}, "scheduled[0] has no id, at, state and send"),
        (lambda found: found | {"scheduled": {}}, "'scheduled' is not an array"),
    ],
)
def test_what_is_no_snapshot_is_refused_in_words_and_changes_nothing(
    emulator: Emulator, hub: Caller, change: Any, words: str
) -> None:
    fill(emulator)
    before = emulator.snapshot()
    reply = hub.control("POST", "/restore", change(copy.deepcopy(before)))
    assert reply.status == 400
    assert words in reply.json["error"]
    with pytest.raises(ValueError) as caught:
        emulator.restore(change(copy.deepcopy(before)))
    assert words in str(caught.value)
    assert {**emulator.snapshot(), "at": before["at"]} == before


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_is_put_back_is_held_or_refused_and_every_request_is_still_answered(data: Any) -> None:
    with Emulator("my-hub") as emulator:
        fill(emulator)
        document = emulator.snapshot()
        for _ in range(data.draw(st.integers(1, 3))):
            _spoil(document, data)
        before = emulator.snapshot()
        with Caller(emulator.endpoint, emulator.full, emulator.hub) as backend:
            reply = backend.control("POST", "/restore", document)
            assert reply.status in (200, 400), reply.text
            if reply.status == 400:
                assert {**emulator.snapshot(), "at": before["at"]} == before
            emulator.set_clock(90 * 86400)
            emulator.set_clock(0)
            assert lists(emulator) is not None
            for each in emulator.contents()["installations"]:
                assert backend.get(each["installationId"]).status == 200
            headers = {"ServiceBusNotification-Format": "template", "ServiceBusNotification-Tags": "b || !a"}
            target = "/my-hub/messages?api-version=2020-06"
            assert backend.send("POST", target, '{"m":"x"}', headers=headers).status == 201
            again = emulator.snapshot()
            emulator.restore(again)
            assert {**emulator.snapshot(), "at": again["at"]} == again


def _spoil(document: Any, data: Any) -> None:
    """Replace or remove one member somewhere below."""
    holder = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.booleans()):
            holder = inner
            continue
        if data.draw(st.booleans()):
            holder[key] = data.draw(JUNK)
        else:
            del holder[key]
        return


def test_a_snapshot_may_be_larger_than_other_bodies(emulator: Emulator, hub: Caller) -> None:
    channel = "https://x.notify.windows.com/?t="
    many = [wns(installationId=f"i{n}", pushChannel=channel + "x" * 900 + str(n)) for n in range(1500)]
    assert hub.control("POST", "/restore", {"installations": many}).status == 200
    assert len(emulator.contents()["installations"]) == 1500
    assert hub.control("POST", "/forget", {"installation": "x" * (1 << 20)}).status == 413


def seeded(tmp_path: Path, text: str) -> str:
    path = tmp_path / "seed"
    path.write_text(text)
    return str(path)


def test_an_empty_hub_begins_with_its_seed(emulator: Emulator, tmp_path: Path) -> None:
    fill(emulator)
    taken, contents = emulator.snapshot(), emulator.contents()
    lines = [json.dumps(each) for each in (*contents["installations"], *contents["registrations"])]
    for text in (json.dumps(taken, indent=2), json.dumps(contents), "\n".join(lines) + "\n"):
        with Emulator("my-hub", seed=seeded(tmp_path, text)) as other:
            assert other.contents() == contents


def test_one_record_is_a_seed_and_none_too(tmp_path: Path) -> None:
    with Emulator("my-hub", seed=seeded(tmp_path, json.dumps(wns()))) as emulator:
        assert [each["installationId"] for each in emulator.contents()["installations"]] == ["i"]
    with Emulator("my-hub", seed=seeded(tmp_path, "")) as emulator:
        assert emulator.contents()["installations"] == []


def test_a_hub_that_holds_something_is_not_seeded_again(tmp_path: Path) -> None:
    data, seed = str(tmp_path / "hub.db"), seeded(tmp_path, json.dumps(wns()))
    with (
        Emulator("my-hub", data=data, seed=seed) as emulator,
        Caller(emulator.endpoint, emulator.listen, "my-hub") as hub,
    ):
        hub.put(wns(installationId="j"))
        hub.delete("i")
    with Emulator("my-hub", data=data, seed=seed) as emulator:
        assert [each["installationId"] for each in emulator.contents()["installations"]] == ["j"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "Line 1 is not JSON"),
        ('{"installationId": "i"}\n{"x": 1}', "Line 2 has neither 'installationId' nor 'registrationId'"),
        ('{"installationId": "i"}', "installations[0]: The provided request body is invalid"),
        ("[]", "A snapshot is a JSON object."),
    ],
)
def test_a_file_that_is_no_seed_is_refused_at_the_start(tmp_path: Path, text: str, words: str) -> None:
    emulator = Emulator("my-hub", seed=seeded(tmp_path, text))
    with pytest.raises(ValueError) as caught:
        emulator.start()
    assert f"{tmp_path / 'seed'} is not a seed: " in str(caught.value)
    with pytest.raises(FileNotFoundError):
        Emulator("my-hub", seed=str(tmp_path / "missing")).start()
