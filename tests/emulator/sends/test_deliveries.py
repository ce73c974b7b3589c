from __future__ import annotations

import threading

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.sends.delivery import KEPT
from nhagent.emulator.sends.send import Send
from tests.emulator.caller import Caller
from tests.emulator.describing import native, post

from .sending import alert, device, notify, toast_to


@pytest.fixture
def with_devices(emulator: Emulator, hub: Caller) -> Emulator:
    for installation in (
        device("cook", "kitchen", "adult", templates={"t": alert(tags=["news"])}),
        device("guard", "cellar"),
        device("dead", "kitchen", "adult"),
    ):
        assert hub.put(installation).status == 200
    phone = {"installationId": "phone", "platform": "gcm", "pushChannel": "g", "tags": ["kitchen"]}
    assert hub.put(phone).status == 200
    emulator.expire(installation="dead")
    return emulator


@pytest.mark.parametrize(
    ("expression", "term"),
    [
        ("kitchen", "kitchen"),
        ("cellar && (kitchen || garden)", "kitchen || garden"),
        ("cellar && !cellar", "!cellar"),
        ("!(cellar || x)", "!(cellar || x)"),
        ("cellar && adult && kitchen", "adult"),
    ],
)
def test_why_a_device_receives_nothing_names_the_term_that_failed(
    with_devices: Emulator, backend: Caller, expression: str, term: str
) -> None:
    toast_to(backend, expression)
    why = with_devices.why_not(with_devices.deliveries()[0].id, "guard")
    assert why is not None
    assert (why.term, why.reason) == (term, f"Its tags do not match '{term}'.")


def test_why_tells_of_expired_channels_other_platforms_and_missing_templates(
    with_devices: Emulator, backend: Caller, hub: Caller
) -> None:
    assert post(hub, native("Gcm")).status == 200
    toast_to(backend, "kitchen")
    assert notify(backend, "template", {"m": "x"}, "news || other").status == 201
    first, second = with_devices.deliveries()
    assert [match.installation for match in first.matched] == ["cook"]
    assert {why.installation or why.registration: why.reason for why in first.why} == {
        "guard": "Its tags do not match 'kitchen'.",
        "dead": "Its channel has expired.",
        "phone": "Its platform is gcm, not wns.",
        with_devices.contents()["registrations"][0]["registrationId"]: "Its platform is gcm, not wns.",
    }
    assert {why.installation: why.reason for why in second.why if why.installation} == {
        "guard": "It has no template.",
        "dead": "It has no template.",
        "phone": "It has no template.",
    }


def test_a_device_with_templates_alone_does_not_get_a_native_notification(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i", templates={"t": alert()})).status == 200
    for tag in ("$InstallationId:{i}",):
        entries = backend.send("GET", f"/my-hub/tags/{tag}/registrations?api-version=2020-06").text
        assert "BodyTemplate" in entries
    native_id = next(
        match.registration for match in emulator._parts().sender.reach("windows", None) if not match.template
    )
    emulator.forget(registration=native_id)
    toast_to(backend)
    [why] = emulator.deliveries()[0].why
    assert why.reason == "It has only templates, and this is a native notification."


def test_of_fifty_devices_a_delivery_says_why_and_of_others_when_asked(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    for number in range(60):
        assert hub.put(device(f"i{number}", "other")).status == 200
    toast_to(backend, "kitchen")
    [delivery] = emulator.deliveries()
    assert [why.installation for why in delivery.why] == [f"i{number}" for number in range(50)]
    why = hub.control("GET", f"/deliveries/{delivery.id}/why?installation=i59")
    assert why.json == {
        "installation": "i59",
        "matched": False,
        "reason": "Its tags do not match 'kitchen'.",
        "term": "kitchen",
    }
    for query, status in [("?installation=nobody", 404), ("", 400)]:
        assert hub.control("GET", f"/deliveries/{delivery.id}/why{query}").status == status
    assert hub.control("GET", "/deliveries/unknown/why?installation=i1").status == 404


def test_who_came_later_was_not_there_when_it_was_sent(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    toast_to(backend, "kitchen")
    assert hub.put(device("late", "kitchen")).status == 200
    why = emulator.why_not(emulator.deliveries()[0].id, "late")
    assert why is not None
    assert (why.reason, why.term) == ("It was not there when this was sent.", None)


def test_deliveries_are_found_by_tag_and_by_installation_and_removed(
    with_devices: Emulator, backend: Caller, hub: Caller
) -> None:
    toast_to(backend, "Kitchen && adult")
    toast_to(backend, "cellar")
    toast_to(backend)
    assert [found.expression for found in with_devices.deliveries(tag="kitchen")] == ["Kitchen && adult"]
    assert [found.expression for found in with_devices.deliveries(installation="guard")] == ["cellar", None]
    listed = hub.control("GET", "/deliveries?tag=cellar").json
    assert list(listed[0]) == [
        *("id", "at", "hub", "format", "target", "expression", "test", "headers", "sent_body"),
        *("matched", "why"),
    ]
    assert listed[0]["matched"][0]["headers"] == {"X-WNS-Type": "wns/toast"}
    assert hub.control("DELETE", "/deliveries").status == 200
    assert with_devices.deliveries() == []


def test_who_waits_for_a_delivery_gets_the_one_that_is_meant(with_devices: Emulator, backend: Caller) -> None:
    toast_to(backend, "cellar")
    found: list[object] = []
    waiting = threading.Thread(
        target=lambda: found.append(with_devices.wait_for_delivery(tag="kitchen", timeout=60).expression)
    )
    waiting.start()
    toast_to(backend, "kitchen")
    waiting.join(60)
    assert found == ["kitchen"]
    assert with_devices.wait_for_delivery(installation="guard").expression == "cellar"


def test_a_request_waits_for_a_delivery_too(with_devices: Emulator, hub: Caller, backend: Caller) -> None:
    answers: list[object] = []
    path = "/deliveries?wait=60&installation=cook"
    waiting = threading.Thread(target=lambda: answers.extend(hub.control("GET", path).json))
    waiting.start()
    toast_to(backend, "cellar")
    toast_to(backend, "kitchen")
    waiting.join(60)
    assert [found["expression"] for found in answers] == ["kitchen"]  # type: ignore[index]


def test_a_wait_in_vain_ends_in_an_error_that_tells_what_was_sent(
    with_devices: Emulator, backend: Caller, hub: Caller
) -> None:
    toast_to(backend, "cellar")
    with pytest.raises(TimeoutError, match=r"No delivery for the tag 'kitchen' within 0 seconds; 1 other\."):
        with_devices.wait_for_delivery(tag="kitchen", timeout=0)
    assert hub.control("GET", "/deliveries?wait=0&tag=kitchen").json == []
    for wrong in ("x", "-1", "nan", "601"):
        assert hub.control("GET", f"/deliveries?wait={wrong}").status == 400


def test_a_wait_ends_when_the_emulator_is_closed() -> None:
    emulator = Emulator().start()
    errors: list[str] = []

    def wait() -> None:
        try:
            emulator.wait_for_delivery(timeout=600)
        except (TimeoutError, RuntimeError) as error:
            errors.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    emulator.close()
    waiting.join(60)
    assert len(errors) == 1


def test_neither_body_nor_handle_shows_in_the_repr_of_a_delivery(
    with_devices: Emulator, backend: Caller
) -> None:
    toast_to(backend, "kitchen", "<toast>secret words</toast>")
    shown = repr(with_devices.deliveries())
    assert "secret words" not in shown
    assert "notify.windows.com" not in shown


def test_old_deliveries_make_room_for_new_ones(emulator: Emulator) -> None:
    sender = emulator._parts().sender
    for number in range(KEPT + 5):
        sender.send(Send("gcm", b"%d" % number))
    kept = emulator.deliveries()
    assert (len(kept), kept[0].sent_body, kept[-1].sent_body) == (KEPT, "5", str(KEPT + 4))
