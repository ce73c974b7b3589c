from __future__ import annotations

import json
from typing import Any

import pytest

from nhagent.emulator import Emulator

from .caller import Caller, toast, wns

XML = "application/xml; charset=utf-8"
NEVER = "9999-12-31T23:59:59.9999999Z"


def test_an_installation_is_put_read_patched_and_deleted(hub: Caller) -> None:
    put = hub.put(wns(tags=["a"]))
    assert (put.status, put.body, put.headers["Content-Type"], put.headers["Content-Length"]) == (
        200,
        b"",
        XML,
        "0",
    )
    got = hub.get()
    assert (got.status, got.headers["Content-Type"], got.headers["Transfer-Encoding"]) == (
        200,
        XML,
        "chunked",
    )
    assert got.json["tags"] == ["a"]
    patched = hub.patch({"op": "add", "path": "/tags", "value": "b"})
    assert (patched.status, patched.body) == (200, b"")
    assert hub.get().json["tags"] == ["a", "b"]
    deleted = hub.delete()
    assert (deleted.status, deleted.body, deleted.headers["Content-Length"]) == (204, b"", "0")
    assert deleted.headers["Content-Type"] == XML
    assert hub.get().status == 404


def test_every_reply_carries_the_services_headers(hub: Caller) -> None:
    replies = [hub.put(wns()), hub.get(), hub.patch(), hub.delete(), hub.get(), hub.send("GET", "/nowhere")]
    for reply in replies:
        assert reply.headers["Server"]
        assert reply.headers["Date"].endswith(" GMT")
        assert reply.headers["Strict-Transport-Security"] == "max-age=2592000"
        assert len(reply.headers["TrackingId"]) == len(reply.headers["x-ms-correlation-request-id"]) == 36
    assert len({reply.headers["TrackingId"] for reply in replies}) == len(replies)


def test_a_missing_installation_answers_404_except_to_delete(hub: Caller) -> None:
    for reply in (hub.get("none"), hub.patch(installation_id="none")):
        assert reply.status == 404
        assert reply.text.startswith("<Error><Code>404</Code><Detail>Installation not found.TrackingId:")
    assert hub.delete("none").status == 204


def test_get_answers_all_members_in_the_services_order(hub: Caller) -> None:
    tile = {"pushChannel": "https://tile/", "tags": ["t"], "templates": {"x": toast(tags=["y"])}}
    sent = {
        "secondaryTiles": {"weather": tile},
        "templates": {"alert": toast(tags=["k"], expiry="0")},
        "pushVariables": {"name": "Ann"},
        "tags": ["a", "b"],
        "userId": "ann",
        **wns(),
    }
    hub.put(sent)
    expected = wns(
        pushChannelExpired=False, expirationTime=NEVER, **{key: sent[key] for key in sent if key != "x"}
    )
    expected["secondaryTiles"] = {"weather": {**tile, "pushChannelExpired": False}}
    got = hub.get().json
    assert got == expected
    assert list(got) == [
        "installationId",
        "pushChannel",
        "pushChannelExpired",
        "platform",
        "expirationTime",
        "userId",
        "tags",
        "pushVariables",
        "templates",
        "secondaryTiles",
    ]


def test_members_that_are_absent_null_or_empty_are_left_out(hub: Caller) -> None:
    empty: dict[str, Any] = {
        "userId": None,
        "expirationTime": None,
        "tags": [],
        "templates": {},
        "pushVariables": None,
    }
    hub.put(wns(**empty))
    assert list(hub.get().json) == [
        "installationId",
        "pushChannel",
        "pushChannelExpired",
        "platform",
        "expirationTime",
    ]


def test_a_second_put_replaces_everything(hub: Caller) -> None:
    hub.put(wns(userId="ann", tags=["a"], templates={"t": toast()}))
    hub.put({"installationId": "i", "platform": "apns", "pushChannel": "00ff"})
    got = hub.get().json
    assert (got["platform"], got["pushChannel"]) == ("apns", "00ff")
    assert not {"userId", "tags", "templates"} & set(got)


def test_member_names_and_platforms_are_read_in_any_case(hub: Caller) -> None:
    hub.put(
        {"INSTALLATIONID": "i", "Platform": "FcmV1", "pushchannel": "token", "userID": "ann", "Tags": ["a"]}
    )
    got = hub.get().json
    assert (got["platform"], got["pushChannel"], got["userId"], got["tags"]) == (
        "fcmv1",
        "token",
        "ann",
        ["a"],
    )


def test_unknown_and_read_only_members_are_ignored(hub: Caller) -> None:
    template = toast(name="alert", tags=[])
    hub.put(
        wns(pushChannelExpired=True, lastUpdate="2020-01-01", colour="red", templates={"alert": template})
    )
    got = hub.get().json
    assert got["pushChannelExpired"] is False
    assert "colour" not in got
    assert "lastUpdate" not in got
    assert set(got["templates"]["alert"]) == {"body", "headers", "tags"}


def test_a_template_without_tags_is_tagged_with_its_own_name(hub: Caller) -> None:
    hub.put(wns(templates={"Template Name": toast(), "other": toast(tags=["k"])}))
    templates = hub.get().json["templates"]
    assert templates["Template Name"]["tags"] == ["Template Name"]
    assert templates["other"]["tags"] == ["k"]


def test_what_was_read_can_be_put_back(hub: Caller) -> None:
    hub.put(wns(tags=["a"], templates={"Template Name": toast()}, expirationTime="2030-01-01T00:00Z"))
    before = hub.get().json
    assert hub.put(before).status == 200
    assert hub.get().json == before


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        ("2044-05-01T12:20+0200", "2044-05-01T10:20:00.0000000Z"),
        ("2044-05-01T12:20:30.123Z", "2044-05-01T12:20:30.1230000Z"),
        ("2044-05-01T12:20:30.1234567Z", "2044-05-01T12:20:30.1234567Z"),
        ("2044-05-01T12:20+01:00", "2044-05-01T11:20:00.0000000Z"),
        ("2044-05-01T00:20-0530", "2044-05-01T05:50:00.0000000Z"),
        ("2044-05-01T12:20:30", "2044-05-01T12:20:30.0000000Z"),
        ("9999-12-31T23:59:59.9999999Z", NEVER),
        ("9999-12-31T23:59:59-08:00", NEVER),
        ("2900-01-01T00:00Z", "2900-01-01T00:00:00.0000000Z"),
    ],
)
def test_every_clients_form_of_an_expiration_time_comes_back_as_utc(
    hub: Caller, given: str, answered: str
) -> None:
    hub.put(wns(expirationTime=given))
    assert hub.get().json["expirationTime"] == answered


@pytest.mark.parametrize("given", ["tomorrow", "2044-13-01T00:00Z", "2044-05-01", "0001-01-01T00:00+01:00"])
def test_an_expiration_time_that_is_none_is_refused(hub: Caller, given: str) -> None:
    assert hub.put(wns(expirationTime=given)).status == 400


BROWSER = {"endpoint": "https://push", "p256dh": "p", "auth": "a"}


@pytest.mark.parametrize(
    "channel", [BROWSER, json.dumps(BROWSER), json.dumps({"auth": "a", "other": 1, **BROWSER}, indent=1)]
)
def test_a_browser_channel_is_answered_in_the_form_in_which_it_was_sent(hub: Caller, channel: Any) -> None:
    document = {"installationId": "i", "platform": "browser", "pushChannel": channel}
    assert hub.put(document).status == 200
    assert hub.get().json["pushChannel"] == channel
    # What is read back can be put again, and a patch of something else keeps the form.
    assert hub.put(hub.get().json).status == 200
    hub.patch({"op": "add", "path": "/tags", "value": "a"})
    assert hub.get().json["pushChannel"] == channel


def test_a_browser_channel_as_an_object_has_the_known_members_only(hub: Caller) -> None:
    channel = {"AUTH": "a", "expirationTime": None, **BROWSER}
    hub.put({"installationId": "i", "platform": "browser", "pushChannel": channel})
    assert list(hub.get().json["pushChannel"].items()) == list(BROWSER.items())


def test_one_segment_of_the_path_is_one_id_whatever_it_is_coded_from(hub: Caller) -> None:
    target = "/my-hub/installations/a%20b%2F..%2Fother%3Fx%3D1?api-version=2020-06"
    assert hub.send("PUT", target, {"platform": "wns", "pushChannel": "https://c/"}).status == 200
    assert hub.send("GET", target).json["installationId"] == "a b/../other?x=1"


@pytest.mark.parametrize(
    "target",
    [
        "/my-hub/installations/i?api-version=2020-06",
        "/MY-HUB/Installations/i/?api-version=2015-01",
        "/my-hub/INSTALLATIONS/i?direct&API-Version=2020-06",
        "/my-hub/installations/i?%24top=1&api-version=2020-06",
        "/my-hub/installations/i?$top=1&api-version=2020-06",
    ],
)
def test_the_address_is_matched_without_regard_to_case_slash_and_query_order(
    hub: Caller, target: str
) -> None:
    hub.put(wns())
    assert hub.send("GET", target).status == 200


def test_the_case_of_an_id_counts(hub: Caller) -> None:
    hub.put(wns())
    assert hub.get("I").status == 404


@pytest.mark.parametrize(
    "query", ["", "?api-version=", "?api-version=latest", "?api-version=2020-6", "?version=2020-06"]
)
def test_a_missing_or_odd_api_version_is_refused(hub: Caller, query: str) -> None:
    assert hub.send("GET", f"/my-hub/installations/i{query}").status == 400


def test_another_hub_is_not_served(hub: Caller) -> None:
    reply = hub.send("GET", "/other-hub/installations/i?api-version=2020-06")
    assert reply.status == 404
    assert "<Detail>No service is hosted at the specified address..TrackingId:" in reply.text


def test_an_unknown_address_and_a_wrong_method_have_error_bodies(hub: Caller) -> None:
    for method, target, status in [
        ("GET", "/my-hub/installations", 404),
        ("GET", "/my-hub/nothing/i", 404),
        ("GET", "/my-hub", 401),
        ("PATCH", "/my-hub", 405),
        ("GET", "/", 404),
        ("POST", "/my-hub/installations/i?api-version=2020-06", 405),
    ]:
        reply = hub.send(method, target)
        assert reply.status == status
        assert f"<Error><Code>{status}</Code><Detail>" in reply.text


def test_a_hub_whose_name_is_a_path_is_served() -> None:
    with Emulator("team/a") as emulator, Caller(emulator.endpoint, emulator.listen, "team/a") as hub:
        assert hub.put(wns()).status == 200
        assert hub.send("GET", "/Team/A/installations/i?api-version=2020-06").status == 200
        assert hub.send("GET", "/team/installations/i?api-version=2020-06").status == 404


def test_the_id_in_the_body_may_be_left_out_but_not_differ(hub: Caller) -> None:
    target = "/my-hub/installations/i?api-version=2020-06"
    assert hub.send("PUT", target, {"platform": "wns", "pushChannel": "https://c/"}).status == 200
    refused = hub.send("PUT", target, wns(installationId="j"))
    assert refused.status == 400
    assert hub.get().json["pushChannel"] == "https://c/"


def test_text_beyond_ascii_comes_back_unharmed(hub: Caller) -> None:
    hub.put(wns(pushVariables={"naïve": "日本語 🎈"}))
    got = hub.get()
    assert got.json["pushVariables"] == {"naïve": "日本語 🎈"}
    assert "日本語" in got.text


def test_the_hub_forgets_and_expires_what_it_is_told_to(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    emulator.expire(installation="i")
    assert hub.get().json["pushChannelExpired"] is True
    hub.patch({"op": "add", "path": "/tags", "value": "a"})
    assert hub.get().json["pushChannelExpired"] is True
    hub.patch({"op": "replace", "path": "/pushChannel", "value": "https://new/"})
    assert hub.get().json["pushChannelExpired"] is False
    emulator.forget(installation="i")
    assert hub.get().status == 404
    with pytest.raises(KeyError):
        emulator.forget(installation="i")
    with pytest.raises(KeyError):
        emulator.expire(installation="i")
