"""The Secret Service of a Linux desktop: unlocked, locked, never set up, away, and gone in between."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from nhagent.emulator import Emulator
from nhagent.errors import CredentialError, KeyringLocked
from tests.events import happens

from .machine import Machine
from .secret_service import (
    SECRET_SERVICE,
    Session,
    locked_session,
    require_secret_service,
    session_without_a_secret_service,
    unlocked_session,
)

pytestmark = pytest.mark.slow

SECRET = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=c2VjcmV0"


@pytest.fixture(autouse=True)
def _nothing_shows_the_secret(machine: Machine) -> Iterator[None]:
    require_secret_service()
    yield
    assert "c2VjcmV0" not in "".join(machine.shown)
    assert b"c2VjcmV0" not in machine.all_it_keeps()


@pytest.fixture
def unlocked(machine: Machine) -> Iterator[Session]:
    machine.takes(SECRET_SERVICE)
    with unlocked_session(machine) as session:
        yield session


@pytest.fixture
def set_up(machine: Machine) -> None:
    """The machine's key ring has been set up, and holds a connection string."""
    with unlocked_session(machine):
        assert machine.store(SECRET) == "SecretService"


def test_next_session_of_the_same_user_reads_what_the_last_one_stored(machine: Machine, set_up: None) -> None:
    with unlocked_session(machine), machine.process() as process:
        assert process.find("thermostat", "my-hub") == SECRET
        with pytest.raises(CredentialError, match="no connection string was found"):
            process.find("another", "my-hub")


def test_locked_key_ring_is_told_as_locked(machine: Machine, set_up: None) -> None:
    with locked_session(machine), machine.process() as process:
        for ask in (
            lambda: process.find("thermostat", "my-hub"),
            lambda: process.store("thermostat", "my-hub", SECRET),
            lambda: process.remove("thermostat", "my-hub"),
        ):
            with pytest.raises(KeyringLocked, match=r"SecretService: is locked .*; unlock it, then"):
                ask()


def test_registering_with_a_locked_key_ring_waits_and_goes_on_once_it_is_unlocked(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    machine.takes(SECRET_SERVICE)
    with unlocked_session(machine):
        assert machine.run("login", stdin=notification_hub.listen).code == 0
    with locked_session(machine):
        waiting = machine.run("register", "--json")
        assert (waiting.code, waiting.document["outcome"]) == (75, "waiting")
        assert (waiting.error["type"], waiting.error["retryable"]) == ("KeyringLocked", True)
        assert "unlock it, then try again" in waiting.error["message"]
        login = machine.run("login", "--json", stdin=notification_hub.listen)
        assert (login.code, login.error["type"], login.error["retryable"]) == (75, "KeyringLocked", True)
    assert notification_hub.log() == []
    with unlocked_session(machine):
        assert machine.run("register", "--json").document["outcome"] == "registered"


def test_key_ring_that_was_never_set_up_is_told_with_the_next_step(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    with locked_session(machine):
        for arguments in (("register", "--json"), ("login", "--json")):
            done = machine.run(*arguments, stdin=notification_hub.listen)
            assert (done.code, done.error["type"], done.error["retryable"]) == (78, "CredentialError", False)
            assert "key ring SecretService: has not been set up for this user" in done.error["message"]
            assert 'run "nhagent vault init"' in done.error["message"]
        assert machine.run("logout", "--json").document["removed_from"] == [], "it holds nothing"


def test_vault_stands_in_for_a_key_ring_that_was_never_set_up(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    with locked_session(machine):
        machine.has_vault()
        login = machine.run("login", "--json", stdin=notification_hub.listen)
        assert (login.code, login.document["key_ring"]) == (0, "Vault"), login.err
        assert machine.run("register", "--json").document["outcome"] == "registered"
        assert machine.run("logout", "--json").document["removed_from"] == ["Vault"]


def test_vault_is_asked_when_the_key_ring_before_it_is_locked(machine: Machine, set_up: None) -> None:
    machine.has_vault()
    assert machine.store("from the vault") == "Vault"
    with locked_session(machine), machine.process() as process:
        assert process.find("thermostat", "my-hub") == "from the vault"
        with pytest.raises(KeyringLocked, match="SecretService"):
            process.find("another", "my-hub")
        with pytest.raises(KeyringLocked, match="SecretService"):
            process.store("thermostat", "my-hub", "what would be hidden once it is unlocked")
    with unlocked_session(machine), machine.process() as process:
        assert process.find("thermostat", "my-hub") == SECRET, "the desktop's comes first"
        assert process.remove("thermostat", "my-hub") == ["SecretService", "Vault"]


def test_session_without_a_secret_service_has_no_key_ring(machine: Machine) -> None:
    with session_without_a_secret_service(machine), machine.process() as process:
        with pytest.raises(CredentialError, match='run "nhagent login"'):
            process.find("app", "hub")
        with pytest.raises(CredentialError, match='there is none on this machine; run "nhagent vault init"'):
            process.store("app", "hub", SECRET)
        assert process.remove("app", "hub") == []


@pytest.mark.parametrize("address", [None, "unix:path=/nowhere/bus", "nonsense"])
def test_bus_that_is_not_there_is_no_key_ring(machine: Machine, address: str | None) -> None:
    if address is not None:
        machine.environment["DBUS_SESSION_BUS_ADDRESS"] = address
    with machine.process() as process:
        with pytest.raises(CredentialError, match="no connection string was found"):
            process.find("app", "hub")
        with pytest.raises(CredentialError, match="there is none on this machine"):
            process.store("app", "hub", SECRET)
    machine.takes(SECRET_SERVICE)
    with pytest.raises(CredentialError, match=r"correct \$PYTHON_KEYRING_BACKEND"):
        machine.find()


def test_bus_that_dies_in_between_is_told_with_the_next_step(machine: Machine, unlocked: Session) -> None:
    with machine.process() as process:
        process.store("app", "hub", SECRET)
        unlocked.end()
        for ask in (
            lambda: process.find("app", "hub"),
            lambda: process.store("app", "hub", SECRET),
            lambda: process.remove("app", "hub"),
        ):
            with pytest.raises(CredentialError, match=r"key ring SecretService: .*CONNECTION_STRING_FILE"):
                ask()


if sys.platform == "linux":

    def test_key_ring_that_dies_in_between_comes_back_locked(machine: Machine, unlocked: Session) -> None:
        with machine.process() as process:
            process.store("app", "hub", SECRET)
            os.kill(unlocked.daemon, signal.SIGKILL)
            with pytest.raises(CredentialError, match="key ring SecretService: "):
                process.find("app", "hub")

    def test_key_ring_that_does_not_answer_is_as_good_as_locked(machine: Machine, unlocked: Session) -> None:
        with machine.process() as process:
            process.store("app", "hub", SECRET)
            os.kill(unlocked.daemon, signal.SIGSTOP)
            try:
                with pytest.raises(KeyringLocked, match=r"gave no answer within 0\.5 s; .*try again"):
                    process.find("app", "hub", seconds=0.5)
            finally:
                os.kill(unlocked.daemon, signal.SIGCONT)
            assert happens(lambda: process.threads() == 1), "the call that was given up has no answer"
            assert process.find("app", "hub") == SECRET
