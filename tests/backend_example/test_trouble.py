"""The hub is away, or refuses: what the device is told, and what stands in the logs."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from nhagent import HubClient, Registration
from nhagent.emulator import Emulator

from .running import HANDLE, Answer, Caller, RunningBackend, set_to

FAULTS: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"status": 503, "headers": {"Retry-After": "7"}}, 503, "try_later", "7"),
    ({"status": 503}, 503, "try_later", "30"),
    ({"status": 429, "headers": {"Retry-After": "120"}}, 429, "try_later", "120"),
    ({"status": 403, "headers": {"Retry-After": "9"}}, 429, "try_later", "9"),
    ({"status": 500}, 502, "hub_failed", None),
    ({"status": 401}, 502, "hub_failed", None),
    ({"status": 403}, 502, "hub_failed", None),
    ({"reset": "before"}, 502, "hub_failed", None),
]
"""What goes wrong at the hub: status, code and Retry-After of the answer."""


def every_request(device: Caller) -> list[Answer]:
    return [
        device.put("one"),
        device.get("one"),
        device.patch("one", set_to("/tags", "x")),
        device.delete("one"),
        device.follow("news"),
        device.put_registration("r"),
        device.get_registration("r"),
        device.send("DELETE", "/registrations/r"),
    ]


@pytest.mark.slow
def test_what_the_hub_says_is_passed_on_as_what_a_device_can_use(
    backend: RunningBackend, phone: Caller
) -> None:
    phone.put("one")
    phone.put_registration("r", pushChannel="https://push.example/r")
    for fault, *expected in FAULTS:
        backend.hub.fail("*", times=100, **fault)
        for answer in every_request(phone):
            told = [answer.status, answer.code, answer.headers.get("Retry-After")]
            assert told == expected, fault
        backend.hub.clear_faults()
    assert {answer.status for answer in every_request(phone)} <= {200, 201, 204}


def test_a_hub_that_is_not_there_is_told_and_then_things_go_on(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    backend.hub.close()
    assert (phone.put("one").status, phone.get("one").status) == (502, 502)
    assert stranger.put("one").code == "not_found"  # whose the id is was settled before
    backend.hub.start()
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        assert list(hub.registrations()) == []


def test_a_full_hub_is_no_fault_of_the_devices(tmp_path: Any) -> None:
    from .running import running

    with (
        Emulator(tls=True, max_devices=1) as hub,
        running(hub, f"sqlite:///{tmp_path / 'full.sqlite'}", tmp_path) as backend,
    ):
        phone = backend.device_of("anna")
        assert phone.put("one").status == 200
        answer = phone.put("two", pushChannel="https://push.example/2")
        assert (answer.status, answer.code) == (502, "hub_failed")


def test_what_only_the_hub_refuses_is_the_devices_to_mend(backend: RunningBackend, phone: Caller) -> None:
    backend.hub.fail("PUT", status=400, body="<Error><Code>400</Code><Detail>no</Detail></Error>")
    answer = phone.put("one")
    assert (answer.status, answer.code) == (400, "invalid_installation")


def test_a_write_whose_duplicates_could_not_be_deleted_is_done_again(
    backend: RunningBackend, phone: Caller
) -> None:
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        hub.create_registration(Registration("wns", HANDLE))
        backend.hub.fail("DELETE", status=503)
        assert phone.put("one").code == "try_later"
        assert backend.held("one") is not None
        assert phone.put("one").status == 200
        assert {row.installation_id for row in hub.registrations()} == {"one"}


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_logs_and_answers_show_no_token_key_or_handle(
    backend: RunningBackend, phone: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        hub.create_registration(Registration("wns", HANDLE))
    answers = every_request(phone)
    token = phone.send("POST", "/tokens/one")
    echo = {"status": 400, "body": f"<Error><Code>400</Code><Detail>no {HANDLE}</Detail></Error>"}
    for match, fault in (("*", {"status": 503}), ("PUT", echo), ("*", {"reset": "before"})):
        backend.hub.fail(match, times=8, **fault)
        answers += every_request(phone)
        backend.hub.clear_faults()
    answers.append(phone.put("one", pushChannel=f"{HANDLE} {backend.hub.full}"))
    answers.append(Caller(backend, "1.wrong-secret").get("one"))
    key = backend.hub.full.partition("SharedAccessKey=")[2]
    secrets = (
        phone.token.partition(".")[2],
        key,
        HANDLE,
        "wrong-secret",
        token.json["token"].split("sig=")[1],
    )
    refusals = b"".join(answer.body for answer in answers if answer.status >= 400)
    assert "PUT /devices/one" in caplog.text and "installation one written" in caplog.text
    for secret in secrets:
        assert secret not in caplog.text
        assert secret.encode() not in refusals
    settings = backend.services.settings
    assert key not in repr(settings) + repr(backend.services.hub)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_locked_is_later(backend: RunningBackend, phone: Caller, tmp_path: Any) -> None:
    import sqlite3

    from sqlalchemy import event

    phone.put("one")
    # Every connection of the app asks for a lock without waiting; so the test need not wait either.
    engine = backend.services.sessions.kw["bind"]
    event.listen(engine, "checkout", lambda connection, *_: connection.execute("PRAGMA busy_timeout = 0"))
    other = sqlite3.connect(tmp_path / "backend.sqlite")
    try:
        other.execute("BEGIN IMMEDIATE")
        answer = phone.put("one")
        assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "try_later", "30")
    finally:
        other.close()
    assert phone.put("one").status == 200


def test_an_error_of_the_database_shows_nothing_of_what_it_was_given(
    backend: RunningBackend, phone: Caller
) -> None:
    from backend.tables import Credential
    from sqlalchemy.exc import SQLAlchemyError

    with pytest.raises(SQLAlchemyError) as caught, backend.services.sessions.begin() as session:
        session.add(Credential(id=1, token_hash="0123456789abcdef", user_id=1))
    assert "0123456789abcdef" not in str(caught.value)


def test_the_database_keeps_a_hash_of_each_token_and_nothing_of_what_the_hub_holds(
    backend: RunningBackend, phone: Caller
) -> None:
    from backend.tables import Base
    from sqlalchemy import select

    phone.put("one", tags=["kitchen"])
    phone.follow("news")
    with backend.services.sessions() as session:
        everything = str([session.execute(select(table)).all() for table in Base.metadata.sorted_tables])
    assert "'one'" in everything and "topic:news" in everything
    for absent in (phone.token.partition(".")[2], HANDLE, "kitchen", "wns"):
        assert absent not in everything
