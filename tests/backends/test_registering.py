"""A device without any key of the hub: its app's backend registers it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import AsyncAgent, Backend, Template
from nhagent.errors import (
    ConcurrencyConflict,
    Forbidden,
    HubNotFound,
    HubUnavailable,
    InvalidRequest,
    RecordNotFound,
    Throttled,
    Unauthorized,
)
from tests.backend_double import TOKEN, BackendDouble

from .conftest import Phone


def test_first_start_is_one_put_and_the_second_nothing(phone: Phone) -> None:
    first = phone.start()
    assert (first.outcome, first.requests, first.hub) == ("registered", 1, "hub")
    assert phone.seen() == [("PUT", 200)]
    second = phone.start()
    assert (second.outcome, second.requests) == ("unchanged", 0)
    assert phone.seen() == []
    [held] = phone.held()
    assert held["installationId"] == first.installation_id
    assert held["tags"] == ["kitchen"]


def test_over_tls_it_is_the_same(tls_phone: Phone) -> None:
    assert tls_phone.start().outcome == "registered"
    tls_phone.channel = "https://push.example/2"
    assert tls_phone.start().outcome == "updated"
    assert tls_phone.agent().unregister(timeout=0).outcome == "disabled"
    assert tls_phone.held() == []
    assert tls_phone.seen() == [("PUT", 200), ("PATCH", 200), ("DELETE", 204)]


def test_a_rotation_is_one_patch_over_what_it_saw_last(phone: Phone) -> None:
    phone.start()
    etag = phone.backend.etag(str(phone.held()[0]["installationId"]))
    phone.channel = "https://push.example/2"
    assert phone.start().outcome == "updated"
    assert phone.backend.if_match == [None, etag]
    assert phone.held()[0]["pushChannel"] == "https://push.example/2"


def test_what_is_granted_is_remembered_and_shown_and_plans_nothing(phone: Phone) -> None:
    phone.backend.added, phone.backend.dropped = ["username:anna"], {"kitchen"}
    phone.tags = ["kitchen", "news"]
    assert phone.start().outcome == "registered"
    assert phone.held()[0]["tags"] == ["news", "username:anna"]
    status = phone.agent().status()
    assert status.granted == {"tags": ["news", "username:anna"]}
    assert status.to_dict()["granted"] == {"tags": ["news", "username:anna"]}
    assert phone.start().outcome == "unchanged"
    assert list(phone.agent().plan()) == []
    assert phone.agent().verify().in_sync


def test_a_backend_that_says_nothing_of_what_it_granted_is_taken_at_its_word(phone: Phone) -> None:
    phone.backend.tells = False
    assert phone.start().outcome == "registered"
    assert phone.agent().status().granted == {}
    phone.channel = "https://push.example/2"
    assert phone.start().outcome == "updated"


def test_tags_of_somebody_else_are_refused_by_name_and_asked_for_again_at_the_next_start(
    phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.backend.forbidden = {"username:bob"}
    phone.tags = ["kitchen", "username:bob"]
    with pytest.raises(Forbidden) as caught:
        phone.start()
    assert (caught.value.code, caught.value.tags) == ("tags_not_allowed", ("username:bob",))
    assert "because of the tags username:bob" in caught.value.fact
    assert "These tags are not this user's." in caught.value.detail
    assert phone.held() == []
    phone.backend.forbidden = set()
    assert phone.agent().start(timeout=30).outcome == "registered"
    assert TOKEN not in caplog.text


def test_another_devices_id_is_refused_like_one_that_is_not_there(phone: Phone, tmp_path: Path) -> None:
    first = phone.start()
    thief = Phone(phone.backend, tmp_path / "thief", channel="https://push.example/9", token="device-token-2")
    with pytest.raises(RecordNotFound) as caught:
        thief.start(installation_id=first.installation_id)
    assert (caught.value.code, caught.value.status) == ("not_found", 404)
    assert "the id is another device's" in caught.value.hint
    assert [held["pushChannel"] for held in phone.held()] == ["https://push.example/1"]
    assert thief.agent(installation_id=first.installation_id).status().in_doubt == ()


def test_a_record_that_the_backend_has_lost_is_sent_whole_under_the_same_id(phone: Phone) -> None:
    first = phone.start()
    phone.backend.forget(installation=first.installation_id)
    phone.channel = "https://push.example/2"
    phone.seen()
    report = phone.start()
    assert (report.outcome, report.installation_id) == ("recreated", first.installation_id)
    assert phone.seen() == [("PATCH", 404), ("PUT", 200)]


def test_a_conflict_is_met_by_a_look_and_the_whole_over_what_it_showed(phone: Phone) -> None:
    first = phone.start()
    assert first.installation_id is not None
    phone.backend.emulator._parts().hub.installations.patch(
        first.installation_id, [{"op": "add", "path": "/tags", "value": "by-the-backend"}]
    )
    now = phone.backend.etag(first.installation_id)
    phone.channel = "https://push.example/2"
    phone.seen()
    assert phone.start().outcome == "updated"
    assert phone.seen() == [("PATCH", 412), ("GET", 200), ("PUT", 200)]
    assert phone.backend.if_match[-1] == now
    assert phone.held()[0]["pushChannel"] == "https://push.example/2"


def test_a_second_conflict_in_one_start_ends_it(phone: Phone) -> None:
    phone.start()
    phone.channel = "https://push.example/2"
    phone.backend.fail("PATCH", status=412)
    phone.backend.fail("PUT", status=412)
    phone.seen()
    with pytest.raises(ConcurrencyConflict):
        phone.start()
    assert phone.seen() == [("PATCH", 412), ("GET", 200), ("PUT", 412)]
    assert phone.start().outcome == "updated"


def test_a_backend_that_takes_no_patch_gets_the_whole(phone: Phone) -> None:
    phone.backend.patches = False
    phone.start()
    phone.channel = "https://push.example/2"
    phone.seen()
    assert phone.start().outcome == "updated"
    assert phone.seen() == [("PATCH", 405), ("PUT", 200)]


@pytest.mark.parametrize(
    ("fault", "error", "retryable"),
    [
        (
            {"status": 400, "body": '{"code": "unknown_platform", "detail": "No such."}'},
            InvalidRequest,
            False,
        ),
        ({"status": 422}, InvalidRequest, False),
        ({"status": 403}, Forbidden, False),
        ({"status": 403, "headers": {"Retry-After": "60"}}, Throttled, True),
        ({"status": 404}, HubNotFound, False),
        ({"status": 429, "headers": {"Retry-After": "60"}}, Throttled, True),
        ({"status": 500}, HubUnavailable, True),
        ({"status": 503, "headers": {"Retry-After": "60"}}, HubUnavailable, True),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example/"}}, HubUnavailable, True),
        (
            {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>hi</html>"},
            HubUnavailable,
            True,
        ),
        ({"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "hello"}, HubUnavailable, True),
        ({"reset": "before"}, HubUnavailable, True),
    ],
)
def test_every_refusal_is_an_error_of_the_tree(
    phone: Phone, fault: dict[str, object], error: type[Exception], retryable: bool
) -> None:
    phone.backend.fail("PUT", **fault)
    if retryable:
        report = phone.start()
        assert report.outcome == "waiting"
        assert type(report.error) is error
        assert 'backend "hub"' in str(report.error) or "no answer from" in str(report.error)
    else:
        with pytest.raises(error) as caught:
            phone.start()
        assert type(caught.value) is error
        assert 'backend "hub"' in str(caught.value)
    assert phone.held() == []
    phone.offset = timedelta(days=2)
    assert phone.start().outcome == "registered"


def test_a_backend_that_is_away_is_asked_again_and_nothing_is_lost(phone: Phone) -> None:
    phone.start()
    phone.channel = "https://push.example/2"
    phone.backend.fail("*", status=503, times=2, headers={"Retry-After": "1"})
    report = phone.agent().start(timeout=30)
    assert report.outcome == "updated"
    assert phone.held()[0]["pushChannel"] == "https://push.example/2"


def test_a_backend_at_another_url_is_the_same_and_gets_the_whole(
    phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    first = phone.start()
    with BackendDouble() as elsewhere:
        phone.backend = elsewhere
        report = phone.start()
        assert (report.outcome, report.installation_id) == ("registered", first.installation_id)
        assert phone.seen() == [("PUT", 200)]
        assert "it keeps its id, and is sent there whole" in caplog.text
        assert phone.start().outcome == "unchanged"
        assert phone.agent().status().namespace == elsewhere.url.removeprefix("http://")


def test_a_disk_that_is_restored_from_a_backup_writes_the_whole_over_what_came_after(
    phone: Phone, tmp_path: Path
) -> None:
    phone.start()
    saved = {path: path.read_bytes() for path in phone.folder.rglob("*.json")}
    phone.channel = "https://push.example/2"
    phone.start()
    for path, content in saved.items():
        path.write_bytes(content)
    report = phone.start()
    assert report.outcome == "updated"
    [held] = phone.held()
    assert held["pushChannel"] == "https://push.example/2"


def test_the_user_changes_and_the_id_stays(phone: Phone) -> None:
    phone.backend.added = ["username:anna"]
    first = phone.start(user_id="anna")
    phone.backend.added = ["username:bob"]
    second = phone.start(user_id="bob", tags=[], push_variables={})
    assert second.installation_id == first.installation_id
    [held] = phone.held()
    assert (held["userId"], held["tags"]) == ("bob", ["username:bob"])


def test_unregistered_it_stays_off_and_verify_finds_nothing(phone: Phone) -> None:
    phone.start()
    assert phone.agent().unregister(timeout=0).outcome == "disabled"
    assert phone.held() == []
    phone.seen()
    assert phone.agent().verify().in_sync
    assert phone.seen() == [("GET", 404)]
    assert phone.start().outcome == "disabled"
    assert phone.agent().enable(timeout=0).outcome == "registered"


def test_what_is_left_of_an_unregistered_device_is_deleted_by_the_next_start(phone: Phone) -> None:
    first = phone.start()
    assert first.installation_id is not None
    phone.agent().unregister(timeout=0)
    phone.backend.emulator._parts().hub.installations.put(
        first.installation_id, {"platform": "wns", "pushChannel": phone.channel}
    )
    assert not phone.agent().verify().in_sync
    assert phone.start().outcome == "disabled"
    assert phone.held() == []


def test_verify_finds_what_was_granted_and_is_held_no_more(phone: Phone) -> None:
    phone.backend.added = ["username:anna"]
    phone.tags = ["kitchen", "news"]
    first = phone.start()
    assert first.installation_id is not None
    hub = phone.backend.emulator._parts().hub
    hub.installations.patch(first.installation_id, [{"op": "add", "path": "/tags", "value": "topic:x"}])
    assert phone.agent().verify().in_sync, "what the backend adds is its own matter"
    hub.installations.patch(first.installation_id, [{"op": "remove", "path": "/tags/news"}])
    verification = phone.agent().verify()
    assert [(drift.field, drift.expected) for drift in verification.drift] == [
        ("tags", "['kitchen', 'news']")
    ]
    phone.seen()
    assert phone.start().outcome == "updated"
    assert phone.seen() == [("PUT", 200)]
    assert sorted(phone.held()[0]["tags"]) == ["kitchen", "news", "username:anna"]


def test_a_lost_state_file_is_learnt_from_the_backend_but_not_its_tags(phone: Phone) -> None:
    phone.backend.added = ["username:anna"]
    template = Template("<toast>$(m)</toast>", headers={"X-WNS-Type": "wns/toast"})
    first = phone.start(templates={"t": template})
    [state] = phone.folder.rglob("state.json")
    state.write_text("damaged")
    phone.seen()
    report = phone.start(tags=None)
    assert (report.outcome, report.installation_id) == ("updated", first.installation_id)
    assert phone.seen() == [("GET", 200), ("PUT", 200)]
    [held] = phone.held()
    assert (held["tags"], list(held["templates"])) == (["username:anna"], ["t"])


def test_a_device_of_the_hub_moves_to_the_backend_with_its_id(
    phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    before = phone.start(hub="hub", connection_string=phone.backend.listen)
    after = phone.start()
    assert after.installation_id == before.installation_id
    assert [held["installationId"] for held in phone.held()] == [before.installation_id]


def test_registrations_of_former_times_are_left_to_the_backend(
    phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    phone.start(hub="hub", connection_string=phone.backend.listen, style="registration")
    assert phone.start().outcome == "registered"
    contents = phone.backend.contents()
    assert (len(contents["installations"]), contents["registrations"]) == (1, [])


def test_an_answer_that_is_no_installation_is_left_out_with_a_warning(
    phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"installationId": "another", "platform": "wns", "pushChannel": "x"})
    phone.backend.fail("PUT", status=200, headers={"Content-Type": "application/json"}, body=body)
    assert phone.start().outcome == "registered"
    assert "no installation" in caplog.text
    assert phone.agent().status().granted == {}


def test_no_token_and_no_handle_is_shown_at_any_level(phone: Phone, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    phone.backend.fail(
        "PUT",
        status=400,
        body=json.dumps({"code": TOKEN, "detail": f"{TOKEN} {phone.channel}", "tags": [TOKEN]}),
    )
    with pytest.raises(InvalidRequest) as caught:
        phone.start()
    shown = f"{caught.value!r} {caught.value} {vars(caught.value)} {caplog.text}"
    assert TOKEN not in shown
    assert phone.channel not in shown


def test_another_token_is_tried_at_once_where_one_is_refused(phone: Phone) -> None:
    tokens = iter(["stale", TOKEN, TOKEN])
    phone.token = lambda: next(tokens)
    assert phone.start().outcome == "registered"
    assert phone.seen() == [("PUT", 401), ("PUT", 200)]


def test_the_same_token_is_not_tried_twice(phone: Phone) -> None:
    phone.token = "stale"
    with pytest.raises(Unauthorized, match="it is that of token"):
        phone.start()
    assert phone.seen() == [("PUT", 401)]


def test_an_unchanged_start_at_a_backend_loads_no_http_stack(phone: Phone, tmp_path: Path) -> None:
    program = """
import sys
from nhagent import Agent, Backend
url, folder = sys.argv[1:]
backend = Backend("hub", url, token="device-token-1")
report = Agent(app="a", hub=backend, platform="gcm", channel="handle", state_dir=folder).start()
print(report.outcome, sorted({"requests", "ssl", "logging", "keyring", "json.tool"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", program, phone.backend.url, str(tmp_path / "other")]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert first.stdout.startswith("registered ")
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stdout == "unchanged []\n"


def test_the_same_for_asyncio(phone: Phone) -> None:
    settings: dict[str, Any] = {"platform": "wns", "channel": phone.channel, "state_dir": phone.folder}
    where = Backend("hub", phone.backend.url, token=TOKEN)

    async def live() -> None:
        async with AsyncAgent(app="a", hub=where, **settings) as agent:
            assert (await agent.start()).outcome == "registered"
            assert (await agent.verify()).in_sync

    asyncio.run(live())
