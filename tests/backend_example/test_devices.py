"""The contract of docs/backends.md, kept by the example."""

from __future__ import annotations

import json

import pytest

from .running import HANDLE, RICH, Caller, RunningBackend, device_path, set_to

ODD_IDS = ["a/b", "a//b%2F", "x y?#&", "Ünïcode", "..x", "a%b"]

NO_IDS = ["..", "a\tb", "x" * 201, "a\x00b"]

NO_TOKENS = [
    "",
    "1",
    "1.",
    "1.wrong",
    "2.{secret}",
    "x.{secret}",
    ".{secret}",
    "{secret}",
    "99999999999.{secret}",
    "¹.x",
]

OTHER_WAYS = ["", "Basic MTox", "Bearer", "Digest a=b"]

NO_PLATFORMS = ["nokia", "", "wns "]

CONDITIONS = ["", "{}", "W/", "*, x"]
"""Values of If-Match that are malformed."""

NO_INSTALLATIONS = [
    b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"platform": NaN}', b"[" * 60000,
    b"{}", b'{"platform": "wns"}', b'{"platform": 3, "pushChannel": "https://push.example/"}',
    b'{"platform": "wns", "pushChannel": 3}', b'{"platform": "wns", "pushChannel": "no address"}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "tags": "kitchen"}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "tags": ["a b"]}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "tags": [3]}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "templates": []}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "templates": {"a": {"body": "<a>"}}}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "expirationTime": "soon"}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "installationId": "two"}',
    b'{"platform": "wns", "pushChannel": "https://push.example/", "pushVariables": {"a": 1}}',
]  # fmt: skip


def test_device_registers_reads_changes_and_leaves(backend: RunningBackend, phone: Caller) -> None:
    put = phone.put("one", tags=["kitchen"])
    assert (put.status, put.headers["Content-Type"]) == (200, "application/json")
    assert put.json == {
        "installationId": "one",
        "platform": "wns",
        "pushChannel": HANDLE,
        "tags": ["kitchen", "username:anna"],
    }
    assert backend.tags_of("one") == ["kitchen", "username:anna"]
    got = phone.get("one")
    assert (got.status, got.json, got.etag) == (200, put.json, put.etag)
    patched = phone.patch("one", set_to("/pushChannel", "https://push.example/2"), match=put.etag)
    assert (patched.status, patched.json["pushChannel"]) == (200, "https://push.example/2")
    assert patched.etag == phone.get("one").etag != put.etag
    assert phone.delete("one").status == 204
    assert backend.held("one") is None
    assert phone.get("one").code == "not_found"
    assert phone.delete("one").status == 204
    assert phone.delete("never seen").status == 204


def test_everything_of_an_installation_comes_back_with_one_etag(
    backend: RunningBackend, phone: Caller
) -> None:
    put = phone.put("one", **RICH)
    got = phone.get("one")
    assert (got.json, got.etag) == (put.json, put.etag)
    assert put.json == RICH | {
        "installationId": "one",
        "platform": "wns",
        "pushChannel": HANDLE,
        "tags": ["kitchen", "attic", "username:anna"],
    }
    backend.hub.expire(installation="one")
    expired = phone.get("one")
    assert expired.json["pushChannelExpired"] is True
    assert expired.etag != got.etag
    again = phone.put("one", match=expired.etag, **RICH)
    assert (again.status, again.json, again.etag) == (200, put.json, put.etag)
    backend.hub.expire(installation="one")
    patched = phone.patch("one", {"op": "add", "path": "/tags", "value": "hall"})
    assert "pushChannelExpired" not in patched.json
    assert phone.get("one").etag == patched.etag


@pytest.mark.slow
def test_ids_of_any_form_are_the_same_at_backend_and_hub(backend: RunningBackend, phone: Caller) -> None:
    for installation_id in ODD_IDS:
        assert phone.put(installation_id).status == 200
        assert backend.held(installation_id) is not None
        assert phone.get(installation_id).json["installationId"] == installation_id
        assert phone.delete(installation_id).status == 204
        assert backend.held(installation_id) is None


def test_what_cannot_be_an_id_is_refused(backend: RunningBackend, phone: Caller) -> None:
    for installation_id in NO_IDS:
        assert phone.put(installation_id).code == "invalid_installation"
        assert backend.hub.contents()["installations"] == []


@pytest.mark.slow
def test_whoever_has_no_token_is_not_let_in(backend: RunningBackend, phone: Caller) -> None:
    phone.put("one")
    number, _, secret = phone.token.partition(".")
    assert number == "1"
    for token in NO_TOKENS:
        other = Caller(backend, token.format(secret=secret).encode().decode("latin-1"))
        for answer in (
            other.put("one"), other.patch("one"), other.get("one"), other.delete("one"), other.follow("news"),
            other.put_registration("r"), other.get_registration("r"), other.send("POST", "/tokens/one"),
        ):  # fmt: skip
            assert (answer.status, answer.code) == (401, "unauthorized"), token
            assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_other_ways_to_say_who_one_is_are_none(phone: Caller) -> None:
    for header in OTHER_WAYS:
        assert phone.send("GET", "/devices/one", headers={"Authorization": header}).code == "unauthorized"


@pytest.mark.slow
def test_an_id_is_its_first_writers_for_good(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    tablet = backend.device_of("anna")  # the same user does not make it the same device
    put = phone.put("One", tags=["kitchen"])
    for other in (stranger, tablet):
        for spelling in ("One", "ONE", "one"):
            for answer in (
                other.put(spelling, pushChannel="https://push.example/evil"),
                other.patch(spelling, set_to("/tags", "x")),
                other.get(spelling),
                other.delete(spelling),
                other.put(spelling, match="*"),
                other.send("POST", f"/tokens/{spelling}"),
            ):
                assert (answer.status, answer.code) == (404, "not_found")
    assert phone.get("one").json == put.json
    phone.delete("One")
    assert stranger.put("One").code == "not_found"
    assert phone.put("one").json["installationId"] == "One"
    assert phone.get("never").body == stranger.get("One").body  # the two look alike


def test_unknown_platform_is_told_apart(backend: RunningBackend, phone: Caller) -> None:
    for platform in NO_PLATFORMS:
        answer = phone.put("one", platform=platform)
        assert (answer.status, answer.code) == (400, "unknown_platform")
        assert backend.hub.contents()["installations"] == []


@pytest.mark.slow
def test_what_is_no_installation_is_refused_and_claims_nothing(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    for body in NO_INSTALLATIONS:
        headers = {"Content-Type": "application/json"}
        answer = phone.send("PUT", device_path("one"), body, headers)
        assert (answer.status, answer.code) == (400, "invalid_installation"), body
        assert backend.hub.log() == []
    assert stranger.put("one").status == 200


def test_what_is_too_large_or_labelled_otherwise_is_not_read(backend: RunningBackend, phone: Caller) -> None:
    large = phone.put("one", pushVariables={"a": "x" * 65536})
    assert (large.status, large.code) == (413, "too_large")
    labelled = phone.send("PUT", device_path("one"), b"{}", {"Content-Type": "text/plain"})
    assert (labelled.status, labelled.code) == (415, "unsupported_media_type")
    assert backend.hub.log() == []


def test_addresses_of_nothing_are_told_apart_from_records(phone: Caller) -> None:
    answer = phone.send("GET", "/device/one")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    answer = phone.send("POST", device_path("one"), b"{}")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


def test_writes_over_what_was_not_seen_are_refused(backend: RunningBackend, phone: Caller) -> None:
    first = phone.put("one", tags=["kitchen"])
    second = phone.put("one", tags=["attic"])
    for answer in (
        phone.put("one", match=first.etag),
        phone.patch("one", set_to("/tags", "x"), match=first.etag),
        phone.delete("one", match=first.etag),
        phone.put("one", match=f"W/{second.etag}"),
        phone.put("new", match="*"),
        phone.put("new", match=second.etag),
    ):
        assert (answer.status, answer.code) == (412, "conflict")
    assert backend.tags_of("one") == ["attic", "username:anna"]
    assert backend.held("new") is None
    assert phone.put("one", match=second.etag, tags=["hall"]).status == 200
    assert phone.put("one", match="*", tags=["hall"]).status == 200
    assert phone.delete("one", match=phone.get("one").etag).status == 204


@pytest.mark.slow
def test_a_malformed_condition_is_not_passed_over(backend: RunningBackend, phone: Caller) -> None:
    for header in CONDITIONS:
        put = phone.put("one")
        for method, name in (("PUT", "one"), ("DELETE", "one"), ("DELETE", "never")):
            body = json.dumps({"platform": "wns", "pushChannel": HANDLE, "tags": ["x"]}).encode()
            headers = {"Content-Type": "application/json"}
            answer = phone.send(method, device_path(name), body, headers, condition=header)
            assert (answer.status, answer.code) == (412, "conflict")
        assert phone.get("one").json == put.json
