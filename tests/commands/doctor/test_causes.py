"""``nhagent doctor``: of every broken set-up the first red check is the cause, and nothing is changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.key_ring.machine import Machine

from .faults import (
    another_authority,
    ca_that_is_none,
    captive_portal,
    channel_command,
    channel_empty,
    channel_expired,
    channel_missing,
    channel_of_lines,
    channel_plugin,
    channel_stale,
    closed_port,
    copied_disk,
    deleted_policy,
    device_lost,
    device_lost_and_marked,
    full_key,
    hub_away,
    locked_by_another,
    malformed_string,
    no_config,
    no_listen,
    no_string,
    no_such_host,
    no_tls_there,
    no_toml,
    one_row_ended,
    one_row_lost,
    plain_http,
    proxy_of_nonsense,
    proxy_that_is_down,
    proxy_that_nobody_knows,
    readable_string,
    redirect,
    rows_lost,
    same_channel,
    second_key_stands_in,
    silent_hub,
    ssh_there,
    state_folder_open,
    state_in_the_way,
    state_of_another,
    state_read_only,
    state_readable,
    state_relative,
    string_of_another_hub,
    throttled,
    torn_identity,
    torn_state,
    unknown_key,
    wrong_clock,
    wrong_hub,
    wrong_key,
)
from .set_up import CHECKS, Doctored

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="modes say nothing there")
TLS = {"tls": True, "registered": False}
BROKEN: list[Any] = [
    (no_config, {}, "configuration", "write one, or name it with --config"),
    (no_toml, {}, "configuration", "correct the file"),
    (unknown_key, {}, "configuration", 'did you mean "platform"'),
    (ca_that_is_none, {}, "configuration", "give the authority's own"),
    (state_relative, {}, "configuration", "give its absolute path"),
    (state_in_the_way, {}, "state folder", "move it away"),
    pytest.param(state_read_only, {}, "state folder", "give it to the user", marks=POSIX),
    pytest.param(state_readable, {}, "modes", "chmod 600", marks=POSIX),
    pytest.param(state_folder_open, {}, "modes", "chmod 700", marks=POSIX),
    pytest.param(state_of_another, {}, "state folder", "chown", marks=POSIX),
    (locked_by_another, {}, "lock", "stop it"),
    (torn_state, {}, "state", "sets that aside"),
    (torn_identity, {}, "state", "sets that aside"),
    (copied_disk, {}, "state", "a channel of its own"),
    (malformed_string, {}, "credentials", "copy all of it"),
    (string_of_another_hub, {}, "credentials", "take that of this hub"),
    (full_key, {}, "credentials", "Listen right alone"),
    (plain_http, {}, "credentials", "use sb:// or https://"),
    (no_string, {}, "credentials", 'run "nhagent login"'),
    pytest.param(readable_string, {}, "credentials", "chmod 600", marks=POSIX),
    (no_such_host, {}, "dns", "DNS servers"),
    (closed_port, {}, "tcp", "firewall"),
    (None, {**TLS, "certificate": "expired"}, "tls", "it has to be renewed"),
    (None, {**TLS, "certificate": "early"}, "tls", "clock is probably wrong"),
    (None, {**TLS, "certificate": "wrong-name"}, "tls", "check the address"),
    (None, {**TLS, "certificate": "self-signed"}, "tls", "ca_bundle"),
    (another_authority, TLS, "tls", "ca_bundle"),
    (no_tls_there, {}, "tls", "check the Endpoint"),
    (ssh_there, {}, "tls", "check the Endpoint"),
    (proxy_that_is_down, {}, "tcp", "$HTTPS_PROXY"),
    (proxy_that_nobody_knows, {}, "dns", "$HTTPS_PROXY"),
    (proxy_of_nonsense, {}, "dns", "$HTTPS_PROXY"),
    (wrong_clock, {}, "clock", "set this device's clock"),
    (lambda made: wrong_clock(made, -3600), {}, "clock", "set this device's clock"),
    (wrong_key, {}, "hub", "rotated or mistyped"),
    (deleted_policy, {}, "hub", "rotated or mistyped"),
    (second_key_stands_in, {}, "hub", "into $NHAGENT_CONNECTION_STRING_FILE"),
    (no_listen, {}, "hub", "Listen right"),
    (wrong_hub, {"registered": False}, "hub", "check the hub's name"),
    (device_lost, {}, "hub", "nhagent verify"),
    (device_lost_and_marked, {}, "hub", "nhagent register"),
    (rows_lost, {"style": "registration"}, "hub", "nhagent verify"),
    (one_row_lost, {"style": "registration"}, "hub", "nhagent verify"),
    (one_row_ended, {"style": "registration"}, "hub", "nhagent verify"),
    (throttled, {}, "hub", "wait"),
    (hub_away, {}, "hub", "wait"),
    (silent_hub, {}, "hub", "wait"),
    (captive_portal, {}, "hub", "sign in there"),
    (redirect, {}, "hub", "sign in there"),
    (channel_missing, {}, "channel", "who writes it"),
    (channel_empty, {}, "channel", "see that"),
    (channel_of_lines, {}, "channel", "one push channel"),
    (channel_stale, {}, "channel", "ask the platform again"),
    (channel_plugin, {}, "channel", "is it installed"),
    (channel_command, {}, "channel", "run it by hand"),
    (channel_expired, {}, "channel", "until the platform gives another"),
    (same_channel, {}, "tiles.weather", "a channel of its own"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "settings", "name", "words"), BROKEN)
def test_first_red_check_of_a_broken_set_up_is_its_cause(
    make: Callable[..., Doctored],
    spoil: Callable[[Doctored], object] | None,
    settings: dict[str, Any],
    name: str,
    words: str,
) -> None:
    made = make(**settings)
    if spoil is not None:
        spoil(made)
    code, seen = made.examine()
    red = [check for check in seen["checks"] if check["ok"] is False]
    assert (code, red[0]["name"]) == (1, name), seen
    assert words in red[0]["next"]
    assert all(check["fact"] and check["next"] for check in red)
    assert [check["name"] for check in seen["checks"]][:11] == CHECKS[:11]


def test_locked_key_ring_is_told(tmp_path: Path, notification_hub: Emulator) -> None:
    machine = Machine(tmp_path / "machine")
    machine.belongs_to(notification_hub)
    machine.takes("Locked")
    ran = machine.run("doctor", "--json")
    [red] = [check for check in ran.document["checks"] if check["ok"] is False]
    assert (ran.code, red["name"]) == (1, "credentials")
    assert "is locked" in red["fact"]
    assert red["next"] == "unlock it, then try again"
    assert [check["ok"] for check in ran.document["checks"]][4:9] == [None] * 5
    assert notification_hub.log() == []


def test_proxy_of_the_environment_is_named_without_its_password(make: Callable[..., Doctored]) -> None:
    made = make()
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
    _, seen = made.examine()
    proxy = "the proxy 127.0.0.1:9, which the environment names,"
    assert [(check["name"], check["ok"], check["fact"]) for check in seen["checks"][4:7]] == [
        ("dns", True, f"{proxy} is 127.0.0.1"),
        ("tcp", False, f"{proxy} cannot be reached (Connection refused)"),
        ("tls", None, "cannot be checked before tcp is in order"),
    ]
    assert "secret" not in json.dumps(seen)


def test_what_lies_behind_a_proxy_is_left_to_it(make: Callable[..., Doctored]) -> None:
    made = make()
    no_such_host(made)
    proxy = made.hub.endpoint.partition("//")[2]  # it answers, though it is none
    made.environment.setenv("HTTPS_PROXY", f"http://{proxy}")
    _, seen = made.examine()
    rows = {check["name"]: check for check in seen["checks"]}
    assert [rows[name]["ok"] for name in ("dns", "tcp", "tls", "hub")] == [True, True, None, False]
    assert rows["tls"]["fact"] == f"left to the proxy {proxy}, which the environment names"


def test_clock_behind_the_last_acceptance_is_told_without_a_hub(make: Callable[..., Doctored]) -> None:
    made = make()
    made.change("state.json", lambda state: state.update(accepted_at="2999-01-01T00:00:00+00:00"))
    made.hub.fail("GET", reset="after")
    _, seen = made.examine()
    red = [check for check in seen["checks"] if check["ok"] is False]
    assert [check["name"] for check in red] == ["clock", "hub"]
    assert red[0]["fact"] == "it is before 2999-01-01 00:00:00 UTC, when the hub last accepted something"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("consequence", "is_open"),
    [(locked_by_another, True), pytest.param(state_readable, False, marks=POSIX)],
    ids=["lock", "modes"],
)
@pytest.mark.parametrize(
    ("cause", "name"),
    [(hub_away, "hub"), (silent_hub, "hub"), (malformed_string, "credentials"), (captive_portal, "hub")],
)
def test_consequence_stands_behind_its_cause_or_is_left_open(
    make: Callable[..., Doctored],
    cause: Callable[[Doctored], object],
    name: str,
    consequence: Callable[[Doctored], object],
    is_open: bool,
) -> None:
    made = make()
    consequence(made)
    cause(made)
    _, seen = made.examine()
    red = [check["name"] for check in seen["checks"] if check["ok"] is False]
    assert red[0] == name
    assert ("lock" not in red) if is_open else (red[-1] == "modes" or "modes" in red[1:])
