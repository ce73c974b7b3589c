"""What happens to the units under a real systemd, told as one JSON object. Runs inside, as root.

Each scenario is a function whose name is its key; what it returns are its facts. One that cannot be played
tells why, under ``cannot``, and the journal.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HUB = "doorbell"
PORT = 9443
SERVICE = "nhagent.service"
REFRESH = "nhagent-refresh.service"
STATE = Path("/var/lib/private/nhagent")
CONFIG = Path("/etc/nhagent/config.toml")
CA = Path("/etc/nhagent/ca.pem")
CREDENTIAL = Path("/etc/credstore/nhagent.connection-string")
CHANNEL = Path("/var/lib/thermostat/channel")
USER = "alice"

CONFIG_TEXT = """\
app = "{app}"
[hub]
name = "{hub}"
ca_bundle = "{ca}"
[device]
platform = "gcm"
tags = {tags}
[channel]
file = "{channel}"
"""

Facts = dict[str, Any]


def run(*command: str, check: bool = True) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.returncode}: {result.stdout}{result.stderr}")
    return result.stdout


def ctl(*arguments: str, check: bool = True) -> str:
    return run("systemctl", *arguments, check=check)


def shown(unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit."""
    lines = ctl("show", unit, *(f"--property={name}" for name in names)).splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def prop(unit: str, name: str) -> str:
    return shown(unit, name)[name]


def within(seconds: float, holds: Callable[[], Any]) -> Any:
    """What holds as soon as it does; raises when it does not in time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{holds.__qualname__} did not hold within {seconds:g} s")
        time.sleep(0.05)
    return held


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file as others do: beside it, then in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=mode)
    new.chmod(mode)
    new.write_text(text)
    new.replace(path)


def configure(*tags: str, app: str = "thermostat", path: Path = CONFIG, channel: Path = CHANNEL) -> None:
    text = CONFIG_TEXT.format(app=app, hub=HUB, ca=CA, tags=json.dumps(tags), channel=channel)
    replace(path, text)


def drop_in(unit: str, text: str) -> None:
    replace(Path(f"/run/systemd/system/{unit}.d/test.conf"), text)
    ctl("daemon-reload")


def no_drop_in(unit: str) -> None:
    shutil.rmtree(f"/run/systemd/system/{unit}.d", ignore_errors=True)
    ctl("daemon-reload")


def journal(*arguments: str) -> list[tuple[int, str]]:
    """Priorities and lines."""
    run("journalctl", "--sync")
    lines = run("journalctl", "--output=json", "--boot", *arguments, check=False).splitlines()
    entries = [json.loads(line) for line in lines]
    return [(int(entry.get("PRIORITY", -1)), str(entry.get("MESSAGE"))) for entry in entries]


def control(path: str, method: str = "GET", given: Any = None) -> Any:
    """Ask the emulator for what only tests may know."""
    trusted = ssl.create_default_context(cafile=str(CA))
    body = None if given is None else json.dumps(given).encode()
    headers = {} if given is None else {"Content-Type": "application/json"}
    asked = Request(f"https://localhost:{PORT}{path}", body, headers, method=method)
    with urlopen(asked, context=trusted, timeout=20) as reply:
        text = reply.read()
    return json.loads(text) if text else None


def held() -> list[dict[str, Any]]:
    installations: list[dict[str, Any]] = control(f"/_emulator/hubs/{HUB}")["installations"]
    return installations


def held_of(tag: str) -> dict[str, Any] | None:
    return next((item for item in held() if tag in item.get("tags", ())), None)


def requests() -> list[str]:
    """What the hub was asked since it was last looked at."""
    methods = [entry["method"] for entry in control("/_emulator/log")]
    control("/_emulator/log", "DELETE")
    return methods


def wipe() -> None:
    """As on a new disk."""
    for item in STATE.iterdir() if STATE.is_dir() else ():
        shutil.rmtree(item) if item.is_dir() else item.unlink()


# The scenarios, in their order.


def boot_without_a_hub() -> Facts:
    """At the boot something listens at the hub's address, but never answers."""
    within(120, lambda: prop("multi-user.target", "ActiveState") == "active")
    within(90, lambda: prop(SERVICE, "ExecMainPID") != "0")
    reached = int(prop("multi-user.target", "ActiveEnterTimestampMonotonic"))
    ready = int(prop(SERVICE, "ActiveEnterTimestampMonotonic"))  # 0: not yet
    return {
        "was_not_waited_for": ready == 0 or ready > reached,
        "failed": ctl("list-units", "--failed", "--no-legend", "--plain"),
    }


def hub_starts() -> Facts:
    """From here on there is one, over TLS."""
    ctl("stop", SERVICE, "hole.socket", "hole.service")
    out = Path("/run/hub.json")
    run(
        *("systemd-run", "--unit=hub", f"--property=StandardOutput=file:{out}", "--"),
        *("/usr/bin/nhagent", "emulator", "--tls", "--json", "--push-service"),
        *("--hub", HUB, "--port", str(PORT)),
    )
    within(90, lambda: out.exists() and out.read_text().endswith("\n"))
    facts = json.loads(out.read_text())
    replace(CA, Path(facts["ca"]).read_text())
    replace(CREDENTIAL, facts["listen"] + "\n", 0o600)
    configure("kitchen")
    return {}


def oneshot() -> Facts:
    wipe()
    requests()
    ctl("start", REFRESH)
    first = {**shown(REFRESH, "Result", "ExecMainStatus"), "requests": requests(), "held": held()}
    ctl("start", REFRESH)
    second = {**shown(REFRESH, "Result", "ExecMainStatus"), "requests": requests()}
    return {"first": first, "second": second, "journal": journal("--unit", REFRESH, "--identifier=nhagent")}


def timer() -> Facts:
    def elapses() -> float:
        """Seconds after the boot."""
        name = "nhagent_2drefresh_2etimer"
        path, interface = f"/org/freedesktop/systemd1/unit/{name}", "org.freedesktop.systemd1.Timer"
        told = run(
            "busctl", "get-property", "org.freedesktop.systemd1", path, interface, "NextElapseUSecMonotonic"
        )
        return int(told.split()[1]) / 1e6

    unit = "nhagent-refresh.timer"
    ctl("start", unit)
    # In a container the clock is the host's: it was booted when its init began.
    booted = int(ctl("show", "--value", "--property=UserspaceTimestampMonotonic")) / 1e6
    facts: Facts = {"after_boot": elapses() - booted}
    ctl("stop", unit)
    drop_in(
        unit,
        "[Timer]\nOnBootSec=\nOnActiveSec=500ms\nOnUnitActiveSec=1d\nRandomizedDelaySec=0\nAccuracySec=10ms\n",
    )
    before = prop(REFRESH, "ExecMainStartTimestampMonotonic")
    ctl("start", unit)
    within(80, lambda: prop(REFRESH, "ExecMainStartTimestampMonotonic") != before)
    within(90, lambda: prop(REFRESH, "ActiveState") in {"inactive", "failed"})
    began = int(prop(REFRESH, "ExecMainStartTimestampMonotonic")) / 1e6
    facts |= {"result": prop(REFRESH, "Result"), "again_in": elapses() - began}
    ctl("stop", unit)
    no_drop_in(unit)
    return facts


def missing_credential() -> Facts:
    kept = CREDENTIAL.read_text()
    CREDENTIAL.unlink()
    wipe()
    try:
        ctl("start", REFRESH, check=False)
        time.sleep(0.5)
        oneshot = shown(REFRESH, "Result", "ExecMainStatus", "NRestarts", "ActiveState")
        ctl("start", SERVICE)
        daemon = shown(SERVICE, "ActiveState", "StatusText")
        ctl("stop", SERVICE)
    finally:
        replace(CREDENTIAL, kept, 0o600)
        ctl("reset-failed")
    return {
        "oneshot": oneshot,
        "daemon": daemon,
        "journal": journal("--unit", REFRESH, "--identifier=nhagent"),
    }


def daemon_starts() -> Facts:
    ctl("start", SERVICE)
    return {
        **shown(SERVICE, "ActiveState", "SubState", "StatusText", "Result"),
        "status": ctl("status", SERVICE),
        "held": held(),
    }


def state_files() -> Facts:
    def mode(path: Path) -> str:
        return oct(path.stat().st_mode & 0o7777)

    return {
        "folder": mode(STATE),
        "folders": {str(path): mode(path) for path in STATE.rglob("*") if path.is_dir()},
        "files": {str(path): mode(path) for path in STATE.rglob("*") if path.is_file()},
    }


def rotation() -> Facts:
    replace(CHANNEL, "handle-2")
    within(90, lambda: held()[0]["pushChannel"] == "handle-2")
    return {"held": held()}


def reload() -> Facts:
    pid = prop(SERVICE, "MainPID")
    configure("kitchen", "cellar")
    ctl("reload", SERVICE)
    within(90, lambda: held_of("cellar"))
    try:
        replace(CONFIG, "app = \n")
        ctl("reload", SERVICE)
        within(90, lambda: prop(SERVICE, "StatusText").startswith("unchanged"))
        bad = shown(SERVICE, "ActiveState", "StatusText")
    finally:
        configure("kitchen")
    ctl("reload", SERVICE)
    within(90, lambda: not held_of("cellar"))
    within(90, lambda: prop(SERVICE, "StatusText").startswith("updated"))
    good = shown(SERVICE, "ActiveState", "StatusText")
    return {"bad": bad, "good": good, "same_process": pid == prop(SERVICE, "MainPID")}


def poke() -> Facts:
    pid, before = prop(SERVICE, "MainPID"), prop(SERVICE, "StatusText")
    time.sleep(0.5)
    ctl("kill", "--signal=USR1", SERVICE)
    within(90, lambda: prop(SERVICE, "StatusText").startswith("unchanged"))
    return {"before": before, "same_process": pid == prop(SERVICE, "MainPID")}


def looking_as_root() -> Facts:
    """What the guide tells an administrator to call must not take the state from the service."""
    said = run("nhagent", "--service", "status")
    owner = STATE.stat().st_uid
    owners = {str(path): path.stat().st_uid == owner for path in STATE.rglob("*")}
    replace(CHANNEL, "handle-3")
    within(90, lambda: held()[0]["pushChannel"] == "handle-3")
    within(90, lambda: prop(SERVICE, "StatusText").startswith("updated"))
    return {"said": said, "owners": owners, "status": prop(SERVICE, "StatusText")}


def stop() -> Facts:
    ctl("stop", SERVICE)
    return {**shown(SERVICE, "ActiveState", "Result", "ExecMainStatus")}


def journal_priorities() -> Facts:
    """What it has said so far: one bad configuration was shown to it, and once there was no credential."""
    return {
        "errors": [line for _, line in journal("--unit", SERVICE, "--identifier=nhagent", "--priority=err")],
        "all": journal("--unit", SERVICE, "--identifier=nhagent"),
    }


def watchdog() -> Facts:
    drop_in(SERVICE, "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")
    ctl("restart", SERVICE)
    pid = prop(SERVICE, "MainPID")
    time.sleep(6)
    lived = pid == prop(SERVICE, "MainPID")
    identity = held()[0]["installationId"]
    os.kill(int(pid), 19)  # it hangs
    within(90, lambda: prop(SERVICE, "NRestarts") == "1" and prop(SERVICE, "ActiveState") == "active")
    return {
        "lived": lived,
        "another_process": prop(SERVICE, "MainPID") != pid,
        "same_identity": [item["installationId"] for item in held()] == [identity],
    }


def killed() -> Facts:
    pid = prop(SERVICE, "MainPID")
    identity = held()[0]["installationId"]
    restarts = int(prop(SERVICE, "NRestarts"))
    ctl("kill", "--signal=KILL", SERVICE)
    within(
        20, lambda: int(prop(SERVICE, "NRestarts")) > restarts and prop(SERVICE, "ActiveState") == "active"
    )
    replace(CHANNEL, "handle-4")
    within(90, lambda: held()[0]["pushChannel"] == "handle-4")
    facts = {
        "another_process": prop(SERVICE, "MainPID") != pid,
        "same_identity": [item["installationId"] for item in held()] == [identity],
    }
    ctl("stop", SERVICE)
    no_drop_in(SERVICE)
    return facts


def encrypted_credential() -> Facts:
    """As README shows it, bound to this machine."""
    sealed = Path("/etc/credstore.encrypted/nhagent.connection-string")
    sealed.parent.mkdir(exist_ok=True)
    run("systemd-creds", "encrypt", "--name=nhagent.connection-string", str(CREDENTIAL), str(sealed))
    kept = CREDENTIAL.read_text()
    CREDENTIAL.unlink()
    drop_in(SERVICE, "[Service]\nLoadCredential=\nLoadCredentialEncrypted=nhagent.connection-string\n")
    wipe()
    try:
        ctl("start", SERVICE)
        return shown(SERVICE, "ActiveState", "StatusText")
    finally:
        ctl("stop", SERVICE)
        no_drop_in(SERVICE)
        replace(CREDENTIAL, kept, 0o600)


def instance() -> Facts:
    channel = CHANNEL.with_name("porch")
    replace(channel, "porch-1")
    configure("porch", app="porch", path=Path("/etc/nhagent/porch.toml"), channel=channel)
    replace(Path("/etc/credstore/nhagent.porch.connection-string"), CREDENTIAL.read_text(), 0o600)
    ctl("start", SERVICE, "nhagent@porch.service")
    facts: Facts = shown("nhagent@porch.service", "ActiveState", "StatusText")
    facts["has_folder"] = Path("/var/lib/private/nhagent-porch").is_dir()
    facts["installations"] = len([item for item in held() if "porch" in item["tags"]])
    facts["beside"] = prop(SERVICE, "ActiveState")
    ctl("stop", "nhagent@porch.service", SERVICE)
    return facts


def user_units() -> Facts:
    run("useradd", "--create-home", USER)
    home = Path("/home", USER)
    secret = home / "connection-string"
    secret.write_text(CREDENTIAL.read_text())
    secret.chmod(0o600)
    config, channel = home / ".config/nhagent/config.toml", home / "channel"
    replace(channel, "desk-1")
    configure("desk", app="desk", path=config, channel=channel)
    units = home / ".config/systemd/user"
    for unit in Path("/opt/nhagent/units/user").iterdir():
        replace(units / unit.name, unit.read_text())
    for name in (SERVICE, REFRESH):
        told = f"[Service]\nEnvironment=NHAGENT_CONNECTION_STRING_FILE={secret}\n"
        replace(units / f"{name}.d" / "secret.conf", told)
    run("chown", "--recursive", f"{USER}:", str(home))
    run("loginctl", "enable-linger", USER)
    uid = home.stat().st_uid
    bus = Path(f"/run/user/{uid}/bus")
    within(90, bus.exists)

    def user_ctl(*arguments: str) -> str:
        door = f"XDG_RUNTIME_DIR=/run/user/{uid}"
        return run("runuser", "-u", USER, "--", "env", door, "systemctl", "--user", *arguments)

    def user_prop(unit: str, name: str) -> str:
        return user_ctl("show", "--value", f"--property={name}", unit).strip()

    user_ctl("start", REFRESH)
    facts: Facts = {"oneshot": user_prop(REFRESH, "Result"), "registered": bool(held_of("desk"))}
    user_ctl("enable", "--now", SERVICE)
    facts |= {"daemon": user_prop(SERVICE, "ActiveState"), "status": user_prop(SERVICE, "StatusText")}
    configure("desk", "lamp", app="desk", path=config, channel=channel)
    user_ctl("reload", SERVICE)
    within(90, lambda: held_of("lamp"))
    replace(channel, "desk-2")
    within(90, lambda: "desk-2" in {item["pushChannel"] for item in held()})
    facts["rotated"] = True
    state = home / ".local/share/nhagent"
    facts["modes"] = {
        str(path): oct(path.stat().st_mode & 0o7777) for path in state.rglob("*") if path.is_file()
    }
    user_ctl("stop", SERVICE)
    facts["result"] = user_prop(SERVICE, "Result")
    user_ctl("start", "nhagent-refresh.timer")
    facts["timer"] = user_prop("nhagent-refresh.timer", "ActiveState")
    return facts


PUSH_CONFIG_TEXT = """\
app = "raspberry-pi"
[hub]
name = "{hub}"
ca_bundle = "{ca}"
[device]
tags = ["push"]
[channel]
webpush = {{ vapid_public_key = "{key}", server = "{server}", ca_bundle = "{ca}" }}
[receive]
command = ["/usr/local/bin/on-message"]
"""
# Its folder is the one that the service may write to.
ON_MESSAGE = """\
#!/bin/sh
cd /var/lib/nhagent && cat > began
while test -e hold; do sleep 0.05; done
cat began >> taken && echo >> taken
"""


def push_channel() -> Facts:
    """A headless device gets its channel, is reached, and loses what there is to lose on the way."""
    hub = json.loads(Path("/run/hub.json").read_text())
    replace(Path("/usr/local/bin/on-message"), ON_MESSAGE, 0o755)
    replace(CONFIG, PUSH_CONFIG_TEXT.format(hub=HUB, ca=CA, key=hub["vapid_public_key"], server=hub["push"]))
    ctl("restart", SERVICE)
    taken, hold = STATE / "taken", STATE / "hold"
    sent: list[str] = []

    def users() -> dict[str, Any]:
        return dict(control("/_emulator/push-service")["users"])

    def is_connected() -> bool:
        return held_of("push") is not None and any(user["connected"] for user in users().values())

    def push(text: str) -> None:
        device = held_of("push")
        assert device is not None
        posted = control("/_emulator/push", "POST", {"installation": device["installationId"], "body": text})
        assert posted["status"] == 201, posted
        sent.append(text)

    def all_taken() -> bool:
        return taken.exists() and taken.read_text().splitlines()[-1:] == sent[-1:]

    within(90, is_connected)
    push("first")
    push("second")
    within(90, all_taken)

    control("/_emulator/push-service/close", "POST", {"code": None})  # the connection is cut
    push("while it is away")
    within(200, all_taken)

    hold.touch()
    push("in the middle of it")
    push("after it")
    within(90, lambda: (STATE / "began").read_text() == "in the middle of it")
    ctl("kill", "--signal=KILL", SERVICE)
    hold.unlink()
    ctl("restart", SERVICE)
    within(90, all_taken)

    before = held_of("push")
    control("/_emulator/push-service/drop", "POST", {})  # the push service has forgotten the device
    within(200, lambda: held_of("push") != before)
    within(90, is_connected)
    push("to the new one")
    within(90, all_taken)
    after = held_of("push")
    facts = {
        "sent": sent,
        "taken": taken.read_text().splitlines(),
        "is_new": before is not None and after is not None and before["pushChannel"] != after["pushChannel"],
        "same_identity": before is not None
        and after is not None
        and before["installationId"] == after["installationId"],
        "channels": [list(user["channels"]) for user in users().values()],
        "modes": {path.name: oct(path.stat().st_mode & 0o7777) for path in STATE.rglob("*.json")},
        "errors": [line for _, line in journal("--unit", SERVICE, "--identifier=nhagent", "--priority=err")],
    }
    ctl("stop", SERVICE)
    return facts


def own_units() -> list[str]:
    """Files and links of nhagent's among the administrator's units."""
    folder = Path("/etc/systemd/system")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("nhagent*"))


def first_minutes() -> Facts:
    """From nothing to a registered, monitored service, by the commands that init names."""
    ctl("disable", "--now", SERVICE)
    for path in Path("/etc/systemd/system").glob("nhagent*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    ctl("daemon-reload")
    wipe()
    CONFIG.unlink()
    facts: Facts = {"before": own_units()}
    given = ("--app", "thermostat", "--hub", HUB, "--platform", "gcm", "--channel-file", str(CHANNEL))
    facts["init"] = json.loads(run("nhagent", "init", *given, "--json"))
    facts["again"] = subprocess.run(["nhagent", "init", *given], capture_output=True, check=False).returncode
    # A hub in Azure needs no such line.
    text = CONFIG.read_text().replace('# ca_bundle = "ca.pem"', f'ca_bundle = "{CA}"')
    replace(CONFIG, f'{text}[metrics]\nfile = "/var/lib/nhagent/nhagent.prom"\n')
    run("nhagent", "units", "--install")
    facts["waited"] = run("nhagent", "--service", "wait", "--timeout", "90")
    facts["doctor"] = json.loads(run("nhagent", "--service", "doctor", "--json", check=False))
    ctl("start", "nhagent-registered.target")
    facts["target"] = prop("nhagent-registered.target", "ActiveState")
    facts["waiter"] = shown("nhagent-registered.service", "ActiveState", "Result")
    facts["owner"] = STATE.stat().st_uid == Path(STATE, "nhagent.prom").stat().st_uid
    facts["metrics"] = Path(STATE, "nhagent.prom").read_text()
    facts["held"], facts["channel"] = held(), CHANNEL.read_text()
    facts["installed"] = own_units()
    facts["remove"] = run("nhagent", "units", "--remove")
    facts["left"] = own_units()
    facts["stopped"] = prop(SERVICE, "ActiveState")
    return facts


DEB = Path("/opt/nhagent/nhagent.deb")


def package() -> Facts:
    """Debian's package: installed, run, upgraded, removed, purged."""
    if not DEB.exists():
        return {"missing": True}
    Path("/usr/bin/nhagent").unlink()
    Path("/usr/sbin/policy-rc.d").unlink(missing_ok=True)  # in containers it forbids packages their services
    wipe()
    run("dpkg", "--install", str(DEB))
    facts: Facts = {
        "fresh": [prop(SERVICE, "ActiveState"), ctl("is-enabled", SERVICE, check=False).strip()],
        "requests": requests(),
    }
    ctl("enable", "--now", SERVICE)
    run("nhagent", "--service", "wait", "--timeout", "90")
    facts["status"] = json.loads(run("nhagent", "--service", "status", "--json"))
    facts["requests"] = requests()
    facts["units"] = run("nhagent", "units", "--install")  # those of the package are enough
    facts["among_administrators"] = own_units()
    facts["manual"] = Path("/usr/share/man/man1/nhagent.1.gz").exists()

    pid = prop(SERVICE, "MainPID")
    unit = Path("/usr/lib/systemd/system", SERVICE)
    replace(unit, unit.read_text().replace("WatchdogSec=10min", "WatchdogSec=9min"))  # the old version's
    os.utime(unit, (0, 0))
    ctl("daemon-reload")
    upgraded = subprocess.run(["dpkg", "--install", str(DEB)], capture_output=True, text=True, check=True)
    facts["refused"] = [line for line in (upgraded.stdout + upgraded.stderr).splitlines() if "yntax" in line]
    facts["reloaded"] = prop(SERVICE, "NeedDaemonReload") == "no"
    within(90, lambda: prop(SERVICE, "MainPID") not in {"0", pid})
    within(90, lambda: prop(SERVICE, "ActiveState") == "active")
    facts["upgraded"] = requests()
    facts["same"] = json.loads(run("nhagent", "--service", "status", "--json"))

    run("dpkg", "--remove", "nhagent")
    facts["removed"] = [prop(SERVICE, "ActiveState"), CONFIG.exists(), Path(STATE, "thermostat").exists()]
    run("dpkg", "--purge", "nhagent")
    ignored = ("/proc/", "/sys/", "/opt/nhagent", "/run/", "/var/log/", "/etc/credstore")
    everything = run("find", "/etc", "/usr", "/var/lib", "/lib/systemd", "-name", "*nhagent*").splitlines()
    facts["left"] = [path for path in everything if not path.startswith(ignored)]
    return facts


SCENARIOS: tuple[Callable[[], Facts], ...] = (
    boot_without_a_hub,
    hub_starts,
    oneshot,
    timer,
    missing_credential,
    daemon_starts,
    state_files,
    rotation,
    reload,
    poke,
    looking_as_root,
    stop,
    journal_priorities,
    watchdog,
    killed,
    encrypted_credential,
    instance,
    user_units,
    push_channel,
    first_minutes,
    package,
)


def main() -> None:
    told: dict[str, Facts] = {}
    for scenario in SCENARIOS:
        began = time.monotonic()
        try:
            told[scenario.__name__] = scenario()
        except Exception:
            lines = run("journalctl", "--no-pager", "--lines=60", "--boot", check=False)
            told[scenario.__name__] = {"cannot": f"{traceback.format_exc()}\n{lines}"}
        told[scenario.__name__]["took"] = round(time.monotonic() - began, 2)
    json.dump(told, sys.stdout)


main()
