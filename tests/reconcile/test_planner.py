"""What a start comes to, from tables of inputs: no disk, no hub, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import HubClient, Installation, Platform, SecondaryTile
from nhagent.device.accepted import Accepted, Deletion
from nhagent.device.machine import Fingerprint
from nhagent.device.state import Identity, RetryState, State
from nhagent.device.store import IDENTITY, STATE, Memory
from nhagent.errors import ChannelError
from nhagent.hub.installations import to_json
from nhagent.reconcile.planner import EARLY_STARTS, Mode, StartInputs, StartPlan, plan_start, state_of
from nhagent.reconcile.readings import Readings
from nhagent.reconcile.settings import KEEP, read_settings
from nhagent.registrars.installation import InstallationRegistrar
from nhagent.registrars.protocol import Learnt
from nhagent.registrars.registration import RegistrationRegistrar
from nhagent.report import StartState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HERE, THERE = "ns.servicebus.windows.net", "other.servicebus.windows.net"
OURS, THEIRS = Fingerprint("machine-id:ours"), Fingerprint("machine-id:theirs")
OLD, NEW = "https://push.example/1", "https://push.example/2"


def never_opened() -> HubClient:
    raise AssertionError("a plan sends nothing")


REGISTRARS: dict[str, Any] = {
    "installation": InstallationRegistrar(never_opened),
    "registration": RegistrationRegistrar(never_opened),
}
GIVEN: dict[str, Any] = {
    "app": "thermostat",
    "hub": "hub",
    "platform": "wns",
    "channel": OLD,
    "tags": None,
    "templates": None,
    "initial_tags": None,
    "user_id": KEEP,
    "push_variables": None,
    "secondary_tiles": None,
    "style": "installation",
    "installation_id": None,
    "expires_after": None,
    "refresh_every": timedelta(days=1),
    "owns_tags": True,
    "first_run_list": True,
    "startup_spread": timedelta(),
    "allow_full_access": False,
    **dict.fromkeys(("on_registered", "on_error", "clock", "sleep", "random", "machine")),
}


def held(channel: str = OLD, installation_id: str = "device", **changes: Any) -> Accepted:
    """What the hub has accepted of a device."""
    document = to_json(Installation(installation_id, Platform.WNS, channel))
    accepted = Accepted("installation").having("installation", document, NOW, whole=True)
    return accepted.changed(**changes)


def state(accepted: Accepted | None = None, **changes: Any) -> State:
    """What is remembered after a start that went well."""
    kept = {"channels": {"wns": {"channel": OLD}}, "namespace": HERE, "listed": True}
    return State(accepted=held() if accepted is None else accepted, **{**kept, **changes})


def known(**changes: Any) -> Memory:
    """What is on disk after a start that went well."""
    return Memory(Identity("device", HERE, machine=OURS), state()).changed(**changes)


def plan(
    memory: Memory,
    channel: str | None = OLD,
    *,
    learnt: Learnt | None = None,
    namespace: str | None = HERE,
    now: datetime = NOW,
    machine: Fingerprint = OURS,
    mode: Mode = Mode(),  # noqa: B008 - frozen
    **given_by_app: Any,
) -> StartPlan:
    settings = read_settings(**{**GIVEN, **given_by_app})
    nothing = {"channel": ChannelError("channel: there is none yet", pending=True)}
    readings = Readings(errors=nothing) if channel is None else Readings({"channel": channel})
    inputs = StartInputs(memory, settings, readings, namespace, machine, now, mode, lambda: "new")
    return plan_start(inputs, REGISTRARS[settings.style], learnt)


def methods(plan: StartPlan) -> list[str]:
    return [step.method for step in plan.steps]


LATER = NOW + timedelta(hours=25)
REFUSED = RetryState("Unauthorized", 2, LATER, "blocked", NOW)


@pytest.mark.parametrize(
    ("memory", "given_by_app", "row", "steps"),
    [
        (Memory(), {}, StartState.NEW, ["PUT"]),
        (known(state=state(Accepted())), {}, StartState.IDENTIFIED, ["PUT"]),
        (known(), {}, StartState.IN_SYNC, []),
        (known(), {"channel": NEW}, StartState.DRIFTED, ["PATCH"]),
        (known(), {"tags": ["kitchen"]}, StartState.DRIFTED, ["PATCH"]),
        (known(), {"now": LATER}, StartState.DRIFTED, ["PUT"]),
        (known(), {"mode": Mode(force=True)}, StartState.DRIFTED, ["PUT"]),
        (known(), {"style": "registration"}, StartState.IDENTIFIED, ["POST", "PUT", "DELETE"]),
        (known(), {"installation_id": "other"}, StartState.IDENTIFIED, ["PUT", "DELETE"]),
        (known(state=state(held().doubting("installation"))), {}, StartState.DRIFTED, ["PUT"]),
        (
            known(state=state(held(to_delete=(Deletion("installation", "old"),)))),
            {},
            StartState.DRIFTED,
            ["DELETE"],
        ),
        (known(unreadable=(STATE,), state=State()), {}, StartState.UNVERIFIED, ["PUT"]),
        (known(unreadable=(IDENTITY,), identity=None), {}, StartState.UNVERIFIED, []),
        (known(), {"machine": THEIRS, "channel": NEW}, StartState.CLONED, ["PUT"]),
        (known(), {"machine": THEIRS}, StartState.CLONED, []),
        (known(), {"machine": Fingerprint()}, StartState.IN_SYNC, []),
        (known(), {"namespace": THERE}, StartState.IDENTIFIED, ["PUT"]),
        (known(), {"namespace": None}, StartState.IN_SYNC, []),
        (known(state=state(retry=REFUSED)), {}, StartState.BLOCKED, []),
        (known(state=state(disabled=True)), {}, StartState.DISABLED, ["DELETE"]),
        (known(identity=Identity("device", HERE, disabled=True)), {}, StartState.DISABLED, ["DELETE"]),
        (known(), {"channel": None}, StartState.IN_SYNC, []),
        (known(state=state(expired=(OLD,))), {}, StartState.DRIFTED, []),
        (Memory(), {"channel": None}, StartState.NEW, []),
    ],
)
def test_row_of_the_table_and_steps(
    memory: Memory, given_by_app: dict[str, Any], row: StartState, steps: list[str]
) -> None:
    given_by_app = dict(given_by_app)
    made = plan(memory, given_by_app.pop("channel", OLD), **given_by_app)
    assert state_of(made, REGISTRARS[made.inputs.settings.style]) == row
    assert methods(made) == steps


def test_unchanged_start_is_settled_and_commits_what_is_on_disk() -> None:
    made = plan(known())
    assert made.is_settled
    assert known().state.is_stored_as(made.committed_state)
    assert made.identity == known().identity


def test_first_run_asks_the_hub_and_a_later_start_does_not() -> None:
    assert plan(Memory()).must_learn
    assert not plan(Memory(), first_run_list=False).must_learn
    assert not plan(known(), NEW).must_learn
    assert plan(known(unreadable=(STATE,), state=State()), first_run_list=False).must_learn


def test_what_the_hub_told_decides_who_a_new_device_is() -> None:
    accepted = Accepted("installation").doubting("installation").changed(adopted=True)
    made = plan(Memory(), learnt=Learnt("found", accepted.deleting(Deletion("registration", "stale"))))
    assert made.identity.installation_id == "found"
    assert [(step.method, step.id) for step in made.steps] == [("PUT", "found"), ("DELETE", "stale")]
    assert made.state.listed


def test_what_the_hub_declares_is_taken_over_only_where_the_app_left_it_open() -> None:
    declared = Installation(
        "found", Platform.WNS, OLD, tags=["attic"], user_id="ann", push_variables={"name": "Ann"}
    )
    made = plan(Memory(), learnt=Learnt("found", Accepted("installation"), declared), tags=["kitchen"])
    assert made.installation is not None
    assert tuple(made.installation.tags) == ("kitchen",)
    assert made.installation.user_id == "ann"
    assert dict(made.installation.push_variables) == {"name": "Ann"}


def test_first_step_that_writes_is_in_doubt_in_what_is_committed_and_no_other() -> None:
    made = plan(known(), NEW)
    assert made.state.accepted.in_doubt == frozenset()
    assert made.committed_state.accepted.in_doubt == {"installation"}
    rows = plan(Memory(), style="registration", tags=["kitchen"])
    assert rows.committed_state.accepted.in_doubt == frozenset(), "the hub makes an id first"


def test_clone_inherits_the_declaration_and_touches_nothing_of_the_other_machine() -> None:
    memory = known(state=state(declaration={"tags": ["kitchen"]}))
    made = plan(memory, NEW, machine=THEIRS)
    assert made.identity == Identity("new", HERE, machine=THEIRS)
    assert made.state.foreign == (OLD,)
    assert made.state.declaration["tags"] == ["kitchen"]
    assert (made.state.accepted.to_delete, made.known_id) == ((), None)


def test_another_namespace_inherits_nothing_but_the_words_of_the_user() -> None:
    memory = known(state=state(declaration={"tags": ["kitchen"]}, writes=7))
    made = plan(memory, namespace=THERE)
    assert made.identity == Identity("new", THERE, machine=OURS)
    assert (made.state.writes, made.state.namespace) == (0, THERE)
    assert made.state.declaration["tags"] == ["kitchen"]


def test_tile_without_a_channel_is_left_out_and_one_that_had_one_stays() -> None:
    tiles = {"weather": SecondaryTile(), "news": SecondaryTile()}
    memory = known(state=state(channels={"wns": {"channel": OLD, "tiles.news": "https://push.example/n"}}))
    made = plan(memory, secondary_tiles=tiles)
    assert made.installation is not None
    assert list(made.installation.secondary_tiles) == ["news"]


def test_refresh_in_the_background_waits_for_the_devices_own_slot() -> None:
    due = NOW + timedelta(days=1)
    assert methods(plan(known(), now=due)) == ["PUT"]
    behind = Mode(in_background=True)
    assert methods(plan(known(), now=due, mode=behind)) == []
    assert methods(plan(known(), now=due + timedelta(days=0.1), mode=behind)) == ["PUT"]


def test_clock_behind_the_last_acceptance_brings_a_refresh_at_the_nth_start_in_a_row() -> None:
    memory, early = known(), NOW - timedelta(days=3)
    for number in range(1, EARLY_STARTS):
        made = plan(memory, now=early)
        assert (methods(made), made.state.early_starts) == ([], number)
        memory = memory.changed(state=made.state)
    made = plan(memory, now=early)
    assert (methods(made), made.state.early_starts) == (["PUT"], 0)


channels = st.sampled_from([OLD, NEW, "https://push.example/3"])
tags = st.lists(st.sampled_from(["a", "b", "c"]), unique=True)


@given(channels, tags, channels, tags, st.sampled_from(["installation", "registration"]), st.booleans())
def test_plan_is_the_same_twice_and_empty_once_it_was_carried_out(
    channel: str, before: list[str], rotated: str, after: list[str], style: str, is_new: bool
) -> None:
    memory = Memory() if is_new else known(state=state(held(channel)))
    made = plan(memory, rotated, tags=after, style=style)
    assert made.changed(inputs=None) == plan(memory, rotated, tags=after, style=style).changed(inputs=None)
    if style == "registration":
        return
    assert made.installation is not None
    accepted = held(rotated).having("installation", to_json(made.installation), NOW, whole=True)
    carried_out = Memory(made.identity, made.state.changed(accepted=accepted))
    assert methods(plan(carried_out, rotated, tags=after)) == []
    assert methods(plan(carried_out, rotated, tags=before)) in ([], ["PATCH"], ["PUT"])
