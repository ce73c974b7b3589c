"""A pytest plug-in: a notification hub for your own tests.

Its fixtures exist as soon as nhagent is installed beside pytest, and an agent made in such a test needs no
more than the app does: it finds the hub's key and a state folder of its own, and nothing of the machine's.

    def test_my_device_registers(notification_hub):
        Agent(app="thermostat", hub=notification_hub.hub, platform="wns", channel="https://…").start()
        assert len(notification_hub.contents()["installations"]) == 1
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from nhagent.emulator import Emulator

_SOURCES: Final = (
    "CREDENTIALS_DIRECTORY",
    "NHAGENT_CONFIG",
    "NHAGENT_CONNECTION_STRING_FILE",
    "NHAGENT_VAULT_KEY_FILE",
    "STATE_DIRECTORY",
)
"""Variables that lead to the machine's own settings."""
_NO_KEY_RING: Final = "keyring.backends.fail.Keyring"


@pytest.fixture
def nhagent_state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that agents of this test keep their state in: $NHAGENT_STATE_DIR."""
    folder = tmp_path / "nhagent-state"
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def notification_hub(_nothing_of_the_machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """Provide an emulated hub on loopback over plain http: empty at first, closed after the test.

    $NHAGENT_CONNECTION_STRING holds its listen-only key, and $NHAGENT_STATE_DIR a folder of the test's own.
    Other sources of connection strings are hidden.
    """
    from nhagent.emulator import Emulator

    with Emulator() as emulator:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", emulator.listen)
        yield emulator


@pytest.fixture
def tls_notification_hub(
    _nothing_of_the_machine: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emulator]:
    """Provide the same over TLS. Give its ``ca`` to an agent as ``ca_bundle``.

    Where a test has both, $NHAGENT_CONNECTION_STRING is that of the one that comes last.
    """
    from nhagent.emulator import Emulator

    with Emulator(tls=True) as emulator:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", emulator.listen)
        yield emulator


@pytest.fixture
def _nothing_of_the_machine(
    nhagent_state_dir: Path,  # noqa: ARG001 - it sets the variable
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Hide the machine's connection strings, configuration, state folders and key rings.

    An agent that would keep its state in the real data folder of whoever runs the tests is refused.
    """
    for name in _SOURCES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", _NO_KEY_RING)  # where keyring has chosen none yet
    from nhagent.device.key_ring import hide_key_ring
    from nhagent.device.paths import keep_out, users_data_folder

    bring_back, allow = hide_key_ring(), keep_out(users_data_folder())
    yield
    allow()
    bring_back()
