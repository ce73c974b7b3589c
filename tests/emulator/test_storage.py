from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.hub.filters import read_filter
from nhagent.emulator.storage import Storage

from .caller import Caller, wns
from .describing import description_of, filtered, ids_of, on, template, windows


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
    with pytest.raises(ValueError, match="not an emulator data file"):
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


def test_a_file_keeps_registrations_and_ids_that_are_gone(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.db")
    with Emulator("my-hub", data=data) as first, Caller(first.endpoint, first.listen, "my-hub") as hub:
        for registration_id in ("1-1-1", "1-1-2", "1-1-3"):
            on(hub, "PUT", registration_id, template("Windows", "<Tags>a</Tags>"))
        on(hub, "DELETE", "1-1-3", if_match="*")
        first.forget(registration="1-1-2", gone=True)
        hub.put(wns())
        before = description_of(on(hub, "GET", "1-1-1"))
        installed = ids_of(filtered(hub, "ChannelUri eq 'https://x.notify.windows.com/?t=1'"))
    with Emulator("my-hub", data=data) as second, Caller(second.endpoint, second.listen, "my-hub") as hub:
        assert description_of(on(hub, "GET", "1-1-1")) == before
        assert on(hub, "PUT", "1-1-2", windows("https://c")).status == 410
        assert on(hub, "GET", "1-1-3").status == 404
        assert ids_of(filtered(hub, "ChannelUri eq 'https://x.notify.windows.com/?t=1'")) == installed


def test_a_file_of_an_earlier_format_is_refused_with_the_reason(tmp_path: Path) -> None:
    data = tmp_path / "hub.db"
    with Emulator(data=str(data)):
        pass
    with closing(sqlite3.connect(data)) as database:
        database.execute("PRAGMA user_version = 2")
        database.commit()
    with pytest.raises(ValueError, match="format 2 instead of 4"):
        Emulator(data=str(data)).start()


def test_a_channel_is_found_without_reading_the_other_registrations(tmp_path: Path) -> None:
    def plans(database: sqlite3.Connection, asked: list[str]) -> list[str]:
        rows = [row for query in asked for row in database.execute(f"EXPLAIN QUERY PLAN {query}")]
        return [str(row[-1]) for row in rows]

    data = str(tmp_path / "hub.db")
    storage = Storage(data, "my-hub", {})
    try:
        asked: list[str] = []
        storage.database.set_trace_callback(asked.append)
        for text in (
            "ChannelUri eq 'c'",
            "DeviceToken eq 'c'",
            "Endpoint eq 'e' and P256DH eq 'p' and Auth eq 'a'",
        ):
            storage.registrations.of_channel(read_filter(text), 0, 100)
            storage.registrations.of_channel(read_filter(text, lenient=True), 0, 100)
        storage.registrations.of_tag("a", 0, 100)
        storage.delete_expired("2044")
        storage.database.set_trace_callback(None)
        found = plans(storage.database, asked)
    finally:
        storage.close()
    assert sum("registrations_by_handle (handle=? AND number>?)" in plan for plan in found) == 6
    assert any("registration_tags USING PRIMARY KEY (tag=? AND number>?)" in plan for plan in found)
    assert sum("_by_expiration (expiration<?)" in plan for plan in found) == 2
    assert not [plan for plan in found if plan.startswith("SCAN")]
