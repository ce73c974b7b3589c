from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from nhagent.emulator import Emulator

from .caller import Caller, wns


def test_a_file_keeps_hub_keys_and_installations(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.db")
    with Emulator("my-hub", data=data, rules={"Extra": ["Send"]}) as first:
        port = int(first.endpoint.rpartition(":")[2])
        strings = (first.listen, first.full)
        with Caller(first.endpoint, first.listen, first.hub) as hub:
            hub.put(wns(tags=["a"]))
            before = hub.get().json
    with Emulator("MY-HUB", data=data, port=port) as second:
        assert (second.listen, second.full) == strings
        assert second.connection_string("Extra")
        with Caller(second.endpoint, strings[0], "my-hub") as hub:
            assert hub.get().json == before


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    data = tmp_path / "hub.db"
    with (
        Emulator(data=str(data)) as emulator,
        Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub,
    ):
        hub.put(wns())
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}
    assert [file.name for file in tmp_path.iterdir()] == ["hub.db"]


def test_a_rules_rights_are_those_of_the_last_run_that_named_it(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.db")
    with Emulator(data=data, rules={"Extra": ["Send"]}) as first:
        key = first.connection_string("Extra").rpartition(";")[2]
    with Emulator(data=data, rules={"Extra": ["Listen"]}) as second:
        assert second.connection_string("Extra").endswith(key)
        with Caller(second.endpoint, second.connection_string("Extra"), second.hub) as hub:
            assert hub.put(wns()).status == 200


def test_a_file_that_is_not_this_hubs_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "hub.db"
    with Emulator("one", data=str(data)):
        pass
    with pytest.raises(ValueError, match="holds the hub 'one', not 'two'"):
        Emulator("two", data=str(data)).start()
    text = tmp_path / "text"
    text.write_text("no database at all, but long enough to be taken for the head of one" * 10)
    with pytest.raises(ValueError, match="no emulator data file"):
        Emulator(data=str(text)).start()
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE t (x)")
        database.commit()
    with pytest.raises(ValueError, match="not a data file of this version"):
        Emulator(data=str(other)).start()


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Emulator(data=str(tmp_path / "none" / "hub.db")).start()
