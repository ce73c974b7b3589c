"""``nhagent doctor``: of every broken set-up the first red check is the cause, and nothing is changed."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator
from nhagent.service.cli import main
from tests.key_ring.machine import Machine, key_of

CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
style = "STYLE"
CA
[device]
platform = "wns"
[channel]
file = "channel"
[tiles.weather]
channel = { file = "tile" }
"""
CHANNELS = {"channel": "https://push.example/1", "tile": "https://push.example/tile/1"}
CHECKS = [
    "configuration", "state folder", "lock", "state", "credentials", "dns", "tcp", "tls", "clock", "hub",
    "channel", "tiles.weather",
]  # fmt: skip
MONTH_AGO = 40 * 86400
AS_ROOT = sys.platform != "win32" and os.geteuid() == 0


@dataclass
class Doctored:
    """A set-up that is in order, until a test breaks it.

    Attributes:
        hub: what the device is registered with.
        folder: holds the configuration, the channels and the state.
        environment: how the doctor finds them.
        keeps: what must be closed at the end.
    """

    hub: Emulator
    folder: Path
    environment: pytest.MonkeyPatch
    style: str
    capsys: pytest.CaptureFixture[str]
    keeps: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        for name, channel in CHANNELS.items():
            self.channel(name).write_text(channel)
        ca = "" if self.hub.ca is None else f'ca_bundle = "{self.hub.ca}"'
        config = CONFIG.replace("HUB", self.hub.hub).replace("STYLE", self.style).replace("CA", ca)
        self.config.write_text(config)
        self.environment.setenv("NHAGENT_STATE_DIR", str(self.folder / "state"))
        self.credential(self.hub.listen)

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def device_folder(self) -> Path:
        return self.folder / "state" / "thermostat" / self.hub.hub

    def channel(self, name: str) -> Path:
        return self.folder / name

    def credential(self, text: str) -> None:
        self.environment.setenv("NHAGENT_CONNECTION_STRING", text)

    def configure(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def change(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change one of the state's documents."""
        path = self.device_folder / name
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    def register(self) -> None:
        assert main(["register", "--config", str(self.config)]) == 0
        self.capsys.readouterr()
        self.hub.clear_log()

    def examine(self) -> tuple[int, dict[str, Any]]:
        """What the doctor says as JSON, having changed nothing."""
        before = self.all_there_is()
        code = main(["doctor", "--json", "--config", str(self.config)])
        printed = self.capsys.readouterr()
        assert self.all_there_is() == before
        assert {entry.method for entry in self.hub.log()} <= {"GET"}
        for secret in (key_of(self.hub.listen), key_of(self.hub.full), *CHANNELS.values()):
            assert secret not in printed.out + printed.err
        document: dict[str, Any] = json.loads(printed.out)
        assert (printed.out.count("\n"), set(document)) == (1, {"healthy", "checks", "error"})
        assert document["error"] is None
        assert document["healthy"] == (code == 0) == all(c["ok"] is not False for c in document["checks"])
        return code, document

    def all_there_is(self) -> dict[str, tuple[int, bytes]]:
        paths = sorted(self.folder.rglob("*"))
        return {
            str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in paths
        }


@pytest.fixture
def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Doctored]]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:

        def make(*, style: str = "installation", registered: bool = True, **settings: Any) -> Doctored:
            hub = stack.enter_context(Emulator(**settings))
            made = Doctored(hub, tmp_path, monkeypatch, style, capsys, stack)
            if registered:
                made.register()
            return made

        yield make


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
    held = (
        " and holds this device" if style == "installation" else ", and does not hold it as an installation"
    )
    assert facts["hub"] == f"accepts the key{held}"


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
    assert "will be registered anew here" in facts["credentials"]


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


def wrong_clock(made: Doctored, offset: float = 3600) -> None:
    made.hub.set_clock(offset)


def wrong_key(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("SharedAccessKey=", "SharedAccessKey=AAAA"))


def deleted_policy(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("DefaultListenSharedAccessSignature", "Gone"))


def full_key(made: Doctored) -> None:
    made.credential(made.hub.full)


def no_listen(made: Doctored) -> None:
    made.hub.fail("GET", status=403, times=9)


def no_such_host(made: Doctored) -> None:
    made.credential("Endpoint=sb://no-such-host.invalid/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def closed_port(made: Doctored) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made.credential(f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def another_authority(made: Doctored) -> None:
    other = made.keeps.enter_context(Emulator(tls=True))
    made.configure(str(made.hub.ca), str(other.ca))


def ca_that_is_none(made: Doctored) -> None:
    made.configure("style =", f'ca_bundle = "{made.channel("tile")}"\nstyle =')


def plain_http(made: Doctored) -> None:
    made.credential("Endpoint=http://hub.example/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def no_tls_there(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("http://", "sb://"))


def ssh_there(made: Doctored) -> None:
    door = made.keeps.enter_context(socket.create_server(("127.0.0.1", 0)))

    def greet() -> None:
        for _ in range(2):  # the one who looks whether it answers, and the one who shakes hands
            caller, _address = door.accept()
            caller.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            made.keeps.callback(caller.close)

    Thread(target=greet, daemon=True).start()
    port = door.getsockname()[1]
    made.credential(f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def proxy_that_is_down(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://127.0.0.1:9")


def proxy_that_nobody_knows(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:3128")


def proxy_of_nonsense(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://[bad")


def redirect(made: Doctored) -> None:
    made.hub.fail("GET", status=302, times=9, headers={"Location": "http://portal.example/"})


def wrong_hub(made: Doctored) -> None:
    made.configure(f'name = "{made.hub.hub}"', 'name = "no-such-hub"')


def string_of_another_hub(made: Doctored) -> None:
    made.credential(f"{made.hub.listen};EntityPath=another-hub")


def malformed_string(made: Doctored) -> None:
    made.credential("Endpoint=sb://x/;SharedAccessKey=c2Vj")


def readable_string(made: Doctored) -> None:
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen)
    path.chmod(0o644)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))


def no_string(made: Doctored) -> None:
    made.environment.delenv("NHAGENT_CONNECTION_STRING")
    made.environment.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


def state_in_the_way(made: Doctored) -> None:
    (made.folder / "file").write_text("")
    made.environment.setenv("NHAGENT_STATE_DIR", str(made.folder / "file" / "state"))


def state_relative(made: Doctored) -> None:
    made.environment.setenv("NHAGENT_STATE_DIR", "state")


def state_read_only(made: Doctored) -> None:
    if AS_ROOT:  # who may write everywhere, but for what is mounted read-only
        folder = str(made.device_folder)
        bind = ["mount", "--bind", folder, folder]
        if subprocess.run(bind, check=False, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("root may write everywhere, and this machine allows no mounts")
        made.keeps.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        return
    made.device_folder.chmod(0o500)
    made.keeps.callback(made.device_folder.chmod, 0o700)


def state_readable(made: Doctored) -> None:
    (made.device_folder / "state.json").chmod(0o644)


def state_folder_open(made: Doctored) -> None:
    made.device_folder.chmod(0o755)


def state_of_another(made: Doctored) -> None:
    if sys.platform != "win32":
        if not AS_ROOT:
            pytest.skip("only root can give files away")
        os.chown(made.device_folder / "state.json", 12345, 12345)


def torn_state(made: Doctored) -> None:
    path = made.device_folder / "state.json"
    path.write_bytes(path.read_bytes()[:100])


def torn_identity(made: Doctored) -> None:
    (made.device_folder / "identity.json").write_bytes(b"")


def copied_disk(made: Doctored) -> None:
    def elsewhere(identity: dict[str, Any]) -> None:
        if identity["machine"] is None:
            pytest.skip("nothing tells this machine from others")
        identity["machine"] = identity["machine"].partition(":")[0] + ":" + "0" * 32
        del identity["sum"]  # it would tell that the file was changed

    made.change("identity.json", elsewhere)


def channel_missing(made: Doctored) -> None:
    made.channel("channel").unlink()


def channel_empty(made: Doctored) -> None:
    made.channel("channel").write_text("\n")


def channel_of_lines(made: Doctored) -> None:
    made.channel("channel").write_text("https://push.example/1\nhttps://push.example/2\n")


def channel_stale(made: Doctored) -> None:
    old = time.time() - MONTH_AGO
    os.utime(made.channel("channel"), (old, old))


def channel_plugin(made: Doctored) -> None:
    made.configure('[channel]\nfile = "channel"', '[channel]\nplugin = "no_such_package:channel"')


def channel_command(made: Doctored) -> None:
    made.configure('[channel]\nfile = "channel"', f"[channel]\ncommand = ['{sys.executable}', '-c', '1/0']")


def same_channel(made: Doctored) -> None:
    made.channel("tile").write_text(CHANNELS["channel"])


def channel_expired(made: Doctored) -> None:
    made.change("state.json", lambda state: state["expired"].append(CHANNELS["channel"]))


def device_lost(made: Doctored) -> None:
    [held] = made.hub.contents()["installations"]
    made.hub.forget(installation=held["installationId"])


def device_lost_and_marked(made: Doctored) -> None:
    device_lost(made)
    assert main(["verify", "--config", str(made.config)]) == 1
    made.capsys.readouterr()


def throttled(made: Doctored) -> None:
    made.hub.fail("GET", status=429, times=9)


def hub_away(made: Doctored) -> None:
    made.hub.fail("GET", status=503, times=9)


def captive_portal(made: Doctored) -> None:
    made.hub.fail(
        "GET", status=200, times=9, headers={"Content-Type": "text/html"}, body="<html>Sign in</html>"
    )


def silent_hub(made: Doctored) -> None:
    made.hub.fail("GET", reset="after", times=9)


def second_key_stands_in(made: Doctored) -> None:
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen.replace("SharedAccessKey=", "SharedAccessKey=AAAA"))
    path.chmod(0o600)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Another process that holds the lock."""
    program = (
        "import sys, time; from nhagent.device.disk import Disk, locked\n"
        "with locked(Disk(), sys.argv[1], 5, time.sleep): print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def locked_by_another(made: Doctored) -> None:
    made.keeps.enter_context(lock_held(made.device_folder / "lock"))


def no_toml(made: Doctored) -> None:
    made.config.write_text("app = ")


def unknown_key(made: Doctored) -> None:
    made.configure("platform", "platfrom")


def no_config(made: Doctored) -> None:
    made.config.unlink()


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
    pytest.param(state_readable, {}, "state folder", "chmod 600", marks=POSIX),
    pytest.param(state_folder_open, {}, "state folder", "chmod 700", marks=POSIX),
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
    (throttled, {}, "hub", "wait"),
    (hub_away, {}, "hub", "wait"),
    (silent_hub, {}, "hub", "wait"),
    (captive_portal, {}, "hub", "sign in there"),
    (redirect, {}, "hub", "sign in there"),
    (channel_missing, {}, "channel", "who writes it"),
    (channel_empty, {}, "channel", "see that"),
    (channel_of_lines, {}, "channel", "one push channel"),
    (channel_stale, {}, "channel", "ask the platform anew"),
    (channel_plugin, {}, "channel", "is it installed"),
    (channel_command, {}, "channel", "run it by hand"),
    (channel_expired, {}, "channel", "until the platform gives another"),
    (same_channel, {}, "tiles.weather", "a channel of its own"),
]


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
    assert [check["name"] for check in seen["checks"]][:10] == CHECKS[:10]


def test_locked_key_ring_is_told(tmp_path: Path, notification_hub: Emulator) -> None:
    machine = Machine(tmp_path / "machine")
    machine.belongs_to(notification_hub)
    machine.takes("Locked")
    ran = machine.run("doctor", "--json")
    [red] = [check for check in ran.document["checks"] if check["ok"] is False]
    assert (ran.code, red["name"]) == (1, "credentials")
    assert "is locked" in red["fact"]
    assert red["next"] == "unlock it, then try again"
    assert [check["ok"] for check in ran.document["checks"]][5:10] == [None] * 5
    assert notification_hub.log() == []


def test_text_has_a_line_for_each_check_and_ends_with_what_to_do_first(make: Callable[..., Doctored]) -> None:
    made = make()
    assert main(["doctor", "--config", str(made.config)]) == 0
    lines = made.capsys.readouterr().out.splitlines()
    assert (len(lines), lines[-1]) == (len(CHECKS) + 1, "healthy")
    assert all(line.startswith("green  ") for line in lines[:-1])
    closed_port(made)
    assert main(["doctor", "--config", str(made.config)]) == 1
    lines = made.capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:10]] == [*["green"] * 6, "red", "-", "-", "-"]
    assert lines[6].startswith("red    tcp            127.0.0.1 port ")
    assert lines[-1].startswith("first: tcp: let this device out to port ")


def test_proxy_of_the_environment_is_named_without_its_password(make: Callable[..., Doctored]) -> None:
    made = make()
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:9")
    _, seen = made.examine()
    proxy = "the proxy 127.0.0.1:9, which the environment names,"
    assert [(check["name"], check["ok"], check["fact"]) for check in seen["checks"][5:8]] == [
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


def test_source_that_hides_another_is_named(make: Callable[..., Doctored]) -> None:
    made = make()
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen)
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))
    code, seen = made.examine()
    fact = seen["checks"][4]["fact"]
    assert code == 0
    assert fact.startswith("$NHAGENT_CONNECTION_STRING_FILE: key ")
    assert fact.endswith("; it hides $NHAGENT_CONNECTION_STRING")


UNIT = "Id={}\nLoadState={}\nActiveState={}\nResult={}\nExecMainStatus={}\nFragmentPath={}\nDropInPaths={}\n"


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a systemctl before the machine's own that knows these units of the system, and of the user."""
    if sys.platform == "win32":
        pytest.skip("systemd is Linux's")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def installs(*units: str, of_user: tuple[str, ...] = ()) -> None:
        (folder / "system").write_text("\n".join(units))
        (folder / "--user").write_text("\n".join(of_user))
        program = folder / "systemctl"
        program.write_text(f'#!/bin/sh\n[ "$1" = --user ] || set system\nexec cat "{folder}/$1"\n')
        program.chmod(0o755)

    return installs


def test_units_are_looked_at_where_they_are_installed(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    installs(
        UNIT.format("nhagent.service", "not-found", "inactive", "success", 0, "", ""),
        UNIT.format("nhagent@doorbell.service", "loaded", "active", "success", 0, "", ""),
        UNIT.format("nhagent-refresh.service", "loaded", "failed", "exit-code", 77, "", ""),
        of_user=(UNIT.format("nhagent.service", "loaded", "failed", "exit-code", 78, "", ""),),
    )
    code, seen = made.examine()
    assert code == 1
    assert [(check["name"], check["ok"], check["fact"], check["next"]) for check in seen["checks"][12:]] == [
        ("nhagent@doorbell.service", True, "active", ""),
        (
            "nhagent-refresh.service",
            False,
            "failed, result exit-code, exit code 77",
            "read why: journalctl -u nhagent-refresh.service",
        ),
        (
            "nhagent.service (user)",
            False,
            "failed, result exit-code, exit code 78",
            "read why: journalctl --user -u nhagent.service",
        ),
    ]


@pytest.mark.parametrize(
    ("unit", "drop_in", "words"),
    [
        ("nhagent.service", "", "NHAGENT_CONNECTION_STRING_FILE=/etc/credstore/nhagent.connection-string"),
        (
            "nhagent@.service",
            "",
            "NHAGENT_CONNECTION_STRING_FILE=/etc/credstore/nhagent.bell.connection-string",
        ),
        (
            "nhagent.service",
            "[Service]\nLoadCredential=\nLoadCredentialEncrypted=nhagent.connection-string",
            "systemd-run",
        ),
    ],
)
def test_credential_that_a_service_alone_sees_is_told(
    make: Callable[..., Doctored], installs: Callable[..., None], unit: str, drop_in: str, words: str
) -> None:
    made = make()
    no_string(made)
    (made.folder / "override.conf").write_text(drop_in)
    name, file = unit.replace("@", "@bell"), Path(__file__).parents[2] / "systemd" / unit
    files = (file, made.folder / "override.conf")
    installs(UNIT.format(name, "loaded", "active", "success", 0, *files))
    code, seen = made.examine()
    [red] = [check for check in seen["checks"] if check["ok"] is False]
    assert (code, red["name"]) == (1, "credentials")
    assert red["fact"] == f"none is to be seen here: {name} has its own, shown to it alone"
    assert words in red["next"]


def test_service_without_a_credential_hides_none(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    no_string(made)
    file = made.folder / "nhagent.service"
    file.write_text("[Service]\nLoadCredential=nhagent.connection-string\nLoadCredential=\n")
    installs(UNIT.format("nhagent.service", "loaded", "active", "success", 0, file, ""))
    [red] = [check for check in made.examine()[1]["checks"] if check["ok"] is False]
    assert 'run "nhagent login"' in red["next"]
