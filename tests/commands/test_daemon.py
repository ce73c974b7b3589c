"""The daemon: what it says to systemd, what wakes it, and what it survives."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from nhagent.commands.daemon import LOOK_SECONDS, Daemon
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from tests.commands.running import CONFIG, Running
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)


def test_daemon_is_ready_after_its_first_turn_and_follows_the_channel_file(
    run: Callable[..., Running],
) -> None:
    daemon = run()
    said = daemon.hears("READY=1")
    assert "STATUS=registered, 2 requests" in said
    daemon.give("handle-2")
    assert happens(lambda: bool(daemon.channel() == "handle-2"))
    daemon.hears("STATUS=updated, 1 request;")


@pytest.mark.slow
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
    assert "STATUS=failed: no connection string was found" in daemon.hears("READY=1")
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_watchdog_hears_from_the_loop_as_often_as_it_wants(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.looks_around(4)


def test_configuration_that_cannot_be_read_at_the_start_is_78(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("app = 7")
    result = subprocess.run(
        [sys.executable, "-m", "nhagent", "run", "--config", str(config)],
        capture_output=True, text=True, check=False, timeout=HANG_SECONDS,
    )  # fmt: skip
    assert result.returncode == 78
    assert "hub: is missing" in result.stderr


@pytest.mark.slow
def test_wish_that_a_command_leaves_is_obeyed_at_the_next_look(run: Callable[..., Running]) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.hub.fail("DELETE", status=503, times=999)  # whichever of the two is first to send it
    assert daemon.command("unregister", "--timeout", "0") == 75
    daemon.hub.clear_faults()
    daemon.hears("STATUS=disabled")
    assert daemon.channel() is None
    assert daemon.command("enable") == 0
    assert daemon.channel() == "handle-1"
    daemon.hears("STATUS=")


def test_record_that_a_command_finds_lost_is_written_anew_at_the_next_look(
    run: Callable[..., Running],
) -> None:
    daemon = run()
    daemon.hears("READY=1")
    daemon.hub.forget(installation=daemon.hub.contents()["installations"][0]["installationId"])
    assert daemon.command("verify") == 1
    daemon.hears("STATUS=")
    assert happens(lambda: bool(daemon.channel() == "handle-1"))


@pytest.mark.slow
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


@pytest.mark.slow
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
    said_by_hub = f"<Error><Code>400</Code><Detail>{words}</Detail></Error>"
    notification_hub.fail("*", status=400, times=9, body=said_by_hub)
    said = run().hears("READY=1")
    assert said.startswith("READY=1\nWATCHDOG=1\nSTATUS=refused: ")
    assert len(said.encode()) < 600


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
