"""The installation registrar's plan is pure; its patches are judged by the emulated hub's own dialect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import BrowserChannel, HubClient, Installation, Platform, SecondaryTile, Template
from nhagent.device.state import Accepted, Leaving
from nhagent.emulator.hub.patch import apply as apply_as_the_hub_does
from nhagent.hub.installations import compact, from_json, to_json
from nhagent.registrars import Desired, Step
from nhagent.registrars.installation import InstallationRegistrar

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

tags = st.lists(
    st.sampled_from(["alpha", "beta", "gamma", "delta", "Epsilon", "zeta:1", "eta#2"]), unique=True
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
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
        Platform.WNS: st.sampled_from(["c1", "c2"]),
        Platform.APNS: st.sampled_from(["ab12", "cd34"]),
        Platform.BROWSER: st.sampled_from(["YQ", "Yg"]).map(
            lambda key: BrowserChannel("https://b", key, key)
        ),
    }
    templates = {Platform.WNS: wns_templates(), Platform.APNS: apns_templates()}.get(platform)
    tiles: dict[str, SecondaryTile] = {}
    if platform is Platform.WNS:
        for number, tile_id in enumerate(draw(st.lists(st.sampled_from(["w", "t"]), unique=True))):
            channel = f"tile-{number}-{draw(st.integers(0, 1))}"
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


def plan(desired: Desired | None, accepted: Accepted, now: datetime = NOW) -> list[Step]:
    return InstallationRegistrar(never_opened).plan(desired, accepted, now)


def accepting(installation: Installation, **changes: Any) -> Accepted:
    accepted = Accepted("installation").having("installation", to_json(installation), NOW, whole=True)
    return replace(accepted, **changes)


@given(installations(), installations())
def test_patch_applied_by_the_hub_gives_what_is_desired(before: Installation, after: Installation) -> None:
    steps = plan(Desired(after), accepting(before))
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


@given(installations())
def test_what_is_written_reads_back_the_same(installation: Installation) -> None:
    assert from_json(to_json(installation)) == installation


@given(installations(), installations())
def test_tags_of_the_backend_are_left_as_they_are(before: Installation, after: Installation) -> None:
    steps = plan(Desired(after, owns_tags=False), accepting(before))
    for step in steps:
        assert step.method in {"GET", "PATCH"}, "nothing whole is written before it was read"
        assert not any("/tags" in operation["path"] for operation in step.operations)
        if step.method == "PATCH":
            held = from_json(apply_as_the_hub_does(to_json(before), step.operations))
            assert set(held.tags) == set(before.tags)
            assert held.push_channel == after.push_channel
    for step in plan(Desired(after, owns_tags=False), accepting(before, fresh=True)):
        assert step.method in {"PUT", "PATCH"}
        assert step.becomes is not None
        assert set(step.becomes.tags) == set(before.tags)


@given(installations())
def test_record_in_doubt_is_written_whole_whatever_looks_equal(installation: Installation) -> None:
    [step] = plan(Desired(installation), accepting(installation, in_doubt=frozenset({"installation"})))
    assert (step.method, step.reason) == ("PUT", "what the hub holds is in doubt")


WNS = Installation("device", Platform.WNS, "c1", tags=["kitchen"])


@pytest.mark.parametrize(
    ("after", "method"),
    [
        (WNS, None),
        (replace(WNS, push_channel="c2"), "PATCH"),
        (replace(WNS, tags=["kitchen", "attic"]), "PATCH"),
        (replace(WNS, tags=[]), "PATCH"),
        (replace(WNS, user_id="ann"), "PATCH"),
        (replace(WNS, push_variables={"name": "Ann"}), "PUT"),
        (replace(WNS, secondary_tiles={"w": SecondaryTile("t")}), "PUT"),
        (replace(WNS, platform=Platform.MPNS), "PUT"),
        (replace(WNS, installation_id="other"), "PUT"),
        (replace(WNS, tags=[f"tag{number}" for number in range(40)], push_channel="c2"), "PUT"),
    ],
    ids=["same", "channel", "tag", "no-tag", "user", "variables", "tile", "platform", "id", "much"],
)
def test_least_write_that_says_it(after: Installation, method: str | None) -> None:
    steps = plan(Desired(after), accepting(WNS))
    assert [step.method for step in steps] == ([] if method is None else [method])


def test_refresh_is_due_by_age_alone_and_sets_the_expiry_anew() -> None:
    desired = Desired(WNS, expires_after=timedelta(days=90), refresh_every=timedelta(days=1))
    assert plan(desired, accepting(WNS), NOW + timedelta(hours=23)) == []
    later = NOW + timedelta(hours=25)
    [step] = plan(desired, accepting(WNS), later)
    assert step.method == "PUT"
    assert step.becomes is not None
    assert step.becomes.expiration_time == later + timedelta(days=90)


def test_deletions_come_after_the_write_and_alone_where_nothing_is_desired() -> None:
    leaving = (Leaving("installation", "old"),)
    changed = Desired(replace(WNS, push_channel="c2"))
    assert [step.method for step in plan(changed, accepting(WNS, leaving=leaving))] == ["PATCH", "DELETE"]
    assert [(step.method, step.id) for step in plan(None, accepting(WNS, leaving=leaving))] == [
        ("DELETE", "old")
    ]


def test_record_of_a_newer_version_is_not_patched() -> None:
    [step] = plan(Desired(replace(WNS, push_channel="c2")), accepting(WNS, partial=True))
    assert step.method == "PUT"
    assert plan(Desired(WNS), accepting(WNS, partial=True)) == []


def test_record_that_makes_no_sense_counts_as_never_accepted() -> None:
    damaged = replace(accepting(WNS), records={"installation": {"platform": "smoke"}})
    [step] = plan(Desired(WNS), damaged)
    assert step.method == "PUT"
