"""The daemon: what it says to systemd, what wakes it, what it survives, and what a day of it costs."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest

from nhagent.commands import log_lines, systemd
from nhagent.commands.daemon import LOOK_SECONDS, Daemon
from nhagent.commands.setup import Setup, read_setup
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.retry import backoff
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}" }}
device = {{ platform = "gcm", tags = {tags} }}
channel = {{ file = "channel" }}
"""
DAY = 86400.0
LOOKS_OFTEN = {"WATCHDOG_USEC": "100000"}
"""A daemon looks at its files as often as it tells its watchdog that it lives, twice in its time."""


class Running:
    """The daemon in a process of its own, and a manager that hears what it says."""

    def __init__(
        self,
        folder: Path,
        hub: Emulator,
        name: str = "notify",
        folder_name: bytes = b"",
        **environment: str,
    ) -> None:
        self.log = folder / f"{name}.log"
        door = folder / name
        folder /= os.fsdecode(folder_name)
        folder.mkdir(exist_ok=True)
        self.folder, self.hub = folder, hub
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(str(door))
        self._said: SimpleQueue[str] = SimpleQueue()
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.heard: list[str] = []
        self.configure()
        self.give("handle-1")
        self.environment = {
            **os.environ,
            "NHAGENT_STATE_DIR": str(folder / "state"),
            "NHAGENT_CONNECTION_STRING": hub.listen,
            **LOOKS_OFTEN,
            **environment,
        }
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nhagent", "run", "--config", str(folder / "config.toml")],
                env={**self.environment, "NOTIFY_SOCKET": str(door)},
                stderr=log,
                stdout=log,
            )

    def configure(self, tags: tuple[str, ...] = ("kitchen",), text: str | None = None) -> None:
        text = CONFIG.format(hub=self.hub.hub, tags=json.dumps(tags)) if text is None else text
        self._replace("config.toml", text)

    def give(self, handle: str) -> None:
        """A new channel, written as others do: beside it, then in its place."""
        self._replace("channel", handle)

    def hears(self, words: str) -> str:
        """Wait until it says this; its signs of life do not make the wait longer."""
        ends = time.monotonic() + HANG_SECONDS
        while True:
            try:
                self.heard.append(self._said.get(timeout=max(0.0, ends - time.monotonic())))
            except Empty:
                raise AssertionError(f"{words!r} was not said: {self.heard} {self.log.read_text()}") from None
            if words in self.heard[-1]:
                return self.heard[-1]

    def looks_around(self, times: int) -> None:
        """Wait until it has looked at its files so often from now on."""
        while not self._said.empty():
            self.heard.append(self._said.get())
        for _ in range(times):
            self.hears("WATCHDOG=1")

    def command(self, *arguments: str) -> int:
        """Give a command of nhagent beside it."""
        given = [sys.executable, "-m", "nhagent", *arguments, "--config", str(self.folder / "config.toml")]
        ended = subprocess.run(
            given, env=self.environment, capture_output=True, timeout=HANG_SECONDS, check=False
        )
        return ended.returncode

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def channel(self) -> Any:
        held = self.hub.contents()["installations"]
        return held[0]["pushChannel"] if held else None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listens_no_more()

    def listens_no_more(self) -> None:
        """The manager is gone."""
        if self._listener.is_alive():
            self._door.shutdown(socket.SHUT_RD)
            self._listener.join()
        self._door.close()

    def _listen(self) -> None:
        """Take what it says at once: a daemon that nobody hears waits until somebody does."""
        while said := self._door.recv(4096):
            self._said.put(said.decode())

    def _replace(self, name: str, text: str) -> None:
        (self.folder / f"{name}.new").write_text(text)
        os.replace(self.folder / f"{name}.new", self.folder / name)


@pytest.fixture
def run(tmp_path: Path, notification_hub: Emulator) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []
    # A socket's name is short: pytest's own folders are too deep for it.
    import tempfile

    with tempfile.TemporaryDirectory() as folder:

        def start(name: str = "notify", **settings: Any) -> Running:
            running.append(Running(Path(folder), notification_hub, name, **settings))
            return running[-1]

        yield start
        for daemon in running:
            daemon.close()


@pytest.fixture
def listening() -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A manager's socket, and the environment that names it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(f"{folder}/notify")
        door.settimeout(HANG_SECONDS)
        yield door, {"NOTIFY_SOCKET": f"{folder}/notify"}


def test_daemon_is_ready_after_its_first_turn_and_follows_the_channel_file(
    run: Callable[..., Running],
) -> None:
    daemon = run()
    said = daemon.hears("READY=1")
    assert "STATUS=registered, 2 requests" in said
    daemon.give("handle-2")
    assert happens(lambda: bool(daemon.channel() == "handle-2"))
    daemon.hears("STATUS=updated, 1 requests")


def test_daemon_is_ready_though_the_hub_is_away_and_goes_on(run: Callable[..., Running]) -> None:
    daemon = run(
        NHAGENT_CONNECTION_STRING="Endpoint=sb://127.0.0.1:9/;SharedAccessKeyName=L;SharedAccessKey=QQ=="
    )
    said = daemon.hears("READY=1")
    assert "STATUS=waiting: no answer from 127.0.0.1:9" in said
    daemon.hears("STATUS=waiting")
    assert daemon.process.poll() is None


def test_daemon_does_not_exit_for_credentials_that_are_missing_or_refused(
    run: Callable[..., Running],
) -> None:
    daemon = run(NHAGENT_CONNECTION_STRING="")
    assert "STATUS=refused: no connection string was found" in daemon.hears("READY=1")
    assert daemon.process.poll() is None


def test_signal_ends_the_wait_between_two_looks(run: Callable[..., Running]) -> None:
    """Eight signals are obeyed before somebody who waits as long between two looks has looked four times."""
    daemon = run(WATCHDOG_USEC="0")
    daemon.hears("READY=1")
    looks, ended = 0, Event()

    def look() -> None:
        nonlocal looks
        while not ended.wait(LOOK_SECONDS):
            looks += 1

    looker = Thread(target=look)
    looker.start()
    for _ in range(4):
        daemon.send(signal.SIGHUP)
        daemon.hears("STATUS=configuration read again")
        daemon.hears("STATUS=unchanged")
        daemon.send(signal.SIGUSR1)
        daemon.hears("STATUS=unchanged")
    seen = looks
    ended.set()
    looker.join()
    assert seen < 4


def test_poke_is_obeyed_whatever_is_due(run: Callable[..., Running]) -> None:
    """Its channel is of a kind that it does not look at: the next turn without a poke is minutes away."""
    daemon = run()
    daemon.hears("READY=1")
    command = json.dumps(["cat", str(daemon.folder / "channel")])
    text = CONFIG.format(hub=daemon.hub.hub, tags="[]").replace('file = "channel"', f"command = {command}")
    daemon.configure(text=text)
    daemon.send(signal.SIGHUP)
    daemon.hears("STATUS=updated")
    daemon.give("handle-2")
    daemon.looks_around(2)
    assert daemon.channel() == "handle-1"
    daemon.send(signal.SIGUSR1)
    assert happens(lambda: bool(daemon.channel() == "handle-2"))


def test_signals_that_come_before_the_daemon_listens_are_kept_until_then(tmp_path: Path) -> None:
    """It tells of its imports, and of its configuration's long path, into a pipe that the test lets fill."""
    folder = tmp_path.joinpath(*["long" * 50] * 8)
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("app = 7")
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "nhagent", "run", "--config", folder / "config.toml"],
        stderr=subprocess.PIPE, pipesize=4096, bufsize=0,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while not process.stderr.readline().rstrip().endswith(b" nhagent.device.paths"):
            assert process.poll() is None
        for number in (signal.SIGUSR1, signal.SIGHUP):
            process.send_signal(number)
        _, said = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 78, said
    assert b"hub: is missing" in said
    if sys.platform == "linux":
        assert len(said) > 4096, "it had come to its end before the signals came"


def test_stop_is_obeyed_in_the_middle_of_an_exchange_too(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.hub.fail("*", delay=HELD_SECONDS)
    daemon.hub.clear_log()
    daemon.give("handle-2")
    daemon.send(signal.SIGUSR1)
    assert happens(lambda: len(daemon.hub.log()) == 1)
    heard_before = len(daemon.heard)
    daemon.send(signal.SIGTERM)
    assert daemon.process.wait(HANG_SECONDS) == 0
    daemon.hears("STOPPING=1")
    assert not any("STATUS=" in said for said in daemon.heard[heard_before:]), "the exchange came to an end"


def test_stop_does_not_wait_for_a_channel_command(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    begun = daemon.folder / "begun"
    command = json.dumps(["sh", "-c", f"echo >'{begun}'; exec sleep {HELD_SECONDS}"])
    text = CONFIG.format(hub=daemon.hub.hub, tags="[]").replace('file = "channel"', f"command = {command}")
    daemon.configure(text=text)
    daemon.send(signal.SIGHUP)
    assert happens(begun.exists)
    daemon.send(signal.SIGTERM)
    assert daemon.process.wait(HANG_SECONDS) == 0
    daemon.hears("STATUS=configuration read again")
    heard_before = len(daemon.heard)
    daemon.hears("STOPPING=1")
    assert not any("STATUS=" in said for said in daemon.heard[heard_before:]), "the command came to an end"


def test_daemon_that_is_killed_comes_back_as_itself(run: Callable[..., Running]) -> None:
    first = run()
    first.hears("READY=1")
    first.send(signal.SIGKILL)
    first.process.wait()
    [before] = first.hub.contents()["installations"]
    first.listens_no_more()
    (first.folder / "notify").unlink()
    second = run()
    assert "STATUS=unchanged, 0 requests" in second.hears("READY=1")
    assert second.hub.contents()["installations"] == [before]


def test_reload_takes_a_good_configuration_and_keeps_the_old_one_for_a_bad(
    run: Callable[..., Running],
) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.configure(("cellar",))
    daemon.send(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in daemon.hears("RELOADING=1")
    daemon.hears("STATUS=configuration read again")
    assert happens(lambda: daemon.hub.contents()["installations"][0].get("tags") == ["cellar"])
    daemon.configure(text="app = 7")
    daemon.send(signal.SIGHUP)
    assert "is not used" in daemon.hears("STATUS=the new configuration")
    assert "; the new configuration is not used: " in daemon.hears("STATUS=unchanged")
    assert daemon.process.poll() is None
    assert "the old one stays" in daemon.log.read_text()
    daemon.give("handle-2")
    assert happens(lambda: bool(daemon.channel() == "handle-2"))
    daemon.configure()
    daemon.send(signal.SIGHUP)
    daemon.hears("STATUS=configuration read again")
    assert "is not used" not in daemon.hears("STATUS=updated")


@pytest.mark.parametrize(
    "text", [f"every = {'1' * 5000}", "a = " + "[" * 100_000, "\0"], ids=["digits", "depth", "nul"]
)
def test_reload_of_whatever_makes_no_sense_keeps_the_old_configuration(
    run: Callable[..., Running], text: str
) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.configure(text=text)
    daemon.send(signal.SIGHUP)
    assert "is not valid TOML" in daemon.hears("STATUS=the new configuration is not used")
    daemon.give("handle-2")
    assert happens(lambda: bool(daemon.channel() == "handle-2"))


def test_configuration_under_a_name_that_is_no_text_is_reloaded(run: Callable[..., Running]) -> None:
    daemon = run(folder_name=b"conf\xff")
    daemon.hears("READY=1")
    daemon.configure(text="app = 7")
    daemon.send(signal.SIGHUP)
    assert "conf\\udcff" in daemon.hears("STATUS=the new configuration is not used")
    daemon.configure()
    daemon.send(signal.SIGHUP)
    daemon.hears("STATUS=configuration read again")


def test_watchdog_hears_from_the_loop_as_often_as_it_wants(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.looks_around(4)


def test_watchdog_is_told_after_each_wait_and_none_is_longer_than_half_its_time(
    tmp_path: Path, notification_hub: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    (tmp_path / "channel").write_text("handle-1")
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", notification_hub.listen)
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    said: list[str] = []
    waits: list[float] = []
    unheard = 0

    def sleep(seconds: float) -> None:
        nonlocal unheard
        unheard += not any("WATCHDOG=1" in each for each in said)
        said.clear()
        waits.append(seconds)
        if len(waits) == 50:
            raise _Over

    daemon = Daemon(str(config), notify=said.append, sleep=sleep)
    try:
        with pytest.raises(_Over):
            daemon.run()
    finally:
        as_before()
    assert unheard == 0
    assert max(waits) <= 0.3


def test_configuration_that_cannot_be_read_at_the_start_is_78(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("app = 7")
    result = subprocess.run(
        [sys.executable, "-m", "nhagent", "run", "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=HANG_SECONDS,
    )  # fmt: skip
    assert result.returncode == 78
    assert "hub: is missing" in result.stderr


def test_journal_lines_carry_their_priorities(tmp_path: Path, notification_hub: Emulator) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    log = tmp_path / "journal"
    with open(log, "w") as stream:
        facts = os.fstat(stream.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "nhagent", "run", "--config", str(config)],
            env={
                **os.environ,
                "JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}",
                "NHAGENT_STATE_DIR": str(tmp_path / "state"),
                "NHAGENT_CONNECTION_STRING": notification_hub.listen,
            },
            stderr=stream,
        )
    assert happens(lambda: "nhagent.commands.daemon: waiting" in log.read_text())
    process.send_signal(signal.SIGTERM)
    process.wait(HANG_SECONDS)
    lines = log.read_text().splitlines()
    assert all(line.startswith(("<3>", "<4>", "<6>")) for line in lines)
    assert any(line.startswith("<4>nhagent.commands.daemon: waiting") for line in lines)


def test_priorities_stand_before_every_line() -> None:
    form = log_lines.JournalFormatter("%(message)s")
    for level, mark in ((logging.ERROR, "<3>"), (logging.INFO, "<6>"), (logging.DEBUG, "<7>")):
        record = logging.LogRecord("n", level, "f", 1, "a\nb", (), None)
        assert form.format(record) == f"{mark}a\n{mark}b"


def test_nobody_listening_is_no_failure(tmp_path: Path) -> None:
    assert not systemd.notify("READY=1", {})
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "absent")})
    assert systemd.watchdog_seconds({}) is None
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}) is None
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": "1000000"}) == 1.0
    assert not systemd.writes_to_journal({"JOURNAL_STREAM": "nonsense"})


def test_wish_that_a_command_leaves_is_obeyed_at_the_next_look(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.hub.fail("DELETE", status=503, times=999)  # whichever of the two is first to send it
    assert daemon.command("unregister", "--timeout", "0") == 75
    daemon.hub.clear_faults()
    daemon.hears("STATUS=disabled")
    assert daemon.channel() is None
    assert daemon.command("enable") == 0
    daemon.hears("STATUS=registered")
    assert daemon.channel() == "handle-1"


def test_record_that_a_command_finds_lost_is_written_anew_at_the_next_look(
    run: Callable[..., Running],
) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.hub.forget(installation=daemon.hub.contents()["installations"][0]["installationId"])
    assert daemon.command("verify") == 1
    daemon.hears("STATUS=")
    assert happens(lambda: bool(daemon.channel() == "handle-1"))


def test_two_daemons_over_one_folder_do_not_wake_each_other_for_ever(run: Callable[..., Running]) -> None:
    first, second = run(), run("other")
    first.hears("READY=1")
    second.hears("READY=1")
    first.hub.fail("*", status=503, times=99)
    first.hub.clear_log()
    first.give("handle-2")
    first.hears("STATUS=waiting")
    for each in (first, second):
        each.looks_around(12)
    assert len(first.hub.log()) <= 8


def test_what_the_daemon_itself_writes_wakes_nobody(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.looks_around(10)
    daemon.send(signal.SIGTERM)
    daemon.hears("STOPPING=1")
    assert sum("STATUS=" in said for said in daemon.heard) == 1


def test_long_words_of_a_hub_do_not_keep_systemd_from_hearing_that_it_is_ready(
    run: Callable[..., Running], notification_hub: Emulator
) -> None:
    words = "wörd " * 4000
    notification_hub.fail("*", status=400, body=f"<Error><Code>400</Code><Detail>{words}</Detail></Error>")
    said = run().hears("READY=1")
    assert said.startswith("READY=1\nWATCHDOG=1\nSTATUS=refused: ")
    assert len(said.encode()) < 600


def test_systemd_hears_a_bounded_text_whatever_is_said(
    listening: tuple[socket.socket, dict[str, str]],
) -> None:
    door, environ = listening
    assert systemd.notify(f"READY=1\nSTATUS=\udcff{'ü' * 5000}", environ)
    said = door.recv(99999).decode()
    assert said.startswith("READY=1\nSTATUS=\\udcffü")
    assert said.endswith("ü…")
    assert 490 < len(said.partition("\n")[2].encode()) <= 500
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": "/\0"})


class _Over(BaseException):
    """The story is over."""


def as_before() -> None:
    """Signals mean again what they mean to a process of tests."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_a_day_of_the_daemon_costs_what_it_should(tmp_path: Path, notification_hub: Emulator) -> None:
    """Ten days in fake time: one registration, one look at it, a refresh a day; no busy loop."""
    (tmp_path / "config.toml").write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    (tmp_path / "channel").write_text("handle-1")
    os.environ |= {
        "NHAGENT_CONNECTION_STRING": notification_hub.listen,
        "NHAGENT_STATE_DIR": str(tmp_path / "state"),
    }
    began = datetime.now(UTC)
    lived = 0.0
    waits: list[float] = []
    told: list[str] = []

    def sleep(seconds: float) -> None:
        nonlocal lived
        lived += seconds
        waits.append(seconds)
        notification_hub.set_clock(lived)
        if lived > 10 * DAY:
            raise _Over

    def read(path: str | None) -> Setup:
        return read_setup(path, clock=lambda: began + timedelta(seconds=lived))

    daemon = Daemon(str(tmp_path / "config.toml"), notify=told.append, sleep=sleep, read=read)
    try:
        with pytest.raises(_Over):
            daemon.run()
    finally:
        as_before()
        del os.environ["NHAGENT_CONNECTION_STRING"], os.environ["NHAGENT_STATE_DIR"]
    methods = [entry.method for entry in notification_hub.log()]
    assert methods[:3] == ["GET", "PUT", "GET"]
    assert set(methods[3:]) == {"PUT"}
    assert len(methods[3:]) in {9, 10}
    assert max(waits) <= 2.0
    turns = [said for said in told if "STATUS=" in said]
    assert len(turns) < 30, "a turn only when something is due"
    assert backoff.LONGEST_WAIT_SECONDS == 900


def test_refused_configuration_leaves_the_look_at_a_first_registration_pending(
    tmp_path: Path, notification_hub: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    (tmp_path / "channel").write_text("handle-1")
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", notification_hub.listen)
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    waits = 0

    def sleep(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            config.write_text("app = 7")
            os.kill(os.getpid(), signal.SIGHUP)
        if waits > 1200:
            raise _Over

    told: list[str] = []
    daemon = Daemon(str(config), notify=told.append, sleep=sleep)
    try:
        with pytest.raises(_Over):
            daemon.run()
    finally:
        as_before()
    assert any("is not used" in said for said in told)
    assert [entry.method for entry in notification_hub.log()] == ["GET", "PUT", "GET"]


def test_daemon_needs_a_configuration_that_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        Daemon(str(tmp_path / "absent.toml"))


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root gives a process its own DNS"
)
@pytest.mark.slow
def test_name_server_that_is_dead_holds_up_neither_a_stop_nor_a_deadline(tmp_path: Path) -> None:
    config, resolver, log = tmp_path / "config.toml", tmp_path / "resolv.conf", tmp_path / "log"
    config.write_text(CONFIG.format(hub="my-hub", tags="[]"))
    (tmp_path / "channel").write_text("handle")
    resolver.write_text("nameserver 127.9.9.9\noptions timeout:30 attempts:5\n")  # a look-up lasts minutes
    listen = "Endpoint=sb://nowhere.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=c2Vj"
    environment = {
        **{name: text for name, text in os.environ.items() if not name.lower().endswith("_proxy")},
        "NHAGENT_STATE_DIR": str(tmp_path / "state"),
        "NHAGENT_CONNECTION_STRING": listen,
        "NHAGENT": f"{sys.executable} -m nhagent",
        "RESOLVER": str(resolver),
    }

    def run(arguments: str) -> subprocess.Popen[bytes]:
        inside = f'mount --bind "$RESOLVER" /etc/resolv.conf || exit 99; exec $NHAGENT {arguments}'
        with log.open("w") as stream:
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", inside], env=environment, cwd=tmp_path, stderr=stream
            )

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.9.9.9", 53))
        mute.settimeout(HANG_SECONDS)
        register = run("register --config config.toml --timeout 1")
        if register.wait(HANG_SECONDS) == 99:
            pytest.skip("this machine allows no mounts")
        assert register.returncode == 75, log.read_text()
        while select.select([mute], [], [], 0)[0]:
            mute.recv(1024)
        daemon = run("run --config config.toml")
        mute.recv(1024)  # it is asked for a name
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(HANG_SECONDS) == 0
        assert "waiting" not in log.read_text(), "the look-up was given up first"
        assert "stopping" in log.read_text()
