"""A disk that was lost, and a record at the hub that another user's app had declared."""

from __future__ import annotations

from typing import Any

import pytest

from nhagent import KEEP, Template
from tests.device_under_test import Device, first_run

ALICE: dict[str, Any] = {
    "user_id": "alice",
    "tags": ["of-alice"],
    "push_variables": {"name": "Alice"},
    "templates": {"hers": Template("<toast>$(message)</toast>", headers={"X-WNS-Type": "wns/toast"})},
    "secondary_tiles": {},
}
OPEN: dict[str, Any] = dict.fromkeys(("tags", "push_variables", "templates")) | {"secondary_tiles": {}}


@pytest.mark.parametrize("user", ["bob", None], ids=["another user", "nobody"])
def test_what_another_user_declared_does_not_go_to_the_next(device: Device, user: str | None) -> None:
    first = first_run(device, **ALICE)
    for path in device.files.values():
        path.unlink()
    report = first_run(device, **OPEN, user_id=user)
    assert (report.outcome, report.installation_id) == ("updated", first.installation_id)
    [held] = device.held()
    assert (held.get("userId") or None) == user
    assert not (held.get("tags") or held.get("pushVariables") or held.get("templates"))


@pytest.mark.parametrize("user", ["alice", KEEP], ids=["the same user", "left out"])
def test_what_the_same_user_declared_is_taken_over(device: Device, user: Any) -> None:
    first_run(device, **ALICE)
    for path in device.files.values():
        path.unlink()
    first_run(device, **OPEN, user_id=user)
    [held] = device.held()
    assert (held["userId"], held["tags"], list(held["templates"])) == ("alice", ["of-alice"], ["hers"])
