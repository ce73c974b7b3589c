"""``nhagent doctor`` of a set-up that is in order, or of a device that is unregistered or moves."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.commands.cli import main
from nhagent.emulator import Emulator

from .faults import (
    closed_port,
)
from .set_up import AS_ROOT, CHANNELS, CHECKS, Doctored


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_set_up_that_is_in_order_is_all_green(make: Callable[..., Doctored], style: str, tls: bool) -> None:
    made = make(style=style, tls=tls, registered=False)
    code, seen = made.examine()
    assert (code, [check["name"] for check in seen["checks"]]) == (0, CHECKS)
    assert {check["ok"] for check in seen["checks"]} == {True}
    assert not (made.folder / "state").exists()
    facts = {check["name"]: check["fact"] for check in seen["checks"]}
    assert facts["state"] == 'NEW: not registered yet, "nhagent register" does it'
    assert facts["channel"].endswith("not sent yet")
    assert [entry.method for entry in made.hub.log()] == ["GET"]

    made.register()
    code, seen = made.examine()
    assert (code, {check["ok"] for check in seen["checks"]}) == (0, {True})
    facts = {check["name"]: check["fact"] for check in seen["checks"]}
    assert facts["state"].startswith("IN_SYNC: installation ")
    assert facts["credentials"].startswith("$NHAGENT_CONNECTION_STRING: key 'DefaultListenShared")
    assert facts["channel"].endswith("as the hub accepted it")
    assert facts["tls"].startswith("verified; the certificate is good until 20" if tls else "none: plain")
    assert facts["hub"] == "accepts the key and holds this device"


def test_unregistered_device_is_said_and_is_no_fault(make: Callable[..., Doctored]) -> None:
    made = make()
    assert main(["unregister", "--config", str(made.config)]) == 0
    made.capsys.readouterr()
    made.hub.clear_log()
    code, seen = made.examine()
    facts = {check["name"]: (check["ok"], check["fact"]) for check in seen["checks"]}
    assert code == 0
    assert facts["state"][1].startswith('DISABLED: unregistered by request, "nhagent enable" lifts it')
    assert facts["channel"] == (None, "not asked for while the device is unregistered")


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_unregistered_device_that_the_hub_still_holds_is_red(
    make: Callable[..., Doctored], style: str
) -> None:
    made = make(style=style)
    made.hub.fail("DELETE", status=429, headers={"Retry-After": "3600"}, times=9)
    assert main(["unregister", "--timeout", "0", "--config", str(made.config)]) == 75
    made.hub.clear_faults()
    made.hub.clear_log()
    made.capsys.readouterr()
    code, seen = made.examine()
    facts = {check["name"]: check["fact"] for check in seen["checks"]}
    [red] = [check for check in seen["checks"] if check["ok"] is False]
    assert (code, red["name"]) == (1, "hub")
    assert red["fact"].startswith("has not forgotten the unregistered device yet: ")
    assert "nhagent register" in red["next"]
    assert facts["state"].startswith("DISABLED: ")
    assert ", leaving " in facts["state"]
    assert ", next attempt 20" in facts["state"]


def test_unregistered_device_that_the_hub_has_again_is_red(make: Callable[..., Doctored]) -> None:
    made = make()
    [held] = made.hub.contents()["installations"]
    assert main(["unregister", "--config", str(made.config)]) == 0
    with HubClient(made.hub.full, made.hub.hub) as backend:
        backend.put_installation(Installation(held["installationId"], Platform.WNS, CHANNELS["channel"]))
    made.hub.clear_log()
    made.capsys.readouterr()
    code, seen = made.examine()
    [red] = [check for check in seen["checks"] if check["ok"] is False]
    assert (code, red["name"]) == (1, "hub")
    assert red["fact"].startswith("still holds the unregistered device as installation ")


def test_device_that_moves_to_another_namespace_is_not_lost_there(make: Callable[..., Doctored]) -> None:
    made = make()
    other = made.keeps.enter_context(Emulator())
    made.credential(other.listen)
    code, seen = made.examine()
    facts = {check["name"]: check["fact"] for check in seen["checks"]}
    assert code == 0
    assert "will be registered here" in facts["credentials"]


@pytest.mark.skipif(not AS_ROOT, reason="only root can look into the folders of others")
def test_root_finds_nothing_wrong_with_the_folder_of_a_service(make: Callable[..., Doctored]) -> None:
    if sys.platform == "win32":
        return
    made = make()
    state = made.folder / "state"
    for path in (state, *state.rglob("*")):
        os.chown(path, 64000, 64000)
    assert made.examine()[0] == 0
    for path in (made.device_folder, made.device_folder / "state.json"):
        os.chown(path, 0, 0)
        code, seen = made.examine()
        assert (code, seen["checks"][1]["ok"]) == (1, False)
        assert seen["checks"][1]["fact"] == f"{path} belongs to user 0, and {state} to user 64000"
        assert seen["checks"][1]["next"].endswith(f"chown --reference={state} {path}")
        os.chown(path, 64000, 64000)


def test_text_has_a_line_for_each_check_and_ends_with_what_to_do_first(make: Callable[..., Doctored]) -> None:
    made = make()
    assert main(["doctor", "--config", str(made.config)]) == 0
    lines = made.capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (len(CHECKS) + 1, "healthy")
    assert all(line.startswith("green  ") for line in lines[:-1])
    closed_port(made)
    assert main(["doctor", "--config", str(made.config)]) == 1
    lines = made.capsys.readouterr().out.splitlines()
    assert lines[6].strip().startswith("-> let this device out to port ")
    del lines[6]
    assert [line.split()[0] for line in lines[:10]] == [*["green"] * 5, "red", "-", "-", "-", "green"]
    assert lines[5].startswith("red    tcp            127.0.0.1 port ")
    assert lines[-1].startswith("first: tcp: let this device out to port ")


def test_source_that_hides_another_is_named(make: Callable[..., Doctored]) -> None:
    made = make()
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))
    code, seen = made.examine()
    fact = seen["checks"][3]["fact"]
    assert code == 0
    assert fact.startswith("$NHAGENT_CONNECTION_STRING_FILE: key ")
    assert fact.endswith("; it hides $NHAGENT_CONNECTION_STRING")
