"""Faults of the service's own kind: writes that take effect late or not at all; and faults by chance."""

from __future__ import annotations

import pytest

from nhagent.emulator import Emulator

from .caller import Caller, wns
from .describing import created, native, on, post


def test_a_late_write_takes_effect_when_the_hubs_clock_says_so(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", late=200)
    assert hub.put(wns()).status == 200
    assert hub.get().status == 404
    emulator.set_clock(100)
    assert hub.get().status == 404
    emulator.set_clock(201)
    assert hub.get().status == 200


def test_a_late_write_is_judged_before_it_is_answered(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("*", late=1, times=3)
    assert hub.put(wns(tags=["a b"])).status == 400
    assert hub.patch({"op": "add", "path": "/tags", "value": "x"}).status == 404
    assert hub.delete().status == 204
    assert emulator.contents()["installations"] == []


def test_late_writes_take_effect_by_themselves(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", late=0.2)
    assert hub.put(wns()).status == 200
    assert emulator._parts().changes.wait_for(lambda: emulator.contents()["installations"], 60)


def test_a_late_write_that_has_become_impossible_is_dropped(emulator: Emulator, hub: Caller) -> None:
    assert hub.put(wns()).status == 200
    emulator.fail("PATCH", late=60)
    assert hub.patch({"op": "add", "path": "/tags", "value": "x"}).status == 200
    assert hub.delete().status == 204
    emulator.set_clock(61)
    assert hub.get().status == 404


def test_an_ignored_write_is_answered_and_does_nothing(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("*", ignored="always", times=3)
    assert hub.put(wns()).status == 200
    assert emulator.contents()["installations"] == []
    assert post(hub, native()).status == 200
    assert emulator.contents()["registrations"] == []
    assert hub.get().status == 404
    assert hub.put(wns()).status == 200
    assert hub.get().status == 200


def test_a_put_of_unchanged_content_after_a_delete_does_nothing(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", ignored="unchanged", times=9)
    assert hub.put(wns()).status == 200
    assert hub.put(wns(tags=["a"])).status == 200
    assert hub.delete().status == 204
    # As users report: the same content is taken for what is there already, whatever its expiration.
    assert hub.put(wns(tags=["a"], expirationTime="2030-01-01T00:00:00Z")).status == 200
    assert hub.get().status == 404
    assert hub.put(wns(tags=["b"])).status == 200
    assert hub.get().json["tags"] == ["b"]


def test_faults_come_by_chance_and_the_same_in_every_run(emulator: Emulator, hub: Caller) -> None:
    def statuses() -> list[int]:
        emulator.clear_faults()
        emulator.fail("GET", status=503, probability=0.5, seed=7)
        return [hub.get().status for _ in range(40)]

    assert hub.put(wns()).status == 200
    first = statuses()
    assert set(first) == {200, 503}
    assert statuses() == first
    assert hub.put(wns()).status == 200


def test_a_fault_by_chance_ends_after_the_times_that_it_was_given(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=503, probability=1, times=2)
    assert [hub.get().status for _ in range(3)] == [503, 503, 404]


def test_faults_of_these_kinds_are_ordered_by_other_processes_too(emulator: Emulator, hub: Caller) -> None:
    for order in ({"match": "PUT", "late": 60}, {"match": "PUT", "ignored": "always"}):
        assert hub.control("POST", "/faults", order).status == 200
        assert hub.put(wns()).status == 200
        assert emulator.contents()["installations"] == []
    order = {"match": "GET", "status": 500, "probability": 0.5, "seed": 3}
    assert hub.control("POST", "/faults", order).status == 200


@pytest.mark.parametrize(
    "order",
    [
        {"late": -1.0},
        {"ignored": "sometimes"},
        {"late": 1.0, "status": 503},
        {"ignored": "always", "reset": "before"},
        {"status": 503, "probability": 0.0},
        {"status": 503, "probability": 1.5},
        {"status": 503, "seed": 1},
        {"probability": 0.5},
    ],
)
def test_what_contradicts_itself_is_no_fault(
    emulator: Emulator, hub: Caller, order: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        emulator.fail("PUT", **order)  # type: ignore[arg-type]
    assert hub.control("POST", "/faults", {"match": "PUT", **order}).status == 400


def test_a_late_registration_keeps_the_id_that_was_answered(emulator: Emulator, hub: Caller) -> None:
    registration = created(hub, native())
    emulator.fail("*", late=60, times=2)
    assert on(hub, "PUT", registration, native()).status == 200
    # A POST is carried out at once: its answer names the id.
    assert post(hub, native()).status == 200
    assert len(emulator.contents()["registrations"]) == 2
    emulator.set_clock(61)
    etags = [found["etag"] for found in emulator.contents()["registrations"]]
    assert etags == ["2", "1"]
