"""Every command as a process: its options, its exit code, and its one JSON object, against ``commands.json``.

Times, ids, measured numbers and wording are left out (`tables.reduced`); whatever else is printed counts.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nhagent import HubClient
from nhagent.emulator import Emulator

from .tables import read_table, reduced

TABLE = read_table("commands.json")
COMMON = set(TABLE["common options"])
COMMAND = [sys.executable, "-m", "nhagent"]
OF_THE_SYSTEM = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LD_LIBRARY_PATH")
CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
style = "STYLE"
[device]
platform = "wns"
tags = ["kitchen"]
[channel]
file = "channel"
[templates.alert]
body = "<toast>$(message)</toast>"
headers = { "X-WNS-Type" = "wns/toast" }
tags = ["alerts"]
[tiles.weather]
channel = { file = "tile" }
"""


class Machine:
    """A device whose commands are run as processes; what each came to is remembered under a title."""

    def __init__(self, folder: Path, hub: Emulator) -> None:
        self.folder, self.hub = folder, hub
        self.seen: dict[str, Any] = {}
        self.environment = {name: os.environ[name] for name in OF_THE_SYSTEM if name in os.environ}
        self.environment |= {
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "XDG_CONFIG_HOME": str(folder / "settings"),
            "XDG_DATA_HOME": str(folder / "data"),
            "NHAGENT_CONFIG": str(folder / "config.toml"),
            "NHAGENT_STATE_DIR": str(folder / "state"),
            "NHAGENT_CONNECTION_STRING": hub.listen,
            "NHAGENT_VAULT_KEY_FILE": str(folder / "vault.key"),
            "PYTHON_KEYRING_BACKEND": "nhagent.device.vault.Vault",
        }
        self.channel("https://push.example/1")
        (folder / "tile").write_text("https://push.example/tile/1")
        self.configure()

    def configure(self, style: str = "installation") -> None:
        text = CONFIG.replace("HUB", self.hub.hub).replace("STYLE", style)
        (self.folder / "config.toml").write_text(text)

    def channel(self, handle: str) -> None:
        (self.folder / "channel").write_text(handle)

    def run(self, title: str, *arguments: str, given: str = "") -> dict[str, Any]:
        """Run a command to its end, with ``--json``."""
        ended = subprocess.run(
            [*COMMAND, *arguments, "--json"], input=given, env=self.environment, cwd=self.folder,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ended.stdout.count("\n") == 1, ended
        return self.remember(title, ended.returncode, json.loads(ended.stdout))

    def remember(self, title: str, code: int, document: dict[str, Any]) -> dict[str, Any]:
        names = {self.hub.endpoint.partition("://")[2]: "NAMESPACE", str(self.folder): "FOLDER"}
        assert title not in self.seen
        self.seen[title] = {"code": code, **told(reduced(document, names))}
        return document


def told(document: dict[str, Any]) -> dict[str, Any]:
    """An object in short: the name of its set of keys, and what is not null; checks and requests as text."""
    assert document.pop("schema") == 1
    known = [name for name, keys in TABLE["keys"].items() if set(keys) == set(document)]
    short = {name: value for name, value in document.items() if value is not None}
    if "checks" in document:
        assert all(check.keys() == {"name", "ok", "fact", "next"} for check in document["checks"])
        short["checks"] = {check["name"]: check["ok"] for check in document["checks"]}
    acts = [document["push"]] if document.get("push") else []
    for act in acts:
        assert re.fullmatch(r"#[0-9a-f]{8}", act["channel"])
        act["channel"] = "(fingerprint)"
    for step in [*(document.get("steps") or []), *acts]:
        if "requests" in step:
            assert all(seen.keys() == {"method", "path", "status"} for seen in step["requests"])
            step["requests"] = ["{method} {path} {status}".format(**seen) for seen in step["requests"]]
    for records in document.get("holds", {}).values():
        records.sort(key=json.dumps)  # the hub's own order is that of ids
    return {"keys": known[0] if known else sorted(document), **short}


@pytest.fixture
def machine(tmp_path: Path, notification_hub: Emulator) -> Machine:
    return Machine(tmp_path, notification_hub)


@pytest.mark.slow
def test_options_of_every_command() -> None:
    """The words alone, of the command itself and of each that it lists."""
    shown = {}
    for name in TABLE["options"]:
        ended = subprocess.run(
            [*COMMAND, *name.split(), "--help"], capture_output=True, text=True, timeout=60, check=True
        )
        words = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", ended.stdout))
        assert words.issuperset(COMMON) or name in {"hub", "vault"}
        shown[name] = sorted(words - COMMON)
    assert shown == TABLE["options"]


def test_certificates_of_the_emulator_are_these() -> None:
    ended = subprocess.run(
        [*COMMAND, "emulator", "--certificate", "none"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert [word for word in TABLE["certificates"] if word not in ended.stderr] == []


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_life_of_a_device(machine: Machine, style: str) -> None:
    machine.configure(style)
    machine.run("status of a new device", "status")
    machine.run("plan of a new device", "plan")
    machine.run("verify of a new device", "verify")
    report = machine.run("register, first", "register")
    machine.run("register, unchanged", "register")
    machine.run("plan, nothing to do", "plan")
    machine.run("verify, in sync", "verify")
    machine.run("status, in sync", "status")
    machine.run("doctor, healthy", "doctor")
    machine.channel("https://push.example/2")
    machine.run("plan of a rotated channel", "plan")
    machine.run("register, rotated channel", "register", "--timeout", "20")
    if style == "installation":
        machine.hub.forget(installation=report["installation_id"])
    else:
        machine.hub.forget(registration=report["registration_ids"]["native"])
    machine.run("verify, lost", "verify")
    machine.run("register, lost", "register")
    machine.run("unregister", "unregister", "--timeout", "20")
    machine.run("register, disabled", "register")
    machine.run("plan, disabled", "plan")
    machine.run("verify, disabled", "verify")
    machine.run("status, disabled", "status")
    machine.run("enable", "enable")
    machine.run("register, enabled", "register")
    assert machine.seen == TABLE[f"life, {style}"]


@pytest.mark.slow
def test_waiting_is_75(machine: Machine) -> None:
    machine.channel("")
    machine.run("register without a channel", "register", "--timeout", "0")
    machine.run("plan without a channel", "plan")
    machine.run("status without a channel", "status")
    machine.run("doctor without a channel", "doctor")
    machine.channel("https://push.example/1")
    machine.hub.fail("*", status=503, times=3)
    for command in ("register", "plan"):
        machine.run(f"{command} while the hub is down", command, *["--timeout=0"] * (command == "register"))
    machine.hub.clear_faults()
    machine.run("register", "register")
    machine.hub.fail("GET", status=503)
    machine.run("verify while the hub is down", "verify")
    machine.channel("https://push.example/2")
    machine.hub.fail("PATCH", status=429, headers={"Retry-After": "500"})
    machine.run("register while the hub asks for time", "register", "--timeout", "0")
    machine.run("register before that time is over", "register", "--timeout", "0")
    machine.run("verify before that time is over", "verify")
    machine.run("status before that time is over", "status")
    machine.run("unregister before that time is over", "unregister", "--timeout", "0")
    machine.run("status while something must be deleted", "status")
    assert machine.seen == TABLE["waiting"]


def test_state_that_cannot_be_written_is_75(machine: Machine) -> None:
    (machine.folder / "state").write_text("")
    machine.run("register", "register", "--timeout", "0")
    machine.run("unregister", "unregister", "--timeout", "0")
    machine.run("enable", "enable")
    assert machine.seen == TABLE["unwritable"]


@pytest.mark.slow
def test_refused_key_is_77(machine: Machine) -> None:
    machine.run("register", "register")
    machine.channel("https://push.example/2")
    listen = machine.environment["NHAGENT_CONNECTION_STRING"]
    machine.environment["NHAGENT_CONNECTION_STRING"] = listen.rpartition("=")[0].rpartition("=")[0] + "=bm8="
    machine.run("register with another's key", "register")
    machine.run("plan with another's key", "plan")
    machine.run("verify with another's key", "verify")
    machine.run("status with another's key", "status")
    machine.run("unregister with another's key", "unregister")
    machine.run("doctor with another's key", "doctor")
    machine.environment["NHAGENT_CONNECTION_STRING"] = listen
    machine.run("enable", "enable")
    machine.hub.fail("*", status=403)
    machine.run("register without the right", "register")
    assert machine.seen == TABLE["refused key"]


@pytest.mark.slow
def test_what_must_be_configured_is_78(machine: Machine) -> None:
    (machine.folder / "config.toml").unlink()
    for command in TABLE["commands that need a configuration"]:
        machine.run(f"{command} without a configuration", command, given="nothing")
    machine.configure()
    machine.run("emulator without TLS but with a certificate", "emulator", "--certificate", "early")
    machine.run("login of nothing", "login")
    machine.run("login of a full key", "login", given=machine.hub.full)
    machine.environment["NHAGENT_CONNECTION_STRING"] = machine.hub.full
    machine.run("register with a full key", "register")
    del machine.environment["NHAGENT_CONNECTION_STRING"]
    machine.run("register without a connection string", "register")
    machine.run("doctor without a connection string", "doctor")
    machine.environment["NHAGENT_CONNECTION_STRING"] = machine.hub.listen
    config = machine.folder / "config.toml"
    config.write_text(config.read_text().replace(machine.hub.hub, "no-such-hub"))
    machine.run("register at a hub that is not there", "register")
    assert machine.seen == TABLE["configuration"]


@pytest.mark.parametrize("arguments", TABLE["wrong usage"], ids=" ".join)
def test_wrong_usage_is_2(machine: Machine, arguments: list[str]) -> None:
    machine.run("usage", *arguments)
    error = {"type": "UsageError", "message": "(text)", "retryable": False}
    assert machine.seen["usage"] == {"code": 2, "keys": "error alone", "error": error}


@pytest.mark.slow
def test_key_ring(machine: Machine) -> None:
    del machine.environment["NHAGENT_CONNECTION_STRING"]
    machine.run("login before there is a key ring", "login", given=machine.hub.listen)
    machine.run("vault init", "vault", "init")
    machine.run("vault init again", "vault", "init")
    machine.run("login", "login", given=machine.hub.listen)
    machine.run("login of a full key that is wanted", "login", "--allow-full-access", given=machine.hub.full)
    machine.environment["NHAGENT_CONNECTION_STRING"] = machine.hub.listen
    machine.run("login beside a variable", "login", given=machine.hub.listen)
    del machine.environment["NHAGENT_CONNECTION_STRING"]
    machine.run("register", "register")
    machine.run("logout", "logout")
    machine.run("logout again", "logout")
    assert machine.seen == TABLE["key ring"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_daemon_registers_and_ends_on_sigterm(machine: Machine) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "--json"],
        env=machine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        while "PUT" not in [entry.method for entry in machine.hub.log()]:
            assert process.poll() is None
            time.sleep(0.02)
        while machine.run(f"{len(machine.seen)}", "status")["state"] != "IN_SYNC":
            time.sleep(0.02)
        machine.seen.clear()
        process.send_signal(signal.SIGTERM)
        shown, _ = process.communicate(timeout=30)
    machine.remember("run, ended by SIGTERM", process.returncode, json.loads(shown))
    assert machine.seen == TABLE["run"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_emulator_says_when_it_is_ready_and_ends_on_sigterm(tls: bool, tmp_path: Path) -> None:
    arguments = ["--hub", "my-hub", "--data", str(tmp_path / "data"), *(["--tls"] * tls)]
    with subprocess.Popen(
        [*COMMAND, "emulator", "--json", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with HubClient(ready["full"], ready["hub"], ca_bundle=ready["ca"]) as client:
            assert list(client.registrations()) == []
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
    names = {f":{ready['endpoint'].rpartition(':')[2]}": ":PORT"}
    if ready["ca"]:
        names[str(Path(ready["ca"]).parent)] = "FOLDER"
    for rule in ("listen", "full"):
        names[ready[rule].partition("SharedAccessKey=")[2]] = "KEY"
    assert (process.returncode, rest) == (0, "")
    assert reduced(ready, names) == TABLE["emulator over TLS" if tls else "emulator"]


@pytest.mark.slow
def test_demo(machine: Machine) -> None:
    machine.run("demo", "demo")
    assert machine.seen == TABLE["demo"]
