"""``nhagent doctor --check-key``: what the key may do is asked of the hub, and not read from its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from nhagent.commands.cli import main

from .set_up import CHECKS, Doctored


def examine(made: Doctored, *options: str) -> tuple[int, list[str], dict[str, Any]]:
    """The doctor's exit code, the methods that the hub saw, and the checks by name."""
    made.hub.clear_log()
    code = main(["doctor", "--json", *options, "--config", str(made.config)])
    printed = made.capsys.readouterr()
    checks = {check["name"]: check for check in json.loads(printed.out)["checks"]}
    return code, [f"{entry.method} {entry.path}" for entry in made.hub.log()], checks


def test_key_that_may_listen_alone_is_found_to_have_no_more(make: Callable[..., Doctored]) -> None:
    made = make()
    code, seen, checks = examine(made, "--check-key")
    assert (code, list(checks)) == (0, [*CHECKS[:11], "key", *CHECKS[11:]])
    assert checks["key"]["fact"] == "key 'DefaultListenSharedAccessSignature' has no Manage right"
    assert [path.partition("/tags/nhagent-check-")[1] for path in seen] == ["", "/tags/nhagent-check-"]
    assert all(path.startswith("GET ") for path in seen)


def test_key_is_not_checked_unasked(make: Callable[..., Doctored]) -> None:
    made = make()
    code, seen, checks = examine(made)
    assert (code, len(seen), "key" in checks) == (0, 1, False)


RULES = {"backend": ["Listen", "Manage"], "DeviceManager": ["Listen"], "sender": ["Listen", "Send"]}


def test_key_that_may_manage_is_red_whatever_its_name(make: Callable[..., Doctored]) -> None:
    made = make(rules=RULES)
    made.credential(made.hub.connection_string("backend"))
    code, _, checks = examine(made)
    assert code == 0, "its name says nothing of it"
    assert "by its name, Listen alone" in checks["credentials"]["fact"]
    code, _, checks = examine(made, "--check-key")
    assert (code, checks["key"]["ok"]) == (1, False)
    assert checks["key"]["fact"].startswith("key 'backend' has the Manage right, whatever its name says")
    assert checks["key"]["next"] == "take a policy with the Listen right alone"


@pytest.mark.parametrize("name", ["DeviceManager", "sender"])
def test_key_that_may_not_manage_is_green_whatever_its_name(make: Callable[..., Doctored], name: str) -> None:
    made = make(rules=RULES)
    made.credential(made.hub.connection_string(name))
    code, _, checks = examine(made, "--check-key")
    assert (code, checks["key"]["fact"]) == (0, f"key {name!r} has no Manage right")


def test_full_key_that_is_let_in_is_green(make: Callable[..., Doctored]) -> None:
    made = make()
    made.configure("style =", "allow_full_access = true\nstyle =")
    made.credential(made.hub.full)
    code, _, checks = examine(made, "--check-key")
    assert (code, checks["key"]["ok"]) == (0, True)
    assert checks["key"]["fact"].endswith("has the Manage right, as allow_full_access lets it")


def test_key_is_told_as_one_without_the_right_by_an_old_front_end_too(make: Callable[..., Doctored]) -> None:
    made = make()
    made.hub.fail("GET /tags/", status=401)
    assert examine(made, "--check-key")[2]["key"]["ok"] is True


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"match": "GET /tags/", "status": 503}, "the hub did not say what key"),
        ({"match": "GET /tags/", "status": 429}, "the hub did not say what key"),
        ({"match": "GET", "status": 403, "times": 9}, "cannot be checked before hub is in order"),
    ],
)
def test_key_is_left_open_where_the_hub_does_not_say(
    make: Callable[..., Doctored], fault: dict[str, Any], reason: str
) -> None:
    made = make()
    made.hub.fail(**fault)
    check = examine(made, "--check-key")[2]["key"]
    assert (check["ok"], check["fact"].startswith(reason)) == (None, True)
