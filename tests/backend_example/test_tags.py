"""Which tags a device gets: its user's, free ones, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from nhagent import HubClient, Registration

from .running import HANDLE, Caller, RunningBackend, set_to

TOAST = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}}
TILE = "https://push.example/tile"


def test_a_user_has_free_tags_and_those_that_were_granted(backend: RunningBackend, phone: Caller) -> None:
    backend.grant("anna", "role:Admin")
    assert phone.put("one", tags=["kitchen", "Role:admin", "USERNAME:Anna"]).status == 200
    assert backend.tags_of("one") == ["Role:admin", "USERNAME:Anna", "kitchen"]
    assert phone.put("two", pushChannel=TILE, tags=["kitchen"]).status == 200
    assert backend.tags_of("two") == ["kitchen", "username:anna"]  # granted is not given


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        ({"tags": ["kitchen", "username:bob"]}, ["username:bob"]),
        (
            {"tags": ["UserName:BOB", "topic:news", "role:admin"]},
            ["UserName:BOB", "role:admin", "topic:news"],
        ),
        ({"templates": {"a": TOAST | {"tags": ["username:bob"]}}}, ["username:bob"]),
        ({"templates": {"username:bob": TOAST}}, ["username:bob"]),
        ({"secondaryTiles": {"t": {"pushChannel": TILE, "tags": ["username:bob"]}}}, ["username:bob"]),
        (
            {"secondaryTiles": {"t": {"pushChannel": TILE, "templates": {"username:bob": TOAST}}}},
            ["username:bob"],
        ),
    ],
)
def test_tags_of_others_are_refused_wherever_they_stand(
    backend: RunningBackend, phone: Caller, stranger: Caller, document: dict[str, Any], refused: list[str]
) -> None:
    backend.grant("bob", "role:admin")
    assert stranger.follow("news").status == 200
    answer = phone.put("one", **document)
    assert (answer.status, answer.code, answer.json["tags"]) == (403, "tags_not_allowed", refused)
    assert backend.held("one") is None
    phone.put("one", tags=["kitchen"])
    operations = [
        {"op": "add", "path": f"/{name}{path}", "value": value}
        for name, part in document.items()
        for path, value in (
            [("", part)] if isinstance(part, list) else [(f"/{key}", part[key]) for key in part]
        )
        if name != "secondaryTiles"
    ]
    if operations:
        patched = phone.patch("one", *operations)
        assert (patched.status, patched.code, patched.json["tags"]) == (403, "tags_not_allowed", refused)
    assert backend.tags_of("one") == ["kitchen", "username:anna"]


def test_a_template_that_loses_its_last_tag_may_not_be_named_like_another_user(
    backend: RunningBackend, phone: Caller
) -> None:
    assert phone.put("one", templates={"username:bob": TOAST | {"tags": ["x"]}}).status == 200
    answer = phone.patch("one", {"op": "remove", "path": "/templates/username:bob/tags/x"})
    assert (answer.code, answer.json["tags"]) == ("tags_not_allowed", ["username:bob"])


def test_a_user_id_is_the_users_own(backend: RunningBackend, phone: Caller) -> None:
    assert phone.put("one", userId="Anna").status == 200
    for answer in (phone.put("one", userId="bob"), phone.patch("one", set_to("/userId", "bob"))):
        assert (answer.status, answer.code) == (403, "user_not_allowed")
    held = backend.held("one")
    assert held is not None and held["userId"] == "Anna"


def test_a_device_that_changes_its_user_keeps_its_id_and_leaves_the_tags_behind(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    backend.grant("anna", "role:admin")
    phone.follow("news")
    stranger.follow("sports")
    phone.put(
        "one",
        tags=["kitchen", "role:admin"],
        userId="anna",
        templates={"a": TOAST | {"tags": ["topic:news", "x"]}, "role:admin": TOAST},
        secondaryTiles={"t": {"pushChannel": TILE, "tags": ["topic:news", "y"]}},
    )
    phone.put_registration("r", pushChannel="https://push.example/r", tags=["hall", "role:admin"])
    backend.sign_in(phone, "bob")
    assert phone.get("one").json == {
        "installationId": "one",
        "platform": "wns",
        "pushChannel": HANDLE,
        "tags": ["kitchen", "username:bob", "topic:sports"],
        "templates": {"a": TOAST | {"tags": ["x"]}},
        "secondaryTiles": {"t": {"pushChannel": TILE, "tags": ["y"]}},
    }
    assert phone.get_registration("r").json["tags"] == ["hall", "username:bob", "topic:sports"]
    assert stranger.get("one").code == "not_found"
    assert phone.put("one", tags=["role:admin"]).json["tags"] == ["role:admin"]
    assert phone.put("one", tags=["kitchen"]).json["tags"] == ["kitchen", "username:bob", "topic:sports"]


def test_a_user_change_that_the_hub_refuses_leaves_the_device_to_its_user(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    from nhagent.errors import HubUnavailable

    phone.put("one")
    backend.hub.fail("PUT", status=503)
    with pytest.raises(HubUnavailable):
        backend.sign_in(phone, "bob")
    assert phone.put("one").json["tags"] == ["username:anna"]
    backend.hub.clear_faults()
    with pytest.raises(LookupError):
        backend.sign_in(phone, "nobody")


def test_a_patch_after_somebody_elses_tags_were_left_at_the_hub_leaves_them_out(
    backend: RunningBackend, phone: Caller
) -> None:
    phone.put("one", tags=["kitchen"])
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        hub.patch_installation("one", [{"op": "add", "path": "/tags", "value": ["username:bob", "free"]}])
    assert phone.patch("one", {"op": "add", "path": "/tags", "value": "hall"}).json["tags"] == [
        "kitchen", "username:anna", "free", "hall",
    ]  # fmt: skip


def test_a_channel_that_moves_to_another_user_takes_no_tags_along(
    backend: RunningBackend, phone: Caller, stranger: Caller
) -> None:
    with HubClient(backend.hub.full, backend.hub.hub, ca_bundle=backend.hub.ca) as hub:
        # What a device of the app's first edition registered by itself, with a key of its own.
        for tags in (["username:anna", "kitchen"], ["topic:news"]):
            hub.create_registration(Registration("wns", HANDLE, tags))
        assert stranger.put("two", tags=["hall"]).status == 200
        rows = [*hub.registrations_by_channel(HANDLE, platform="wns")]
        assert {row.installation_id for row in rows} == {"two"}
    assert backend.tags_of("two") == ["hall", "username:bob"]
