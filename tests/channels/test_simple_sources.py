"""Channel sources of a file, a variable, a credential, a command and a plug-in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nhagent.channels import simple
from nhagent.channels import source as channel_source
from nhagent.device import credential_sources
from nhagent.errors import (
    ChannelError,
    CredentialError,
)
from nhagent.models import BrowserChannel, Platform
from tests.events import HANG_SECONDS, HELD_SECONDS, happens
from tests.subscriptions import AUTH, KEYS, P256DH


def ask(source: channel_source.ChannelSource, platform: Platform = Platform.GCM) -> Any:
    """What a source gives; None where it has nothing to give yet."""
    try:
        return channel_source.ask(source, platform, "channel")
    except ChannelError as error:
        if error.pending:
            return None
        raise


def test_file_source_reads_what_stands_there_now(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    source = simple.from_file(str(path))
    assert ask(source) is None
    path.write_text("\ufeff handle-1\r\n", encoding="utf-8")
    assert ask(source) == "handle-1"
    path.write_text(" \n")
    assert ask(source) is None
    path.write_text(json.dumps({"endpoint": "https://b", "keys": KEYS}))
    assert ask(source, Platform.BROWSER) == BrowserChannel("https://b", P256DH, AUTH)
    for content, words in (
        (b"\xff\xff", "no text"),
        (b"x" * 70_000, "more than"),
        (b"a\nb", "several lines"),
    ):
        path.write_bytes(content)
        with pytest.raises(ChannelError, match=words):
            ask(source)


@pytest.fixture(params=["folder", "fifo", "socket", "device"])
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What is no regular file, its owner's alone where that can be. Opening it may wait for ever."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such files among the others")
    path = tmp_path / "irregular"
    with socket.socket(socket.AF_UNIX) as door, contextlib.chdir(tmp_path):  # a socket's name is short
        match request.param:
            case "folder":
                path.mkdir(0o700)
            case "fifo":
                os.mkfifo(path, 0o600)
            case "socket":
                door.bind(path.name)
                path.chmod(0o600)
            case _:
                path = Path("/dev/null")
        yield str(path)


def test_what_is_no_regular_file_is_told_and_not_waited_for(irregular: str, tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match=r"is not a regular file; name one") as caught:
        ask(simple.from_file(irregular))
    assert not caught.value.pending
    with pytest.raises(CredentialError, match=r"is not a regular file; name one"):
        credential_sources.find_in_file({"NHAGENT_CONNECTION_STRING_FILE": irregular})
    link = tmp_path / credential_sources.SYSTEMD_CREDENTIAL
    link.symlink_to(irregular)
    with pytest.raises(CredentialError, match=r"is not a regular file; name one"):
        credential_sources.find_in_systemd({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_command_source_runs_a_program_without_a_shell() -> None:
    def python(program: str, timeout: float = 10) -> channel_source.ChannelSource:
        return simple.from_command([sys.executable, "-c", program], timeout)

    assert ask(python("print('handle')")) == "handle"
    assert ask(python("")) is None
    for source, words in (
        (python("raise SystemExit(3)"), "status 3"),
        (python(f"import time; time.sleep({HELD_SECONDS})", 0.2), "within 0.2 s"),
        (simple.from_command(["/does/not/exist; true"]), "cannot be run"),
    ):
        with pytest.raises(ChannelError, match=words):
            ask(source)


class Alive:
    """A pipe that a command and all that it starts hold open: its end shows that none of them is left."""

    def __init__(self, path: Path, pipe: int) -> None:
        self._pipe = pipe
        self.holding = f"exec 9>'{path}'; echo >&9"
        """What makes a shell hold it, and say so."""

    def begins(self) -> bool:
        return self._comes_to(lambda said: bool(said))

    def ends(self) -> bool:
        return self._comes_to(lambda said: said == b"")

    def _comes_to(self, wanted: Callable[[bytes | None], bool]) -> bool:
        def has_come() -> bool:
            try:
                said = os.read(self._pipe, 100)
            except BlockingIOError:
                said = None
            return wanted(said)

        return happens(has_come)


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[Alive]:
    if sys.platform == "win32":
        pytest.skip("Windows has neither such pipes nor groups of processes")
    path = tmp_path / "alive"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield Alive(path, pipe)
    os.close(pipe)


@pytest.mark.slow
def test_command_that_takes_too_long_leaves_nothing_behind(alive: Alive) -> None:
    source = simple.from_command(["sh", "-c", f"{alive.holding}; sleep {HELD_SECONDS}; echo x"], 0.3)
    with pytest.raises(ChannelError, match=r"within 0\.3 s"):
        ask(source)
    assert alive.ends()


def test_command_that_leaves_a_child_with_its_output_is_not_waited_for(alive: Alive, tmp_path: Path) -> None:
    goes_on = tmp_path / "goes on"
    goes_on.touch()
    left = f"while [ -e '{goes_on}' ]; do sleep 0.1; done"
    try:
        assert ask(simple.from_command(["sh", "-c", f"{alive.holding}; {left} & echo handle"])) == "handle"
        assert alive.begins()
    finally:
        goes_on.unlink()
    assert alive.ends()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, though whoever started the tests in the background had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_the_command_and_what_it_started(alive: Alive) -> None:
    command = ["sh", "-c", f"{alive.holding}; sleep {HANG_SECONDS}; echo x"]
    source = simple.from_command(command, HELD_SECONDS)

    def interrupt() -> None:
        alive.begins()
        time.sleep(0.2)  # it is waited for by then
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        source()
    interrupter.join()
    assert alive.ends()


def test_environment_credential_and_plugin_sources(tmp_path: Path) -> None:
    assert ask(simple.from_environment("HANDLE", {"HANDLE": "h"})) == "h"
    assert ask(simple.from_environment("HANDLE", {})) is None
    (tmp_path / "fcm").write_text("h")
    assert ask(simple.from_credential("fcm", {"CREDENTIALS_DIRECTORY": str(tmp_path)})) == "h"
    with pytest.raises(ChannelError, match="LoadCredential=fcm"):
        ask(simple.from_credential("fcm", {}))
    assert ask(simple.from_plugin("platform:node")) is not None
    with pytest.raises(ChannelError, match="ModuleNotFoundError"):
        ask(simple.from_plugin("no_such_module:channel"))


@pytest.mark.parametrize("given", [7, b"bytes", ["list"], object()])
def test_source_that_gives_no_channel_is_named(given: Any) -> None:
    with pytest.raises(ChannelError, match=f"channel: its source gave a {type(given).__name__}"):
        ask(lambda: given)
