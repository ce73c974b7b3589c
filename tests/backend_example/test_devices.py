"""The contract of docs/backends.md, kept by the example."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from nhagent import HubClient, Installation

from .running import HANDLE, Caller, RunningBackend, device_path, set_to

TOAST = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}
RICH: dict[str, Any] = {
    "tags": ["kitchen", "attic"],
    "userId": "anna",
    "pushVariables": {"name": "Ännchen"},
    "templates": {"alert": TOAST, "plain": {"body": "<badge/>", "headers": {"X-WNS-Type": "wns/badge"}}},
    "secondaryTiles": {
        "weather": {"pushChannel": "https://push.example/weather", "tags": ["w"], "templates": {"t": TOAST}}
    },
    "expirationTime": "2031-01-01T00:00:00Z",
}


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


@pytest.mark.parametrize("installation_id", ["a/b", "a//b%2F", "x y?#&", "Ünïcode", "..x", "a%b"])
def test_ids_of_any_form_are_the_same_at_backend_and_hub(
    backend: RunningBackend, phone: Caller, installation_id: str
) -> None:
    assert phone.put(installation_id).status == 200
    assert backend.held(installation_id) is not None
    assert phone.get(installation_id).json["installationId"] == installation_id
    assert phone.delete(installation_id).status == 204
    assert backend.held(installation_id) is None


@pytest.mark.parametrize("installation_id", ["..", "a\tb", "x" * 201, "a\x00b"])
def test_what_cannot_be_an_id_is_refused(
    backend: RunningBackend, phone: Caller, installation_id: str
) -> None:
    assert phone.put(installation_id).code == "invalid_installation"
    assert backend.hub.contents()["installations"] == []


@pytest.mark.parametrize(
    "token",
    [
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
    ],
)
def test_whoever_has_no_token_is_not_let_in(backend: RunningBackend, phone: Caller, token: str) -> None:
    phone.put("one")
    number, _, secret = phone.token.partition(".")
    assert number == "1"
    other = Caller(backend, token.format(secret=secret).encode().decode("latin-1"))
    for answer in (
        other.put("one"), other.patch("one"), other.get("one"), other.delete("one"), other.follow("news"),
        other.put_registration("r"), other.get_registration("r"), other.send("POST", "/tokens/one"),
    ):  # fmt: skip
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["", "Basic MTox", "Bearer", "Digest a=b"])
def test_other_ways_to_say_who_one_is_are_none(phone: Caller, header: str) -> None:
    assert phone.send("GET", "/devices/one", headers={"Authorization": header}).code == "unauthorized"


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


@pytest.mark.parametrize("platform", ["nokia", "", "wns "])
def test_unknown_platform_is_told_apart(backend: RunningBackend, phone: Caller, platform: str) -> None:
    answer = phone.put("one", platform=platform)
    assert (answer.status, answer.code) == (400, "unknown_platform")
    assert backend.hub.contents()["installations"] == []


@pytest.mark.parametrize(
    "body",
    [
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
    ],
)  # fmt: skip
def test_what_is_no_installation_is_refused_and_claims_nothing(
    backend: RunningBackend, phone: Caller, stranger: Caller, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = phone.send("PUT", device_path("one"), body, headers)
    assert (answer.status, answer.code) == (400, "invalid_installation")
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


def test_a_patch_of_what_the_hub_has_lost_is_not_found(backend: RunningBackend, phone: Caller) -> None:
    assert phone.patch("one", set_to("/tags", "x")).code == "not_found"
    phone.put("one")
    backend.hub.forget(installation="one")
    assert phone.patch("one", set_to("/tags", "x")).code == "not_found"
    assert phone.get("one").code == "not_found"
    assert phone.put("one").status == 200


PATCHES: list[list[dict[str, Any]]] = [
    [{"op": "add", "path": "/tags", "value": "cellar"}],
    [{"op": "add", "path": "/tags", "value": ["cellar", "hall"]}],
    [{"op": "add", "path": "/tags", "value": '["cellar"]'}],
    [{"op": "remove", "path": "/tags/Kitchen"}],
    [{"op": "remove", "path": "/tags/not-there"}],
    [set_to("/tags", "cellar")],
    [{"op": "remove", "path": "/tags"}, {"op": "add", "path": "/tags", "value": "kitchen"}],
    [set_to("/userId", "ANNA")],
    [{"op": "remove", "path": "/userId"}],
    [set_to("/templates/alert/body", "<toast>2</toast>")],
    [set_to("/templates/alert/headers", '{"X-WNS-Type": "wns/tile"}')],
    [{"op": "add", "path": "/templates/alert/tags", "value": "b"}],
    [{"op": "remove", "path": "/templates/alert/tags/alerts"}],
    [{"op": "remove", "path": "/templates/alert"}],
    [{"op": "add", "path": "/templates/new", "value": json.dumps(TOAST)}],
    [set_to("/templates/plain", TOAST)],
    [set_to("/secondaryTiles/weather/pushChannel", "https://push.example/w2")],
    [{"op": "add", "path": "/secondaryTiles/weather/tags", "value": "v"}],
    [{"op": "remove", "path": "/secondaryTiles/weather/templates/t"}],
    [set_to("/secondaryTiles/weather/templates/t/body", "<toast>3</toast>")],
    [set_to("/PushChannel", "https://push.example/3"), set_to("/Tags", "z")],
    [],
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("operations", PATCHES, ids=json.dumps)
def test_a_patch_does_what_the_hub_would_have_done(
    backend: RunningBackend, phone: Caller, operations: list[dict[str, Any]]
) -> None:
    granted = phone.put("one", **RICH).json
    lasting = {name: part for name, part in granted.items() if name != "expirationTime"}
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        hub.put_installation(Installation.from_dict(deepcopy(lasting) | {"installationId": "other"}))
        hub.patch_installation("other", operations)
        expected = hub.get_installation("other").to_dict()
    answer = phone.patch("one", *operations)
    assert answer.status == 200, answer
    assert _sorted(answer.json) == _sorted(
        expected
        | {"installationId": "one", "expirationTime": RICH["expirationTime"]}
        | {"tags": [*{*expected.get("tags", []), "username:anna"}]}
        | {"templates": {name: _as_put(name, part) for name, part in expected["templates"].items()}}
    )
    assert phone.get("one").json == answer.json


def _as_put(name: str, template: dict[str, Any]) -> dict[str, Any]:
    """Leave out the tag that the hub makes of a template's name."""
    return {key: part for key, part in template.items() if key != "tags" or part != [name]}


def _sorted(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"tags": sorted(document["tags"])}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "operations",
    [
        b"{}", b"[3]", b'[{"op": "add", "path": "/tags"}]', b'[{"op": "move", "path": "/tags", "value": ""}]',
        b'[{"op": "add", "path": "tags", "value": "a"}]', b'[{"op": "add", "path": "/", "value": "a"}]',
        b'[{"op": "add", "path": "/platform", "value": "apns"}]', b'[{"op": "add", "value": "a"}]',
        b'[{"op": "add", "path": "/tags/a/b", "value": ""}]', b'[{"op": "add", "path": "/tags", "value": 3}]',
        b'[{"op": "remove", "path": "/pushChannel"}]', b'[{"op": "remove", "path": "/tags", "value": ""}]',
        b'[{"op": "add", "path": "/tags", "value": "["}]', b'[{"op": "add", "path": "/tags", "value": "a,"}]',
        b'[{"op": "add", "path": "/templates/a", "value": "[]"}]',
        b'[{"op": "add", "path": "/templates/a", "value": "{}"}]',
        b'[{"op": "add", "path": "/templates/a/body", "value": 3}]',
        b'[{"op": "add", "path": "/templates/alert/headers", "value": "x"}]',
        b'[{"op": "add", "path": "/secondaryTiles/t", "value": "{}"}]',
        b'[{"op": "add", "path": "/secondaryTiles/t/tags", "value": "a"}]',
        b'[{"op": "add", "path": "/body", "value": "x"}]',
        b'[{"op": "add", "path": "/templates/alert/userId", "value": "anna"}]',
        b'[{"op": "add", "path": "/secondaryTiles/weather/userId", "value": "anna"}]',
        b'[{"op": "add", "path": "/installationId", "value": "two"}]',
        b'[{"op": "add", "path": "/userId", "value": ["anna"]}]',
    ],
)  # fmt: skip
def test_a_patch_that_makes_no_installation_changes_nothing(
    backend: RunningBackend, phone: Caller, operations: bytes
) -> None:
    put = phone.put("one", **RICH)
    headers = {"Content-Type": "application/json-patch+json"}
    answer = phone.send("PATCH", device_path("one"), operations, headers)
    assert (answer.status, answer.code) == (400, "invalid_installation")
    assert phone.get("one").json == put.json


@pytest.mark.parametrize("header", ["", "{}", "W/", "*, x"])
def test_a_malformed_condition_is_not_passed_over(
    backend: RunningBackend, phone: Caller, header: str
) -> None:
    put = phone.put("one")
    for method, name in (("PUT", "one"), ("DELETE", "one"), ("DELETE", "never")):
        body = json.dumps({"platform": "wns", "pushChannel": HANDLE, "tags": ["x"]}).encode()
        headers = {"Content-Type": "application/json"}
        answer = phone.send(method, device_path(name), body, headers, condition=header)
        assert (answer.status, answer.code) == (412, "conflict")
    assert phone.get("one").json == put.json
