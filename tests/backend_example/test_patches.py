"""Changes in the service's dialect of JSON Patch: what the hub would have done, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nhagent import HubClient, Installation

from .running import RICH, TOAST, Caller, RunningBackend, device_path, set_to

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

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
NO_PATCHES = [
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
]  # fmt: skip


def test_a_patch_of_what_the_hub_has_lost_is_not_found(backend: RunningBackend, phone: Caller) -> None:
    assert phone.patch("one", set_to("/tags", "x")).code == "not_found"
    phone.put("one")
    backend.hub.forget(installation="one")
    assert phone.patch("one", set_to("/tags", "x")).code == "not_found"
    assert phone.get("one").code == "not_found"
    assert phone.put("one").status == 200


@pytest.mark.slow
def test_a_patch_does_what_the_hub_would_have_done(backend: RunningBackend, phone: Caller) -> None:
    for operations in PATCHES:
        _is_applied_as_by_the_hub(backend, phone, operations)


def _is_applied_as_by_the_hub(
    backend: RunningBackend, phone: Caller, operations: list[dict[str, Any]]
) -> None:
    granted = phone.put("one", **RICH).json
    lasting = {name: part for name, part in granted.items() if name != "expirationTime"}
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        hub.put_installation(Installation.from_dict(lasting | {"installationId": "other"}))
        hub.patch_installation("other", operations)
        expected = hub.get_installation("other").to_dict()
    answer = phone.patch("one", *operations)
    assert answer.status == 200, operations
    assert _sorted(answer.json) == _sorted(
        expected
        | {"installationId": "one", "expirationTime": RICH["expirationTime"]}
        | {"tags": [*{*expected.get("tags", []), "username:anna"}]}
        | {"templates": {name: _as_put(name, part) for name, part in expected["templates"].items()}}
    )
    assert phone.get("one").json == answer.json, operations


def _as_put(name: str, template: dict[str, Any]) -> dict[str, Any]:
    """Leave out the tag that the hub makes of a template's name."""
    return {key: part for key, part in template.items() if key != "tags" or part != [name]}


def _sorted(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"tags": sorted(document["tags"])}


@pytest.mark.slow
def test_a_patch_that_makes_no_installation_changes_nothing(backend: RunningBackend, phone: Caller) -> None:
    for operations in NO_PATCHES:
        put = phone.put("one", **RICH)
        headers = {"Content-Type": "application/json-patch+json"}
        answer = phone.send("PATCH", device_path("one"), operations, headers)
        assert (answer.status, answer.code) == (400, "invalid_installation"), operations
        assert phone.get("one").json == put.json, operations
