from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.emulator.hub.patch import PatchRefused, apply

from .caller import Caller, toast, wns

NEVER = "9999-12-31T23:59:59.9999999Z"

Json = dict[str, Any]


def op(kind: str, path: str, value: Any = None) -> Json:
    return {"op": kind, "path": path, "value": value}


def stored(**members: Any) -> Json:
    return {**wns(), "pushChannelExpired": False, "expirationTime": NEVER, **members}


def weather(**members: Any) -> Json:
    return {"weather": {"pushChannel": "https://tile/", "pushChannelExpired": False, **members}}


ALERT = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alert"]}

CHANGES: list[tuple[str, Json, Json, Json]] = [
    ("add appends a tag", {"tags": ["a"]}, op("add", "/tags", "b"), {"tags": ["a", "b"]}),
    ("add makes the list", {}, op("add", "/tags", "b"), {"tags": ["b"]}),
    ("add keeps tags unique in any case", {"tags": ["a"]}, op("add", "/tags", "A"), {"tags": ["a"]}),
    ("add takes an array", {"tags": ["a"]}, op("add", "/tags", ["b", "c", "B"]), {"tags": ["a", "b", "c"]}),
    ("add takes an array as text", {}, op("add", "/tags", '["b", "c"]'), {"tags": ["b", "c"]}),
    ("commas do not divide", {}, op("add", "/tags", "b,c"), {"tags": ["b,c"]}),
    ("replace drops the old tags", {"tags": ["a"]}, op("replace", "/tags", ["b"]), {"tags": ["b"]}),
    ("replace with commas is one tag", {"tags": ["a"]}, op("replace", "/tags", "b,c"), {"tags": ["b,c"]}),
    ("replace by nothing drops the list", {"tags": ["a"]}, op("replace", "/tags", []), {}),
    ("remove drops the list", {"tags": ["a", "b"]}, op("remove", "/tags"), {}),
    ("a tag is removed by its text", {"tags": ["a", "b"]}, op("remove", "/tags/A"), {"tags": ["b"]}),
    ("a number is a tag, not a place", {"tags": ["a", "0"]}, op("remove", "/tags/0"), {"tags": ["a"]}),
    ("the last tag takes the list along", {"tags": ["a"]}, op("remove", "/tags/a"), {}),
    ("removing an absent tag does nothing", {"tags": ["a"]}, op("remove", "/tags/b"), {"tags": ["a"]}),
    ("replace swaps one tag", {"tags": ["a", "b"]}, op("replace", "/tags/a", "c"), {"tags": ["b", "c"]}),
    ("replace works on an absent tag", {}, op("replace", "/tags/a", "c"), {"tags": ["c"]}),
    ("a user is set", {}, op("add", "/userId", "ann"), {"userId": "ann"}),
    ("a user is replaced", {"userId": "bob"}, op("replace", "/userId", "ann"), {"userId": "ann"}),
    ("a user is dropped", {"userId": "bob"}, op("remove", "/userId"), {}),
    ("names match in any case", {"userId": "bob"}, op("REMOVE", "/UserID"), {}),
    (
        "a channel resets expiry time and mark",
        {"expirationTime": "2030-01-01T00:00:00.0000000Z", "pushChannelExpired": True},
        op("replace", "/pushChannel", "https://new/"),
        {"pushChannel": "https://new/"},
    ),
    ("a template is added", {}, op("add", "/templates/alert", ALERT), {"templates": {"alert": ALERT}}),
    (
        "a template is added as text",
        {},
        op("add", "/templates/alert", json.dumps(ALERT)),
        {"templates": {"alert": ALERT}},
    ),
    (
        "a template is replaced whole",
        {"templates": {"alert": {**ALERT, "expiry": "1"}}},
        op("add", "/templates/alert", ALERT),
        {"templates": {"alert": ALERT}},
    ),
    (
        "a template is removed",
        {"templates": {"alert": ALERT, "x": ALERT}},
        op("remove", "/templates/x"),
        {"templates": {"alert": ALERT}},
    ),
    (
        "the last template takes the object along",
        {"templates": {"x": ALERT}},
        op("remove", "/templates/x"),
        {},
    ),
    ("removing an absent template does nothing", {}, op("remove", "/templates/x"), {}),
    ("removing an absent template's part does nothing", {}, op("remove", "/templates/x/expiry"), {}),
    (
        "a body is text even when it looks like JSON",
        {"templates": {"alert": ALERT}},
        op("replace", "/templates/alert/body", '{"a": 1}'),
        {"templates": {"alert": {**ALERT, "body": '{"a": 1}'}}},
    ),
    (
        "headers are replaced whole",
        {"templates": {"alert": {**ALERT, "headers": {"X-WNS-Type": "wns/raw", "X-Old": "1"}}}},
        op("add", "/templates/alert/headers", '{"X-WNS-Type": "wns/toast"}'),
        {"templates": {"alert": ALERT}},
    ),
    (
        "an expiry is set",
        {"templates": {"alert": ALERT}},
        op("add", "/templates/alert/expiry", "0"),
        {"templates": {"alert": {**ALERT, "expiry": "0"}}},
    ),
    (
        "an expiry is dropped",
        {"templates": {"alert": {**ALERT, "expiry": "0"}}},
        op("remove", "/templates/alert/expiry"),
        {"templates": {"alert": ALERT}},
    ),
    (
        "a template's tags work as the device's",
        {"templates": {"alert": ALERT}},
        op("add", "/templates/alert/tags", "k"),
        {"templates": {"alert": {**ALERT, "tags": ["alert", "k"]}}},
    ),
    (
        "a template's tag is removed",
        {"templates": {"alert": {**ALERT, "tags": ["alert", "k"]}}},
        op("remove", "/templates/alert/tags/k"),
        {"templates": {"alert": ALERT}},
    ),
    (
        "a tile comes with its channel",
        {},
        op("add", "/secondaryTiles/weather/pushChannel", "https://tile/"),
        {"secondaryTiles": weather()},
    ),
    (
        "a tile's channel loses its mark",
        {"secondaryTiles": weather(pushChannelExpired=True)},
        op("replace", "/secondaryTiles/weather/pushChannel", "https://tile/"),
        {"secondaryTiles": weather()},
    ),
    (
        "a tile's tags work as the device's",
        {"secondaryTiles": weather(tags=["a"])},
        op("add", "/secondaryTiles/weather/tags", "b"),
        {"secondaryTiles": weather(tags=["a", "b"])},
    ),
    (
        "a tile's tag is removed",
        {"secondaryTiles": weather(tags=["a", "b"])},
        op("remove", "/secondaryTiles/weather/tags/a"),
        {"secondaryTiles": weather(tags=["b"])},
    ),
    (
        "a tile's template is added",
        {"secondaryTiles": weather()},
        op("add", "/secondaryTiles/weather/templates/alert", ALERT),
        {"secondaryTiles": weather(templates={"alert": ALERT})},
    ),
    (
        "a tile's template's tag is swapped",
        {"secondaryTiles": weather(templates={"alert": ALERT})},
        op("replace", "/secondaryTiles/weather/templates/alert/tags/alert", "k"),
        {"secondaryTiles": weather(templates={"alert": {**ALERT, "tags": ["k"]}})},
    ),
]


@pytest.mark.parametrize(
    ("before", "operation", "after"), [case[1:] for case in CHANGES], ids=[c[0] for c in CHANGES]
)
def test_an_operation_changes_what_it_names_and_nothing_else(
    hub: Caller, before: Json, operation: Json, after: Json
) -> None:
    assert apply(stored(**before), [operation]) == {**stored(), **after}
    hub.put({**stored(), **before})
    assert hub.patch(operation).status == 200
    assert hub.get().json == {**stored(), **after}


REFUSED: list[Any] = [
    op("move", "/tags", "a"),
    op("test", "/tags", "a"),
    op("add", "tags", "a"),
    op("add", "", "a"),
    op("add", "/", "a"),
    op("add", "/tags"),
    op("replace", "/userId"),
    op("add", "/tags", 1),
    op("add", "/tags", [1]),
    op("add", "/tags", {}),
    op("add", "/tags/a", "b"),
    op("add", "/tags/-", "b"),
    op("remove", "/tags/"),
    op("remove", "/tags/a/b"),
    op("replace", "/tags/a", ["b"]),
    op("remove", "/pushChannel"),
    op("replace", "/platform", "apns"),
    op("replace", "/installationId", "j"),
    op("add", "/pushVariables/a", "b"),
    op("add", "/pushVariables", "{}"),
    op("add", "/expirationTime", NEVER),
    op("add", "/pushChannelExpired", "true"),
    op("add", "/user", "ann"),
    op("add", "/userId", {"a": 1}),
    op("add", "/templates", "{}"),
    op("remove", "/templates"),
    op("remove", "/templates/"),
    op("add", "/templates/x", "text"),
    op("add", "/templates/x", '["a"]'),
    op("add", "/templates/x", {"body": 1}),
    op("add", "/templates/alert/body", {"a": 1}),
    op("add", "/templates/alert/headers", "text"),
    op("add", "/templates/alert/colour", "red"),
    op("add", "/templates/alert/body/x", "y"),
    op("add", "/secondaryTiles/weather", "{}"),
    op("remove", "/secondaryTiles/weather"),
    op("remove", "/secondaryTiles"),
    op("remove", "/secondaryTiles/weather/pushChannel"),
    op("add", "/secondaryTiles/weather/userId", "ann"),
    "no object",
    {"op": 1, "path": "/tags", "value": "a"},
    {"op": "add", "path": 1, "value": "a"},
]


@pytest.mark.parametrize("operation", REFUSED, ids=str)
def test_an_operation_that_no_source_documents_is_refused_and_nothing_is_stored(
    hub: Caller, operation: Any
) -> None:
    hub.put(wns(tags=["a"], templates={"alert": ALERT}, secondaryTiles=weather()))
    before = hub.get().json
    with pytest.raises(PatchRefused):
        apply(before, [operation])
    assert hub.patch(op("add", "/tags", "b"), operation).status == 400
    assert hub.get().json == before


@pytest.mark.parametrize(
    "operation",
    [
        op("add", "/tags", "a b"),
        op("add", "/tags", "$x"),
        op("add", "/tags", ""),
        op("add", "/templates/x/tags", "k"),
        op("add", "/templates/x/body", "<toast/>"),
        op("remove", "/templates/alert/body"),
        op("remove", "/templates/alert/headers"),
        op("add", "/secondaryTiles/other/tags", "a"),
        op("add", "/userId", "a b"),
        op("add", "/pushChannel", ""),
        op("add", "/pushChannel", {"endpoint": "e"}),
        op("add", "/tags", '["\\ud800"]'),
    ],
    ids=str,
)
def test_a_patch_after_which_the_installation_would_be_invalid_is_refused_whole(
    hub: Caller, operation: Json
) -> None:
    hub.put(wns(tags=["a"], templates={"alert": ALERT}))
    before = hub.get().json
    assert hub.patch(op("add", "/tags", "b"), operation).status == 400
    assert hub.get().json == before


@pytest.mark.parametrize("body", ["", "{}", '{"op":"add"}', "null", "[", b"\xff"])
def test_a_patch_that_is_no_array_is_refused(hub: Caller, body: str | bytes) -> None:
    hub.put(wns())
    assert hub.send("PATCH", "/my-hub/installations/i?api-version=2020-06", body).status == 400


def test_a_template_is_made_from_its_parts_in_one_patch(hub: Caller) -> None:
    hub.put(wns())
    hub.patch(
        op("add", "/templates/t/body", "<toast/>"),
        op("add", "/templates/t/headers", {"X-WNS-Type": "wns/toast"}),
    )
    assert hub.get().json["templates"] == {"t": toast(tags=["t"])}


@pytest.mark.parametrize("put_as_text", [True, False])
@pytest.mark.parametrize("patched_as_text", [True, False])
def test_a_browsers_channel_keeps_the_form_in_which_it_was_put(
    hub: Caller, put_as_text: bool, patched_as_text: bool
) -> None:
    old = {"endpoint": "https://old", "p256dh": "p", "auth": "a"}
    new = {**old, "endpoint": "https://new"}
    hub.put(
        {
            "installationId": "i",
            "platform": "browser",
            "pushChannel": json.dumps(old) if put_as_text else old,
        }
    )
    assert hub.patch(op("replace", "/pushChannel", json.dumps(new) if patched_as_text else new)).status == 200
    shown = hub.get().json["pushChannel"]
    assert isinstance(shown, str) is put_as_text
    assert (json.loads(shown) if put_as_text else shown) == new
    for value in ("https://new", "[]", "{}", "7", 7, ["https://new"]):
        assert hub.patch(op("replace", "/pushChannel", value)).status == 400
    assert hub.get().json["pushChannel"] == shown


def test_the_content_type_of_a_patch_does_not_matter(hub: Caller) -> None:
    hub.put(wns())
    for content_type in ("application/json", "application/json-patch+json"):
        target = "/my-hub/installations/i?api-version=2020-06"
        reply = hub.send("PATCH", target, [op("add", "/tags", "a")], headers={"Content-Type": content_type})
        assert reply.status == 200


TAGS = st.text("abcABC01_@#.:-,", min_size=1, max_size=4)
TAG_LISTS = st.lists(TAGS, max_size=6, unique_by=str.lower)


@st.composite
def installations(draw: st.DrawFn) -> Json:
    found = stored()
    if tags := draw(TAG_LISTS):
        found["tags"] = tags
    templates = draw(
        st.dictionaries(TAGS, st.builds(lambda tags: {**ALERT, "tags": tags or ["k"]}, TAG_LISTS), max_size=3)
    )
    if templates:
        found["templates"] = templates
    return found


PATHS = st.one_of(
    st.sampled_from(
        ["/tags", "/userId", "/pushChannel", "/templates/a", "/templates/a/tags", "/platform", "tags", ""]
    ),
    st.builds("/tags/{}".format, TAGS),
    st.builds("/templates/{}/tags/{}".format, TAGS, TAGS),
    st.text(max_size=8),
)
VALUES = st.one_of(st.none(), TAGS, TAG_LISTS, st.just(json.dumps(ALERT)), st.just(ALERT), st.integers())
OPERATIONS = st.builds(op, st.sampled_from(["add", "replace", "remove", "move"]), PATHS, VALUES)


def tags_of(installation: Json) -> set[str]:
    return {tag.lower() for tag in installation.get("tags", [])}


@given(installations(), TAG_LISTS)
def test_adding_tags_never_loses_another(installation: Json, added: list[str]) -> None:
    after = apply(installation, [op("add", "/tags", added)])
    assert tags_of(after) == tags_of(installation) | {tag.lower() for tag in added}
    assert after.get("tags", [])[: len(installation.get("tags", []))] == installation.get("tags", [])


@given(installations(), TAGS)
def test_removing_a_tag_never_loses_another(installation: Json, tag: str) -> None:
    after = apply(installation, [op("remove", f"/tags/{tag}")])
    assert tags_of(after) == tags_of(installation) - {tag.lower()}
    assert {**after, "tags": 0} == {**installation, "tags": 0}


@given(installations(), st.sampled_from(["/tags", "/userId", "/templates/a", "/templates/a/tags"]), TAGS)
def test_replace_is_remove_and_then_add(installation: Json, path: str, text: str) -> None:
    value: Any = ALERT if path == "/templates/a" else text
    replaced = apply(installation, [op("replace", path, value)])
    assert replaced == apply(installation, [op("remove", path), op("add", path, value)])


@pytest.mark.slow
@given(installations(), st.lists(OPERATIONS, max_size=5))
def test_any_patch_leaves_what_it_was_given_untouched_and_no_tag_twice(
    installation: Json, operations: list[Json]
) -> None:
    before = copy.deepcopy(installation)
    sent = copy.deepcopy(operations)
    try:
        after = apply(installation, operations)
    except PatchRefused:
        after = before
    assert installation == before
    assert operations == sent
    assert len(tags_of(after)) == len(after.get("tags", []))
    assert after.get("tags") != []
    assert after.get("templates") != {}


@given(installations(), st.lists(OPERATIONS, max_size=4))
def test_a_patch_is_the_sum_of_its_operations(installation: Json, operations: list[Json]) -> None:
    try:
        whole = apply(installation, operations)
    except PatchRefused:
        return
    for operation in operations:
        installation = apply(installation, [operation])
    assert installation == whole
