"""Waiting: pure delays, and the one loop that waits by them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import errors
from nhagent.device.store import Store
from nhagent.report import Outcome, Report, Verification
from nhagent.retry import backoff
from nhagent.retry.endless import Endless, Time, Work
from nhagent.retry.loop import run_until_done
from nhagent.retry.state import Retries

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FAULT = errors.HubUnavailable("away")
WAITING = Report(Outcome.WAITING, error=FAULT, requests=1, steps=("tried",))
DONE = Report(Outcome.REGISTERED, requests=1, steps=("done",))

fractions = st.floats(0, 1)


def failures() -> Retries:
    """What a device remembers of its failures; these are none that it would write down."""
    return Retries(Store("/nowhere"), clock=lambda: NOW, random=lambda: 0.5)


def run(turns: list[Report], timeout: float, slept: list[float]) -> Report:
    known = failures()
    return run_until_done(
        lambda _: recorded(known, turns.pop(0)),
        timeout=timeout,
        clock=lambda: NOW,
        sleep=slept.append,
        failures=known,
    )


def recorded(known: Retries, report: Report) -> Report:
    """A report whose failure was recorded where it was met."""
    assert report.error is not None or report.outcome is not Outcome.WAITING
    if report.error is None:
        return report
    return report.changed(next_attempt=known.decide(report.error).not_before)


def test_turns_until_one_succeeds_and_reports_them_all() -> None:
    slept: list[float] = []
    report = run([WAITING, WAITING, DONE], 30, slept)
    assert (report.outcome, report.error, report.requests) == ("registered", None, 3)
    assert report.steps == ("tried", "tried", "done")
    assert slept == [1.0, 2.0]
    assert report.elapsed >= 3.0


def test_gives_up_before_a_wait_that_would_pass_the_deadline() -> None:
    slept: list[float] = []
    report = run([WAITING] * 9, 10, slept)
    assert slept == [1.0, 2.0, 4.0]
    assert (report.outcome, report.error) == ("waiting", FAULT)
    assert report.next_attempt == NOW + timedelta(seconds=8)


def test_deadline_of_zero_makes_one_turn() -> None:
    slept: list[float] = []
    assert run([WAITING], 0, slept).requests == 1
    assert slept == []


def test_error_that_waiting_cannot_mend_is_raised() -> None:
    def turn(_: float) -> Report:
        raise errors.Unauthorized("no")

    with pytest.raises(errors.Unauthorized):
        run_until_done(turn, timeout=30, clock=lambda: NOW, sleep=lambda _: None, failures=failures())


LONG = errors.Throttled("busy", retry_after=3000)


def test_long_pause_is_slept_in_parts() -> None:
    slept: list[float] = []
    assert run([WAITING.changed(error=LONG), DONE], 10_000, slept).outcome == "registered"
    assert sum(slept) == pytest.approx(3300)
    assert max(slept) <= backoff.LONGEST_WAIT_SECONDS


class Laptop:
    """A machine whose wall clock goes on by more than was slept, or by less, while the other stands still."""

    def __init__(self, jump: timedelta) -> None:
        self.jump = jump
        self.now, self.lived = NOW, 0.0
        self.waited: list[float] = []
        self.turns: list[float] = []
        self.failures = failures()

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.lived += seconds
        self.now += timedelta(seconds=seconds) + self.jump

    def wait(self, seconds: float) -> bool:
        self.sleep(seconds)
        return False

    def turn(self, _: object) -> Report:
        self.turns.append(self.lived)
        if len(self.turns) == 3:
            raise KeyboardInterrupt
        return recorded(self.failures, WAITING.changed(error=LONG))


@pytest.mark.parametrize(
    ("jump", "wait"), [(timedelta(hours=8), 900), (timedelta(hours=-8), 3300), (timedelta(), 3300)]
)
def test_pause_is_over_when_either_clock_says_so(jump: timedelta, wait: float) -> None:
    for live in (_in_background, _in_foreground):
        laptop = Laptop(jump)
        with pytest.raises(KeyboardInterrupt):
            live(laptop)
        assert laptop.turns == pytest.approx([0, wait, 2 * wait])
        assert max(laptop.waited) <= backoff.LONGEST_WAIT_SECONDS


def test_fault_within_the_look_is_rested_from_and_lived_through() -> None:
    laptop = Laptop(timedelta())
    turns = iter([DONE, DONE.changed(outcome=Outcome.UNCHANGED)])

    def turn(_: bool) -> Report:
        laptop.turns.append(laptop.lived)
        try:
            return next(turns)
        except StopIteration:
            raise KeyboardInterrupt from None

    def verify() -> Verification:
        raise TypeError("an odd reply")

    with pytest.raises(KeyboardInterrupt):
        _in_background(laptop, turn, verify)
    looked_at = backoff.VERIFY_SECONDS
    assert laptop.turns[:2] == pytest.approx([0, looked_at + backoff.LOCAL_SECONDS])


def _in_background(
    laptop: Laptop,
    turn: Callable[[bool], Report] | None = None,
    verify: Callable[[], Verification] = lambda: Verification(True),
) -> None:
    work = Work(
        turn or laptop.turn,
        verify=verify,
        interval=lambda: 86400,
        refresh_first=False,
        told=lambda _, __: None,
    )
    time = Time(lambda: laptop.now, laptop.wait, lambda: laptop.lived, lambda: 0.5)
    Endless(work, time, laptop.failures).run()


def _in_foreground(laptop: Laptop) -> None:
    run_until_done(
        laptop.turn,
        timeout=1e6,
        clock=lambda: laptop.now,
        sleep=laptop.sleep,
        failures=laptop.failures,
    )


@given(st.integers(0, 10_000), fractions)
def test_faults_begin_at_about_a_second_and_stay_capped(attempt: int, random: float) -> None:
    wait = backoff.delay(FAULT, attempt, random)
    assert 0.5 <= wait <= 1.5 * backoff.FAULT_LIMIT_SECONDS
    if attempt == 0:
        assert wait <= 1.5


@given(st.integers(0, 10_000), fractions)
def test_throttling_without_retry_after_is_spread_over_minutes(attempt: int, random: float) -> None:
    wait = backoff.delay(errors.Throttled("busy"), attempt, random)
    assert 25 <= wait <= 25 + backoff.THROTTLE_LIMIT_SECONDS
    assert wait <= 25 + 360 * 2 ** min(attempt, 4)


@given(st.floats(0, 1e9), st.integers(0, 2), fractions)
def test_retry_after_is_obeyed_with_a_little_more_and_capped(
    asked: float, attempt: int, random: float
) -> None:
    for error in (errors.Throttled("", retry_after=asked), errors.HubUnavailable("", retry_after=asked)):
        wait = backoff.delay(error, attempt, random)
        told = min(max(asked, 1.0), 3600)
        assert told <= wait <= told * 1.2
