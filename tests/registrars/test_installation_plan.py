"""The installation registrar's plan is pure; its patches are judged by the emulated hub's own dialect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import BrowserChannel, HubClient, Installation, Platform, SecondaryTile, Template
from nhagent.device.accepted import Accepted, Deletion
from nhagent.emulator.hub.patch import apply as apply_as_the_hub_does
from nhagent.hub.installations import compact, from_json, to_json
from nhagent.reconcile.planner import next_steps
from nhagent.registrars.installation import InstallationRegistrar
from nhagent.registrars.protocol import WritePolicy
from tests.subscriptions import AUTH, OTHER_AUTH, P256DH

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

tags = st.lists(
    st.sampled_from(["alpha", "beta", "gamma", "delta", "Epsilon", "zeta:1", "eta#2"]), unique=True
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="({"), min_size=1, max_size=20)
names = st.sampled_from(["alert", "front.page", "a:b"])


@st.composite
def wns_templates(draw: st.DrawFn) -> Template:
    headers = {"X-WNS-Type": draw(st.sampled_from(["wns/toast", "wns/raw"]))}
    if draw(st.booleans()):
        headers["X-WNS-Tag"] = draw(texts)
    return Template(f"<t>{draw(texts)}</t>", headers, draw(tags))


@st.composite
def apns_templates(draw: st.DrawFn) -> Template:
    headers = draw(st.dictionaries(st.sampled_from(["apns-priority", "apns-topic"]), texts))
    return Template(f'{{"n": {draw(st.integers())}}}', headers, draw(tags), draw(st.none() | texts))


@st.composite
def installations(draw: st.DrawFn) -> Installation:
    platform = draw(st.sampled_from([Platform.WNS, Platform.WNS, Platform.APNS, Platform.BROWSER]))
    channels: dict[Platform, st.SearchStrategy[Any]] = {
        Platform.WNS: st.sampled_from(["https://c/1", "https://c/2"]),
        Platform.APNS: st.sampled_from(["ab12", "cd34"]),
        Platform.BROWSER: st.sampled_from([AUTH, OTHER_AUTH]).map(
            lambda auth: BrowserChannel("https://b", P256DH, auth)
        ),
    }
    templates = {Platform.WNS: wns_templates(), Platform.APNS: apns_templates()}.get(platform)
    tiles: dict[str, SecondaryTile] = {}
    if platform is Platform.WNS:
        for number, tile_id in enumerate(draw(st.lists(st.sampled_from(["w", "t"]), unique=True))):
            channel = f"https://c/tile-{number}-{draw(st.integers(0, 1))}"
            inner = draw(st.dictionaries(names, wns_templates(), max_size=2))
            tiles[tile_id] = SecondaryTile(channel, draw(tags), inner)
    return Installation(
        "device",
        platform,
        draw(channels[platform]),
        draw(tags),
        draw(st.none() | st.sampled_from(["ann", "bob"])),
        draw(st.sampled_from([{}, {}, {"name": "Ann"}])),
        {} if templates is None else draw(st.dictionaries(names, templates, max_size=2)),
        tiles,
    )


def comparable(installation: Installation) -> Any:
    """An installation with its tags as the sets that they are."""

    def of_templates(templates: Any) -> Any:
        return {name: (t.body, dict(t.headers), t.expiry, frozenset(t.tags)) for name, t in templates.items()}

    return (
        installation.platform,
        installation.push_channel,
        frozenset(installation.tags),
        installation.user_id,
        dict(installation.push_variables),
        of_templates(installation.templates),
        {
            tile_id: (tile.channel, frozenset(tile.tags), of_templates(tile.templates))
            for tile_id, tile in installation.secondary_tiles.items()
        },
    )


def never_opened() -> HubClient:
    raise AssertionError("a plan sends nothing")


def plan(
    installation: Installation | None, accepted: Accepted, now: datetime = NOW, **policy: Any
) -> list[Any]:
    return list(
        next_steps(InstallationRegistrar(never_opened), installation, WritePolicy(**policy), accepted, now)
    )


def accepting(installation: Installation, **changes: Any) -> Accepted:
    accepted = Accepted("installation").having("installation", to_json(installation), NOW, whole=True)
    return accepted.changed(**changes)


@pytest.mark.slow
@given(installations(), installations())
def test_patch_applied_by_the_hub_gives_what_is_desired(before: Installation, after: Installation) -> None:
    steps = plan(after, accepting(before))
    if comparable(before) == comparable(after):
        assert steps == []
        return
    [step] = steps
    assert step.becomes is not None
    assert isinstance(step.becomes, Installation)
    assert comparable(step.becomes) == comparable(after)
    if step.method == "PUT":
        return
    held = from_json(apply_as_the_hub_does(to_json(before), step.operations))
    assert comparable(held) == comparable(after)
    assert len(compact(step.operations)) < len(compact(to_json(after)))
    paths = [operation["path"] for operation in step.operations]
    assert len(paths) == len(set(paths)), "one operation for each place"
    for operation in step.operations:
        if "/tags" in operation["path"]:
            assert operation["op"] != "replace"
        value = operation.get("value", "")
        assert isinstance(value, str) or operation["path"].endswith("/tags"), "the service's values are text"


@pytest.mark.slow
@given(installations())
def test_what_is_written_reads_back_the_same(installation: Installation) -> None:
    assert from_json(to_json(installation)) == installation


@pytest.mark.slow
@given(installations(), installations())
def test_tags_of_the_backend_are_left_as_they_are(before: Installation, after: Installation) -> None:
    steps = plan(after, accepting(before), owns_tags=False)
    for step in steps:
        assert step.method in {"GET", "PATCH"}, "nothing whole is written before it was read"
        assert not any("/tags" in operation["path"] for operation in step.operations)
        if step.method == "PATCH":
            held = from_json(apply_as_the_hub_does(to_json(before), step.operations))
            assert set(held.tags) == set(before.tags)
            assert held.push_channel == after.push_channel
    for step in plan(after, accepting(before, fresh=True), owns_tags=False):
        assert step.method in {"PUT", "PATCH"}
        assert step.becomes is not None
        assert set(step.becomes.tags) == set(before.tags)


@pytest.mark.slow
@given(installations())
def test_record_in_doubt_is_written_whole_whatever_looks_equal(installation: Installation) -> None:
    [step] = plan(installation, accepting(installation, in_doubt=frozenset({"installation"})))
    assert (step.method, step.reason) == ("PUT", "what the hub holds is in doubt")


WNS = Installation("device", Platform.WNS, "https://c/1", tags=["kitchen"])


@pytest.mark.parametrize(
    ("after", "method"),
    [
        (WNS, None),
        (replace(WNS, push_channel="https://c/2"), "PATCH"),
        (replace(WNS, tags=("kitchen", "attic")), "PATCH"),
        (replace(WNS, tags=()), "PATCH"),
        (replace(WNS, user_id="ann"), "PATCH"),
        (replace(WNS, push_variables={"name": "Ann"}), "PUT"),
        (replace(WNS, secondary_tiles={"w": SecondaryTile("https://c/t")}), "PUT"),
        (replace(WNS, platform=Platform.MPNS), "PUT"),
        (replace(WNS, installation_id="other"), "PUT"),
        (replace(WNS, tags=tuple(f"tag{number}" for number in range(40)), push_channel="https://c/2"), "PUT"),
    ],
    ids=["same", "channel", "tag", "no-tag", "user", "variables", "tile", "platform", "id", "much"],
)
def test_least_write_that_says_it(after: Installation, method: str | None) -> None:
    steps = plan(after, accepting(WNS))
    assert [step.method for step in steps] == ([] if method is None else [method])


def test_refresh_is_due_by_age_alone_and_sets_the_expiry_again() -> None:
    policy = {"expires_after": timedelta(days=90), "refresh_every": timedelta(days=1)}
    held = replace(WNS, expiration_time=NOW + timedelta(days=90))
    assert plan(WNS, accepting(held), NOW + timedelta(hours=23), **policy) == []
    later = NOW + timedelta(hours=25)
    [step] = plan(WNS, accepting(held), later, **policy)
    assert step.method == "PUT"
    assert step.becomes is not None
    assert step.becomes.expiration_time == later + timedelta(days=90)


def test_deletions_come_after_the_write_and_alone_where_nothing_is_desired() -> None:
    gone = (Deletion("installation", "old"),)
    changed = replace(WNS, push_channel="https://c/2")
    assert [step.method for step in plan(changed, accepting(WNS, to_delete=gone))] == ["PATCH", "DELETE"]
    assert [(step.method, step.id) for step in plan(None, accepting(WNS, to_delete=gone))] == [
        ("DELETE", "old")
    ]


def test_record_of_a_newer_version_is_not_patched() -> None:
    [step] = plan(replace(WNS, push_channel="https://c/2"), accepting(WNS, partial=True))
    assert step.method == "PUT"
    assert plan(WNS, accepting(WNS, partial=True)) == []


def test_record_that_is_corrupt_counts_as_never_accepted() -> None:
    damaged = accepting(WNS, records={"installation": {"platform": "smoke"}})
    [step] = plan(WNS, damaged)
    assert step.method == "PUT"
