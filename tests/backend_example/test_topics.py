"""A tag that one device of a user adds reaches the other while that is off."""

from __future__ import annotations

from functools import partial
from threading import Thread

import pytest
from backend.tables import Credential
from backend.topics import _on_devices_of

from nhagent import HubClient
from tests.events import happens

from .running import Caller, RunningBackend, at_once

TABLET = "https://push.example/tablet"
STRANGER = "https://push.example/stranger"


@pytest.fixture
def registered(phone: Caller, tablet: Caller, stranger: Caller) -> None:
    phone.put("phone", tags=["kitchen"])
    tablet.put("tablet", pushChannel=TABLET, tags=["hall"])
    stranger.put("strangers", pushChannel=STRANGER)


@pytest.mark.usefixtures("registered")
def test_a_topic_reaches_the_users_other_device_while_it_is_off(
    backend: RunningBackend, phone: Caller, tablet: Caller
) -> None:
    answer = phone.follow("News")
    assert (answer.status, answer.json) == (200, {"tag": "topic:news", "devices": 2})
    assert backend.tags_of("phone") == ["kitchen", "topic:news", "username:anna"]
    assert backend.tags_of("tablet") == ["hall", "topic:news", "username:anna"]
    assert backend.tags_of("strangers") == ["username:bob"]
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        reached = {row.installation_id for row in hub.registrations_by_tag("topic:news")}
    assert reached == {"phone", "tablet"}
    assert tablet.leave("news").json["devices"] == 2
    assert backend.tags_of("phone") == ["kitchen", "username:anna"]
    assert backend.tags_of("tablet") == ["hall", "username:anna"]


@pytest.mark.usefixtures("registered")
def test_a_topic_stays_whatever_a_device_writes_and_new_devices_have_it(
    backend: RunningBackend, phone: Caller, tablet: Caller
) -> None:
    phone.follow("news")
    assert tablet.put("tablet", pushChannel=TABLET).json["tags"] == ["username:anna", "topic:news"]
    assert tablet.patch("tablet", {"op": "remove", "path": "/tags"}).json["tags"] == [
        "username:anna", "topic:news",
    ]  # fmt: skip
    watch = backend.device_of("anna")
    assert watch.put("watch", pushChannel="https://push.example/w").json["tags"] == [
        "username:anna", "topic:news",
    ]  # fmt: skip
    phone.leave("news")
    assert backend.tags_of("watch") == ["username:anna"]
    assert tablet.put("tablet", pushChannel=TABLET, tags=["topic:news"]).code == "tags_not_allowed"


@pytest.mark.usefixtures("registered")
def test_a_topic_that_the_hub_took_for_one_device_only_is_finished_by_the_same_request(
    backend: RunningBackend, phone: Caller
) -> None:
    backend.hub.fail("PATCH /installations/tablet", status=503, headers={"Retry-After": "7"})
    answer = phone.follow("news")
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (503, "try_later", "7")
    assert backend.tags_of("phone") == ["kitchen", "topic:news", "username:anna"]
    assert phone.follow("news").json["devices"] == 2
    assert backend.tags_of("tablet") == ["hall", "topic:news", "username:anna"]


def test_devices_that_the_hub_does_not_hold_are_passed_over(backend: RunningBackend, phone: Caller) -> None:
    phone.put("one")
    phone.delete("one")
    assert phone.follow("news").json["devices"] == 0
    assert phone.leave("never").json["devices"] == 0
    assert phone.put("one").json["tags"] == ["username:anna", "topic:news"]


@pytest.mark.parametrize("topic", ["a:b", "a b", "ü", "x" * 101, "$x"])
def test_what_is_no_topic_is_refused(phone: Caller, topic: str) -> None:
    from urllib.parse import quote

    answer = phone.follow(quote(topic))
    assert (answer.status, answer.code) == (400, "invalid_topic")


@pytest.mark.slow
def test_a_user_has_so_many_topics_and_no_more(backend: RunningBackend, phone: Caller) -> None:
    phone.put("one")
    for number in range(20):
        assert phone.follow(str(number)).status == 200
    answer = phone.follow("more")
    assert (answer.status, answer.code, answer.json["tags"]) == (403, "too_many_topics", ["topic:more"])
    assert phone.follow("0").status == 200
    assert len(backend.tags_of("one")) == 21


def test_topics_given_while_devices_are_written_reach_them_all(
    backend: RunningBackend, phone: Caller, tablet: Caller
) -> None:
    """Whoever is first: no device ends without a topic, or with one that was taken back."""
    phone.put("phone")
    phone.follow("old")
    watch = backend.device_of("anna")
    acts = [
        lambda: phone.follow("news"),
        lambda: tablet.follow("sports"),
        lambda: watch.leave("old"),
        lambda: phone.patch("phone", {"op": "add", "path": "/tags", "value": "kitchen"}),
        lambda: tablet.put("tablet", pushChannel=TABLET),
        lambda: watch.put("watch", pushChannel="https://push.example/w"),
        lambda: watch.put_registration("r", pushChannel="https://push.example/r"),
    ]
    assert {answer.status for answer in at_once(acts)} <= {200, 201}
    expected = ["topic:news", "topic:sports", "username:anna"]
    assert backend.tags_of("phone") == ["kitchen", *expected]
    assert backend.tags_of("tablet") == backend.tags_of("watch") == expected
    assert sorted(watch.get_registration("r").json["tags"]) == expected


def test_one_topic_that_all_devices_follow_at_once_is_one(backend: RunningBackend, phone: Caller) -> None:
    phone.put("one")
    answers = at_once([partial(phone.follow, "news")] * 5)
    assert {answer.status for answer in answers} == {200}
    assert backend.tags_of("one") == ["topic:news", "username:anna"]
    answers = at_once([partial(phone.leave, "news")] * 5)
    assert {answer.status for answer in answers} == {200}
    assert backend.tags_of("one") == ["username:anna"]


def test_a_topic_passes_by_a_device_whose_user_has_changed_meanwhile(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    phone.put("one")
    with backend.services.sessions() as session:
        anna = session.get_one(Credential, 1).user_id
    assert phone.follow("news").json["devices"] == 1
    backend.sign_in(phone, "bob")
    with backend.app.app_context():  # as the request does that found the device among anna's
        assert _on_devices_of(1, anna, "topic:news", is_added=True) == 0
        assert _on_devices_of(2, anna + 1, "topic:never-given", is_added=True) == 0
    assert backend.tags_of("one") == ["username:bob"]


@pytest.mark.slow
def test_a_device_that_is_being_written_gets_a_topic_after_it(
    backend: RunningBackend, phone: Caller, tablet: Caller
) -> None:
    """The hub has the device's first write, and holds back its answer, when the other one follows a topic."""
    sent = backend.services.hub.requests_sent
    backend.hub.fail("PUT", delay=0.5)
    writing = Thread(target=tablet.put, args=("tablet",))
    writing.start()
    assert happens(lambda: backend.services.hub.requests_sent > sent)
    assert phone.follow("news").json["devices"] == 1
    writing.join()
    assert backend.tags_of("tablet") == ["topic:news", "username:anna"]
