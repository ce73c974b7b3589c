"""The fixtures for other people's tests: an agent in such a test sees the emulated hub, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest

from nhagent import Agent
from nhagent.device.paths import keep_out, state_folder, users_data_folder
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, Unauthorized
from tests.read_only_ring import ReadOnlyRing


def persons_ring(asked: list[str]) -> ReadOnlyRing:
    """The key ring of whoever runs the tests."""

    def read(_: str, username: str) -> str:
        asked.append(username)
        return "Endpoint=sb://real.example;SharedAccessKeyName=Listen;SharedAccessKey=YQ=="

    return ReadOnlyRing(read)


@pytest.fixture
def persons_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What the machine has of its own: a key ring, a configuration, credentials and a state folder."""
    asked: list[str] = []
    before = keyring.get_keyring()
    keyring.set_keyring(persons_ring(asked))
    for name in (
        "CREDENTIALS_DIRECTORY",
        "NHAGENT_CONNECTION_STRING_FILE",
        "STATE_DIRECTORY",
        "NHAGENT_CONFIG",
    ):
        monkeypatch.setenv(name, str(tmp_path / "real"))
    (tmp_path / "real").mkdir()
    yield asked
    keyring.set_keyring(before)


def agent(**changes: Any) -> Agent:
    """The app's agent, made as the app makes it."""
    return Agent(
        **{"app": "thermostat", "hub": "emulated-hub", "platform": "gcm", "channel": "handle", **changes}
    )


def test_agent_finds_the_hub_and_a_folder_of_the_tests_own(
    persons_machine: list[str], notification_hub: Emulator, nhagent_state_dir: Path, tmp_path: Path
) -> None:
    report = agent().start()
    assert report.outcome == "registered"
    assert [entry.method for entry in notification_hub.log()] == ["GET", "PUT"]
    assert Path(agent().state_folder).is_relative_to(nhagent_state_dir)
    assert list((tmp_path / "real").iterdir()) == []
    assert persons_machine == []


def test_agent_over_tls_finds_the_hub_by_itself(
    persons_machine: list[str], tls_notification_hub: Emulator
) -> None:
    assert agent(ca_bundle=tls_notification_hub.ca).start().outcome == "registered"
    assert persons_machine == []


def test_key_that_is_refused_is_not_replaced_by_one_of_the_machine(
    persons_machine: list[str], notification_hub: Emulator
) -> None:
    notification_hub.fail("*", status=401, times=9)
    with pytest.raises(Unauthorized):
        agent().start()
    assert persons_machine == []


def test_what_the_machine_has_is_there_again_afterwards(
    persons_machine: list[str], notification_hub: Emulator
) -> None:
    from nhagent.device.key_ring import hide_key_ring

    hidden = keyring.get_keyring()
    assert type(hidden).__module__ == "keyring.backends.fail"
    assert "NHAGENT_CONNECTION_STRING" in os.environ
    keyring.set_keyring(persons_ring(persons_machine))
    bring_back = hide_key_ring()
    assert isinstance(keyring.get_keyring(), type(hidden))
    bring_back()
    assert isinstance(keyring.get_keyring(), ReadOnlyRing)


@pytest.mark.parametrize("given", ["nothing", "argument", "below", "variable"])
def test_an_agent_that_would_write_to_the_real_data_folder_is_refused(
    notification_hub: Emulator, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    real = users_data_folder()
    before = os.path.exists(real)
    monkeypatch.delenv("NHAGENT_STATE_DIR")
    changes = {"argument": {"state_dir": real}, "below": {"state_dir": os.path.join(real, "mine")}}
    if given == "variable":
        monkeypatch.setenv("STATE_DIRECTORY", real)
    with pytest.raises(ConfigurationError) as caught:
        agent(**changes.get(given, {})).start()
    assert "is the real data folder of whoever runs this test" in caught.value.fact
    assert "state_dir=tmp_path" in caught.value.hint
    assert notification_hub.log() == []
    assert os.path.exists(real) is before


def test_the_real_data_folder_is_allowed_again_afterwards(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "")
    monkeypatch.delenv("NHAGENT_STATE_DIR", raising=False)
    allow = keep_out(str(tmp_path))
    assert state_folder(f"{tmp_path}-beside") == f"{tmp_path}-beside"
    with pytest.raises(ConfigurationError):
        state_folder(str(tmp_path))
    allow()
    assert state_folder(str(tmp_path)) == str(tmp_path)
    assert state_folder(None) == users_data_folder()


def test_state_folder_alone_is_there_without_a_hub(nhagent_state_dir: Path) -> None:
    assert os.environ["NHAGENT_STATE_DIR"] == str(nhagent_state_dir)
    assert "NHAGENT_CONNECTION_STRING" not in os.environ
