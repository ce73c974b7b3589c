"""Registrations, the older style: created, read, changed by two at once, lost, and deleted."""

from __future__ import annotations

from functools import partial

import pytest

from nhagent import HubClient
from nhagent.models import altered

from .running import HANDLE, Caller, RunningBackend, at_once

TOAST = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}}


def test_registration_is_created_read_changed_and_deleted(backend: RunningBackend, phone: Caller) -> None:
    created = phone.put_registration("toasts", tags=["kitchen"], template=TOAST, templateName="alert")
    assert created.status == 201
    assert created.json == {
        "platform": "wns",
        "pushChannel": HANDLE,
        "tags": ["kitchen", "username:anna"],
        "template": TOAST,
        "templateName": "alert",
    }
    got = phone.get_registration("toasts")
    assert (got.status, got.json, got.etag) == (200, created.json, created.etag)
    [row] = backend.hub.contents()["registrations"]
    changed = phone.put_registration("toasts", match=got.etag, tags=["hall"])
    assert (changed.status, changed.json["tags"]) == (200, ["hall", "username:anna"])
    assert changed.etag != got.etag
    [after] = backend.hub.contents()["registrations"]
    assert after["registrationId"] == row["registrationId"]
    assert phone.send("DELETE", "/registrations/toasts").status == 204
    assert backend.hub.contents()["registrations"] == []
    assert phone.get_registration("toasts").code == "not_found"
    assert phone.send("DELETE", "/registrations/toasts").status == 204


def test_names_are_each_devices_own(backend: RunningBackend, phone: Caller, stranger: Caller) -> None:
    phone.put_registration("main", tags=["kitchen"])
    assert stranger.get_registration("main").code == "not_found"
    assert stranger.send("DELETE", "/registrations/main").status == 204
    assert stranger.put_registration("main", pushChannel="https://push.example/2").status == 201
    assert phone.get_registration("main").json["tags"] == ["kitchen", "username:anna"]
    assert len(backend.hub.contents()["registrations"]) == 2


def test_what_a_device_may_not_have_is_refused(backend: RunningBackend, phone: Caller) -> None:
    refused = phone.put_registration("main", tags=["username:bob", "kitchen"])
    assert (refused.status, refused.code, refused.json["tags"]) == (403, "tags_not_allowed", ["username:bob"])
    assert phone.put_registration("main", platform="nokia").code == "unknown_platform"
    assert phone.put_registration("main", pushChannel="no address").code == "invalid_installation"
    assert phone.put_registration("x" * 121).code == "invalid_installation"
    for body in (b"[]", b"{", b"{}"):
        answer = phone.send("PUT", "/registrations/main", body, {"Content-Type": "application/json"})
        assert answer.code == "invalid_installation"
    assert backend.hub.contents()["registrations"] == []


@pytest.mark.slow
def test_of_two_who_have_read_the_same_one_writes(backend: RunningBackend, phone: Caller) -> None:
    for round_ in range(5):
        phone.put_registration("main", tags=[f"round-{round_}"])
        etag = phone.get_registration("main").etag
        answers = at_once(
            [partial(phone.put_registration, "main", match=etag, tags=[tag]) for tag in ("a", "b")]
        )
        assert sorted(answer.status for answer in answers) == [200, 412]
        [loser] = [answer for answer in answers if answer.status == 412]
        assert loser.code == "conflict"
        winner = "a" if answers[0].status == 200 else "b"
        assert phone.get_registration("main").json["tags"] == [winner, "username:anna"]


def test_a_writer_without_etag_who_is_overtaken_reads_again_once(
    backend: RunningBackend, phone: Caller
) -> None:
    phone.put_registration("main")
    backend.hub.fail("PUT", status=412)
    assert phone.put_registration("main", tags=["kitchen"]).status == 200
    backend.hub.fail("PUT", status=412, times=2)
    answer = phone.put_registration("main", tags=["hall"])
    assert (answer.status, answer.code) == (409, "conflict")
    assert phone.get_registration("main").json["tags"] == ["kitchen", "username:anna"]


def test_an_etag_of_before_is_refused_at_once(backend: RunningBackend, phone: Caller) -> None:
    created = phone.put_registration("main")
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        [row] = hub.registrations()
        hub.update_registration(row.registration_id, altered(row, tags=("somebody-elses",)))
    for answer in (
        phone.put_registration("main", match=created.etag),
        phone.send("DELETE", "/registrations/main", headers={"If-Match": created.etag}),
        phone.put_registration("new", match="*"),
    ):
        assert (answer.status, answer.code) == (412, "conflict")
    assert phone.get_registration("main").json["tags"] == ["somebody-elses"]


@pytest.mark.parametrize("gone", [True, False], ids=["gone for good", "lost"])
def test_a_registration_that_the_hub_has_lost_is_written_again_under_the_same_name(
    backend: RunningBackend, phone: Caller, gone: bool
) -> None:
    phone.put_registration("main")
    [before] = backend.hub.contents()["registrations"]
    backend.hub.forget(registration=before["registrationId"], gone=gone)
    assert phone.get_registration("main").code == "not_found"
    assert phone.put_registration("main", tags=["kitchen"]).status == 201
    [after] = backend.hub.contents()["registrations"]
    assert (after["registrationId"] == before["registrationId"]) is not gone
    assert phone.get_registration("main").json["tags"] == ["kitchen", "username:anna"]
    assert phone.put_registration("main", tags=["hall"]).status == 200
    assert len(backend.hub.contents()["registrations"]) == 1


def test_a_reply_that_was_lost_makes_no_second_registration(backend: RunningBackend, phone: Caller) -> None:
    backend.hub.fail("PUT", reset="after")
    assert phone.put_registration("main").status == 502
    assert phone.put_registration("main").status == 200
    assert len(backend.hub.contents()["registrations"]) == 1


def test_two_who_create_the_same_at_once_make_one(backend: RunningBackend, phone: Caller) -> None:
    answers = at_once([partial(phone.put_registration, "main", tags=[tag]) for tag in "abcd"])
    assert {answer.status for answer in answers} <= {200, 201, 409}
    assert len(backend.hub.contents()["registrations"]) == 1


def test_a_topic_reaches_registrations_too(backend: RunningBackend, phone: Caller, tablet: Caller) -> None:
    tablet.put_registration("main", tags=["kitchen"])
    assert phone.follow("news").json["devices"] == 1
    assert tablet.get_registration("main").json["tags"] == ["kitchen", "username:anna", "topic:news"]
    phone.leave("news")
    assert tablet.get_registration("main").json["tags"] == ["kitchen", "username:anna"]
