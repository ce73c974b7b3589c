"""Two who write at once."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from .running import Caller, RunningBackend, at_once

RACERS = 6


@pytest.mark.slow
def test_of_racers_for_a_new_id_one_wins_and_the_others_find_nothing(backend: RunningBackend) -> None:
    racers = [backend.device_of(f"user{number}") for number in range(RACERS)]
    for round_ in range(5):
        name, channel = f"id-{round_}", f"https://push.example/{round_}"
        answers = at_once([partial(racer.put, name, pushChannel=channel) for racer in racers])
        assert Counter(answer.status for answer in answers) == {200: 1, 404: RACERS - 1}
        [winner] = [number for number, answer in enumerate(answers) if answer.status == 200]
        assert backend.tags_of(name) == [f"username:user{winner}"]
        assert [racer.get(name).status == 200 for racer in racers] == [
            number == winner for number in range(RACERS)
        ]


def test_one_device_that_writes_a_new_id_twice_at_once_is_no_stranger(phone: Caller) -> None:
    answers = at_once([partial(phone.put, "one", tags=["kitchen"])] * RACERS)
    assert {answer.status for answer in answers} == {200}


@pytest.mark.slow
def test_of_two_who_have_read_the_same_one_writes(backend: RunningBackend, phone: Caller) -> None:
    for round_ in range(5):
        etag = phone.put("one", tags=[f"round-{round_}"]).etag
        answers = at_once(
            [
                partial(phone.patch, "one", {"op": "add", "path": "/tags", "value": "a"}, match=etag),
                partial(phone.put, "one", match=etag, tags=["b"]),
            ]
        )
        assert sorted(answer.status for answer in answers) == [200, 412]
        kept = [f"round-{round_}", "a"] if answers[0].status == 200 else ["b"]
        assert backend.tags_of("one") == sorted([*kept, "username:anna"])


def test_of_changes_that_meet_none_is_lost(backend: RunningBackend, phone: Caller) -> None:
    phone.put("one")
    tags = [f"tag-{number}" for number in range(RACERS)]
    answers = at_once(
        [partial(phone.patch, "one", {"op": "add", "path": "/tags", "value": tag}) for tag in tags]
    )
    assert {answer.status for answer in answers} == {200}
    assert backend.tags_of("one") == [*tags, "username:anna"]
