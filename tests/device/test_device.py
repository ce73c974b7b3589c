"""What the device remembers and provides: files, the lock, credentials, channel sources, folders."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.channels import simple
from nhagent.channels import source as channel_source
from nhagent.device import credential_sources, key_ring, paths
from nhagent.device.accepted import Accepted, Deletion, Sweep
from nhagent.device.document import Malformed
from nhagent.device.state import Identity, RetryState, State
from nhagent.device.store import IDENTITY, STATE, Store
from nhagent.errors import (
    ChannelError,
    ConfigurationError,
    CredentialError,
    StateLocked,
    StateUnwritable,
)
from nhagent.models import BrowserChannel, Platform
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FULL = State(
    declaration={"tags": ["a"]},
    channels={"wns": {"channel": "c"}},
    accepted=Accepted(
        "installation",
        {"installation": {"installationId": "x"}},
        frozenset({"installation"}),
        (Deletion("installation", "old"),),
        (Sweep("wns", "c"),),
        NOW,
        NOW,
    ),
    foreign=("theirs",),
    expired=("dead",),
    retry=RetryState("Unauthorized", 2, NOW, "blocked", NOW),
    early_starts=3,
    verified_at=NOW,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "state" / "app" / "hub"))


def test_what_is_saved_is_loaded(store: Store) -> None:
    assert store.load().identity is None
    with store.lock(1):
        store.save_identity(Identity("device", "ns", disabled=True))
        store.save_state(FULL)
    memory = store.load()
    assert memory.identity == Identity("device", "ns", disabled=True)
    assert (memory.state, memory.unreadable) == (FULL, ())
    assert sorted(os.listdir(store.folder)) == [IDENTITY, "lock", STATE]


def test_failed_write_leaves_the_old_document(store: Store) -> None:
    with store.lock(1):
        store.save_state(FULL)
        os.mkdir(os.path.join(store.folder, f"{STATE}.new"))
        with pytest.raises(StateUnwritable, match=r"make room|may write"):
            store.save_state(State())
    assert store.load().state == FULL


def test_absent_unreadable_and_newer_files_are_told_apart(store: Store) -> None:
    with store.lock(1):
        pass
    state = Path(store.folder, STATE)
    assert store.load().unreadable == ()
    for torn in (
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": 0}',
        b'{"schema": "1"}',
    ):
        state.write_bytes(torn)
        memory = store.load()
        assert (memory.unreadable, memory.state) == ((STATE,), State()), torn
    state.write_text(json.dumps({**FULL.to_json(), "schema": 2, "later": 1}))
    read = store.load().state
    assert (read.accepted.partial, read.extra) == (True, {"schema": 2, "later": 1})
    assert read.to_json() == {**FULL.to_json(), "schema": 2, "later": 1}


def test_folder_in_place_of_a_file_is_unreadable_and_set_aside(store: Store) -> None:
    with store.lock(1):
        os.mkdir(os.path.join(store.folder, STATE))
        assert store.load().unreadable == (STATE,)
        assert store.keep_aside(STATE, NOW) == "state.20260102T030405000000.json"
        assert store.keep_aside(IDENTITY, NOW) is None
    assert store.load().unreadable == ()


def test_unreadable_file_stays_in_its_place_until_its_successor_takes_it(store: Store) -> None:
    with store.lock(1):
        Path(store.folder, STATE).write_text("{ torn")
        assert store.keep_aside(STATE, NOW) is not None
        assert store.load().unreadable == (STATE,), "a power cut now must not make it an absent one"
        store.save_state(FULL)
    assert Path(store.folder, "state.20260102T030405000000.json").read_text() == "{ torn"


@given(st.dictionaries(st.sampled_from([*FULL.to_json(), "later"]), st.none() | st.integers() | st.text()))
def test_whatever_stands_in_a_state_file_is_read_or_unreadable(damage: dict[str, Any]) -> None:
    try:
        State.from_json({**FULL.to_json(), **damage})
    except Malformed:
        assert damage
    else:
        assert not {"records", "in_doubt", "leaving"} & damage.keys()


def test_lock_is_for_one_at_a_time_and_says_so(store: Store, tmp_path: Path) -> None:
    waits: list[float] = []
    other = Store(store.folder, sleep=waits.append)
    with store.lock(1):
        with pytest.raises(StateLocked, match="another process of this app"), other.lock(0.1):
            pass
        assert 5 <= len(waits) <= 6
    with other.lock(0):
        pass
    assert Path(store.folder, "lock").exists(), "a lock file that is removed parts two waiting processes"


def test_lock_of_a_killed_process_is_free(store: Store) -> None:
    program = textwrap.dedent(
        """
        import os, sys, signal
        from nhagent.device.store import Store
        with Store(sys.argv[1]).lock(1):
            print("locked", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    subprocess.run([sys.executable, "-c", program, store.folder], check=False, capture_output=True)
    with store.lock(0):
        pass


def test_folder_that_cannot_be_made_is_unwritable(unwritable: Path) -> None:
    store = Store(str(unwritable))
    assert store.load().identity is None
    with pytest.raises(StateUnwritable, match="Not a directory"), store.lock(1):
        pass


def find_at_no_cost(environment: dict[str, str]) -> credential_sources.FoundCredential | None:
    """What the first of the sources gives that cost nothing."""
    sources = (
        credential_sources.find_in_systemd,
        credential_sources.find_in_file,
        credential_sources.find_in_environment,
    )
    return next((found for found in (find(environment) for find in sources) if found is not None), None)


def test_connection_string_is_found_in_the_order_of_the_chain(
    tmp_path: Path, secret_file: Callable[[str], str]
) -> None:
    environment = {"NHAGENT_CONNECTION_STRING": " by environment "}
    found = find_at_no_cost(environment)
    assert found is not None
    assert (found.text, found.source) == (" by environment ", "$NHAGENT_CONNECTION_STRING")
    assert "by environment" not in repr(found)
    environment["NHAGENT_CONNECTION_STRING_FILE"] = secret_file("by file\n")
    found = find_at_no_cost(environment)
    assert found is not None
    assert found.text == "by file"
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert find_at_no_cost(environment) == found, "systemd gave others"
    (tmp_path / "nhagent.connection-string").write_text("by systemd")
    found = find_at_no_cost(environment)
    assert found is not None
    assert found.text == "by systemd"
    assert find_at_no_cost({}) is None


def test_file_that_others_may_read_is_refused(secret_file: Callable[[str], str]) -> None:
    path = secret_file("secret-text")
    for mode, words in ((0o640, "chmod 600"), (0o604, "chmod 600")):
        os.chmod(path, mode)
        with pytest.raises(CredentialError, match=words) as caught:
            find_at_no_cost({"NHAGENT_CONNECTION_STRING_FILE": path})
        assert "secret-text" not in str(caught.value)
    with pytest.raises(CredentialError, match="check the path"):
        find_at_no_cost({"NHAGENT_CONNECTION_STRING_FILE": path + ".absent"})


def test_without_any_source_the_error_names_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(CredentialError, match="NHAGENT_CONNECTION_STRING"):
        key_ring.find_in_keyring("app", "hub")


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
    path.write_text('{"endpoint": "https://b", "keys": {"p256dh": "cHVi", "auth": "c2Vj"}}')
    assert ask(source, Platform.BROWSER) == BrowserChannel("https://b", "cHVi", "c2Vj")
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


def test_connection_string_from_an_editor_that_marks_its_files_is_read(
    secret_file: Callable[[str], str],
) -> None:
    found = credential_sources.find_in_file(
        {"NHAGENT_CONNECTION_STRING_FILE": secret_file("\ufeffby file\r\n")}
    )
    assert found is not None
    assert found.text == "by file"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets not everybody make links")
def test_link_to_a_regular_file_is_as_good_as_the_file(
    tmp_path: Path, secret_file: Callable[[str], str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file("what is held"))
    assert ask(simple.from_file(str(link))) == "what is held"
    found = credential_sources.find_in_file({"NHAGENT_CONNECTION_STRING_FILE": str(link)})
    assert found is not None
    assert found.text == "what is held"


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


def test_state_folder_is_found_in_order_and_never_relative(tmp_path: Path) -> None:
    environment = {"NHAGENT_STATE_DIR": "/by/environment", "STATE_DIRECTORY": "/by/systemd:/and/another"}
    assert paths.state_folder(tmp_path, environment) == str(tmp_path)
    assert paths.state_folder(None, environment) == "/by/environment"
    del environment["NHAGENT_STATE_DIR"]
    assert paths.state_folder(None, environment) == "/by/systemd"
    assert os.path.isabs(paths.state_folder(None, {}))
    for relative in ({"NHAGENT_STATE_DIR": "here"}, {"STATE_DIRECTORY": "here"}):
        with pytest.raises(ConfigurationError, match="relative; give its absolute path"):
            paths.state_folder(None, relative)
    with pytest.raises(ConfigurationError, match="state_dir 'here'"):
        paths.state_folder("here", {})


@given(app=st.text(min_size=1), hub=st.text(min_size=1))
def test_device_folder_never_leaves_the_state_folder(app: str, hub: str) -> None:
    folder = paths.device_folder("/state", app, hub)
    assert os.path.normpath(folder) == folder
    assert folder.count("/") == 3


def test_two_apps_and_two_hubs_have_folders_of_their_own() -> None:
    folders = {paths.device_folder("/s", app, hub) for app in ("a", "b", ".", "..") for hub in ("x", "y")}
    assert len(folders) == 8
    assert paths.device_folder("/s", "a", "My-Hub") == paths.device_folder("/s", "a", "my-hub")
