"""What the device remembers: files, the lock, folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.device import paths
from nhagent.device.accepted import Accepted, Deletion, Sweep
from nhagent.device.document import Malformed
from nhagent.device.state import Identity, RetryState, State
from nhagent.device.store import IDENTITY, STATE, Store
from nhagent.errors import (
    ConfigurationError,
    StateLocked,
    StateUnwritable,
)

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
