"""What a hub gave goes back to it with its ETag, lists are read in parts, and any thread may ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nhagent import HeldRegistration, HubClient, Installation, Registration
from nhagent.emulator import Emulator
from nhagent.errors import ConcurrencyConflict, ConfigurationError, HubUnavailable, RecordNotFound
from tests.events import HANG_SECONDS


@pytest.fixture
def held(client: HubClient, notification_hub: Emulator) -> HeldRegistration:
    made = client.create_registration(Registration("gcm", "handle", ["a"]))
    notification_hub.clear_log()
    return made


def sent_by(hub: Emulator) -> list[tuple[str, int]]:
    return [(entry.method, entry.status) for entry in hub.log()]


def test_update_of_what_was_read_takes_its_etag_along(
    client: HubClient, held: HeldRegistration, notification_hub: Emulator
) -> None:
    changed = client.update_registration(held.registration_id, replace(held, tags=("b",)))
    assert (changed.etag, changed.tags) == ("2", ("b",))
    with pytest.raises(ConcurrencyConflict):
        client.update_registration(held.registration_id, replace(held, tags=("c",)))
    assert client.get_registration(held.registration_id).tags == ("b",), "nobody's change is lost"
    again = client.update_registration(held.registration_id, replace(held, tags=("c",)), "*")
    assert again.tags == ("c",), "a star overwrites"
    with pytest.raises(ConcurrencyConflict):
        client.delete_registration(changed)
    client.delete_registration(again)
    assert [status for _, status in sent_by(notification_hub)] == [200, 412, 200, 200, 412, 200]


@pytest.mark.parametrize(
    "act",
    [
        lambda client, held: client.update_registration(held.registration_id, Registration("gcm", "handle")),
        lambda client, held: client.update_registration("another-id", held),
        lambda client, held: client.update_registration(held.registration_id, replace(held, etag="")),
        lambda client, held: client.delete_registration(held.registration_id),
        lambda client, held: client.delete_registration(replace(held, etag="")),
    ],
    ids=["no held one", "another's", "none was given", "an id alone", "none to delete by"],
)
def test_update_that_would_forget_the_etag_is_refused_and_nothing_is_sent(
    client: HubClient, held: HeldRegistration, notification_hub: Emulator, act: Any
) -> None:
    with pytest.raises(ConfigurationError, match="no ETag to match") as caught:
        act(client, held)
    assert '"*"' in caught.value.hint
    assert sent_by(notification_hub) == []


@pytest.mark.parametrize("given", [None, {"platform": "gcm"}, "handle", 5])
def test_what_is_no_registration_is_not_sent(
    client: HubClient, held: HeldRegistration, notification_hub: Emulator, given: Any
) -> None:
    acts: list[Callable[[], object]] = [
        lambda: client.create_registration(given),
        lambda: client.put_registration("an-id", given),
        lambda: client.update_registration("an-id", given, "*"),
        lambda: client.modify_registration(held.registration_id, lambda _: given),
    ]
    for act in acts:
        with pytest.raises(ConfigurationError, match="is not a Registration"):
            act()
    assert [method for method, _ in sent_by(notification_hub)] == ["GET"], "the modification reads"


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ("text", "a str is not a list"),
        ({"op": "add"}, "a dict is not a list"),
        ([["op", "add"]], "an operation is not an object"),
        ([{"op": "add", "path": "/tags", "value": object()}], "is not JSON"),
        ([{"op": "add", "path": "/tags", "value": "a,b"}], "tag 'a,b': holds a comma"),
        ([{"op": "add", "path": "/templates/t/tags", "value": ["a", "b,c"]}], "tag 'b,c': holds a comma"),
    ],
)
def test_patch_that_is_none_is_not_sent(
    client: HubClient, notification_hub: Emulator, operations: Any, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        client.patch_installation("device", operations)
    assert sent_by(notification_hub) == []


def test_modification_without_an_etag_of_the_hub_overwrites_nobody(
    client: HubClient, held: HeldRegistration, notification_hub: Emulator
) -> None:
    entry = (
        '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
        '<GcmRegistrationDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">'
        f"<RegistrationId>{held.registration_id}</RegistrationId><GcmRegistrationId>handle</GcmRegistrationId>"
        "</GcmRegistrationDescription></content></entry>"
    )
    notification_hub.fail("GET", status=200, body=entry, headers={"Content-Type": "application/atom+xml"})
    with pytest.raises(ConfigurationError, match="no ETag to match"):
        client.modify_registration(held.registration_id, lambda row: Registration("gcm", row.channel))
    assert [method for method, _ in sent_by(notification_hub)] == ["GET"]


def test_installation_of_a_row_is_told(client: HubClient) -> None:
    client.put_installation(Installation("device-1", "gcm", "handle-1"))
    client.create_registration(Registration("gcm", "handle-1"))
    owners = {row.installation_id for row in client.registrations_by_channel("handle-1", platform="gcm")}
    assert owners == {"device-1", None}


def test_row_that_breaks_our_rules_is_changed_all_the_same(
    client: HubClient, notification_hub: Emulator
) -> None:
    """What others wrote is not judged: a tool must be able to change it."""
    made = client.create_registration(Registration("gcm", "handle"))
    odd = replace(made, channel="null", tags=tuple(f"t{number}" for number in range(70)))
    assert len(odd.tags) == 70
    kept = client.update_registration(made.registration_id, replace(odd, tags=odd.tags[:60]))
    assert (kept.channel, len(kept.tags)) == ("null", 60)
    changed = client.modify_registration(made.registration_id, lambda row: replace(row, tags=("b",)))
    assert (changed.channel, changed.tags) == ("null", ("b",))


@pytest.mark.slow
def test_list_is_read_in_parts_and_gone_on_with_by_another_client(notification_hub: Emulator) -> None:
    with HubClient(notification_hub.full, notification_hub.hub) as client:
        for number in range(250):
            client.create_registration(Registration("gcm", "handle", [f"t{number}"]))
        notification_hub.clear_log()
        pages = client.registrations().pages()
        first = next(pages)
        assert len(first.items) == 100 and first.token is not None
        assert len(notification_hub.log()) == 1, "a part is asked for when it is needed"
        rows = client.registrations_by_channel("handle")
        assert len(list(rows)) == len(list(rows)) == 250, "a list is asked for again each time"
    with HubClient(notification_hub.full, notification_hub.hub) as later:
        rest = list(later.registrations().pages(first.token))
        assert [len(page.items) for page in rest] == [100, 50]
        assert rest[-1].token is None
        seen = {row.registration_id for page in (first, *rest) for row in page.items}
        assert len(seen) == 250


@pytest.mark.parametrize("token", ["", "a b", "a&$top=1", "a#b", "a\r\nb", "x" * 5000, 5])
def test_token_that_is_none_is_refused_before_anything_is_sent(
    client: HubClient, notification_hub: Emulator, token: Any
) -> None:
    with pytest.raises(ConfigurationError, match="not that of a page"):
        client.registrations().pages(token)
    assert sent_by(notification_hub) == []


def test_tag_that_is_none_is_refused_before_anything_is_sent(
    client: HubClient, notification_hub: Emulator
) -> None:
    for tag in ("", None, 5):
        with pytest.raises(ConfigurationError, match="not a tag"):
            client.registrations_by_tag(tag)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="platform 'fcm'"):
        client.registrations_by_channel("handle", platform="fcm")  # type: ignore[arg-type]
    assert sent_by(notification_hub) == []


def test_each_thread_sees_the_facts_of_its_own_exchange(client: HubClient) -> None:
    assert (client.last_reply, client.server_time) == (None, None)
    client.put_installation(Installation("device", "gcm", "handle"))
    seen: list[Any] = []

    def ask() -> None:
        seen.append(client.last_reply)
        client.delete_installation("another")
        seen.append(client.last_reply)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen[0] is None
    assert seen[1].status == 204
    assert client.last_reply is not None and client.last_reply.status == 200
    assert client.server_time == client.last_reply.server_time
    with pytest.raises(RecordNotFound):
        client.get_installation("another")
    assert client.last_reply is not None and client.last_reply.status == 404


def test_no_facts_are_told_where_no_reply_came(client: HubClient, notification_hub: Emulator) -> None:
    client.put_installation(Installation("device", "gcm", "handle"))
    notification_hub.fail("GET", reset="before")
    with pytest.raises(HubUnavailable):
        client.get_installation("device")
    assert client.last_reply is None


def test_one_thread_does_not_wait_for_the_exchange_of_another(
    client: HubClient, notification_hub: Emulator
) -> None:
    client.put_installation(Installation("slow", "gcm", "handle"))
    notification_hub.fail("GET", delay=HANG_SECONDS)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            client.get_installation("slow")
        except HubUnavailable as cut:
            failures.append(cut)

    waiting = threading.Thread(target=ask)
    waiting.start()
    try:
        while client.requests_sent < 2:
            threading.Event().wait(0.01)
        for number in range(3):
            client.put_installation(Installation(f"quick-{number}", "gcm", "handle"))
        assert waiting.is_alive()
    finally:
        client._exchange.cut()
        waiting.join()
    assert len(failures) == 1
    with pytest.raises(HubUnavailable):
        client.get_installation("slow")


@pytest.mark.slow
def test_eight_threads_at_once_get_each_their_own_answers(tls_notification_hub: Emulator) -> None:
    hub = tls_notification_hub
    wrong: list[object] = []
    with HubClient(hub.full, hub.hub, ca_bundle=hub.ca) as client:

        def work(number: int) -> None:
            for turn in range(10):
                made = Installation(f"device-{number}", "gcm", f"handle-{number}", [f"turn{turn}"])
                client.put_installation(made)
                held = client.get_installation(made.installation_id)
                if held != made or client.last_reply is None:
                    wrong.append(held)

        threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert client.requests_sent == len(hub.log()) == 160
        assert len(client._exchange._transports) <= 8, "a connection is used again"


def test_nothing_inner_is_part_of_the_client(client: HubClient) -> None:
    assert not {"hide", "allow", "cut", "create_or_update_registration"} & set(dir(client))
