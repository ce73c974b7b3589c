"""Key rings that must not be used, and key rings that fail: each is told, none is trusted, none stops us."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from nhagent.errors import CredentialError, KeyringLocked
from tests.events import happens

from .machine import KeyRingProcess, Machine, key_of

pytestmark = pytest.mark.slow

SECRET = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=c2VjcmV0"
NEXT_STEP = r"nhagent login|nhagent vault init|\$NHAGENT_CONNECTION_STRING_FILE|then try again|repair it"


def refusals(process: KeyRingProcess, *, app: str = "app", removing: bool = True) -> list[CredentialError]:
    """What finding, storing and removing are answered with, each of which must be told with the next step."""
    told = []
    asks: list[Callable[[], object]] = [
        lambda: process.find(app, "hub"),
        lambda: process.store(app, "hub", SECRET),
        lambda: process.remove(app, "hub"),
    ]
    for ask in asks if removing else asks[:2]:
        with pytest.raises(CredentialError, match=NEXT_STEP) as caught:
            ask()
        assert len(str(caught.value)) < 400
        told.append(caught.value)
    return told


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("keyring.backends.null.Keyring", "keeps nothing"),
        ("PlaintextKeyring", "would keep the connection string in plain text"),
        ("NotSoPlain", "would keep the connection string in plain text"),
    ],
)
def test_key_ring_that_keeps_nothing_or_keeps_it_readable_is_refused(
    machine: Machine, notification_hub: Emulator, backend: str, why: str
) -> None:
    machine.takes(backend)
    with machine.process() as process:
        for error in refusals(process):
            assert why in str(error)
    machine.belongs_to(notification_hub)
    login = machine.run("login", "--json", stdin=notification_hub.listen)
    assert (login.code, login.error["type"], why in login.error["message"]) == (78, "CredentialError", True)
    assert key_of(notification_hub.listen).encode() not in machine.all_it_keeps()


def test_plain_text_that_is_merely_installed_is_refused_and_beside_others_passed_over(
    machine: Machine, memory: str
) -> None:
    machine.has_key_rings(PlaintextKeyring=9)
    with pytest.raises(
        CredentialError, match='in plain text; take another \\("nhagent vault init" makes one'
    ):
        machine.store(SECRET)
    machine.has_vault()
    assert machine.store(SECRET) == "Vault", "the advice was followed"
    machine.has_key_rings(PlaintextKeyring=9, NotSoPlain=8, InMemory=7)
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    assert machine.store("in memory") == "InMemory"
    assert machine.find() == "in memory"
    assert machine.remove() == ["InMemory", "Vault"]
    assert b"c2VjcmV0" not in machine.all_it_keeps()
    assert not Path(machine.folder, "plain-text").exists()


def test_fail_backend_is_no_key_ring(machine: Machine) -> None:
    machine.takes("keyring.backends.fail.Keyring")
    with machine.process() as process:
        with pytest.raises(CredentialError, match='run "nhagent login"'):
            process.find("app", "hub")
        with pytest.raises(CredentialError, match="there is none on this machine"):
            process.store("app", "hub", SECRET)
        assert process.remove("app", "hub") == []


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("InMemory", "RuntimeError: is not installed"),
        ("NoSuchClass", "AttributeError"),
        ("no.such.module.Keyring", "ModuleNotFoundError"),
        ("tests.key_ring.backends.", "AttributeError"),
        ("keyring.backends.Windows.WinVaultKeyring", "RuntimeError: Requires Windows"),
    ],
)
def test_named_key_ring_that_cannot_be_used_is_told(machine: Machine, backend: str, words: str) -> None:
    machine.takes(backend)
    machine.environment["INSTALLED_KEY_RINGS"] = "{}"
    with machine.process() as process:
        for error in refusals(process):
            assert words in str(error) and "correct $PYTHON_KEYRING_BACKEND" in str(error)


def test_settings_of_keyring_that_are_broken_are_told(machine: Machine) -> None:
    program = "from keyring.util import platform_; print(platform_.config_root())"
    folder = Path(machine.python("-c", program).out.strip())
    folder.mkdir(parents=True)
    for settings in ("no section", "[backend]\ndefault-keyring=no.such.Keyring\n"):
        (folder / "keyringrc.cfg").write_text(settings)
        with machine.process() as process:
            for error in refusals(process):
                assert "keyringrc.cfg" in str(error)


def test_keyring_that_cannot_be_imported_is_told(machine: Machine) -> None:
    broken = machine.folder / "broken"
    broken.mkdir()
    (broken / "keyring.py").write_text("raise ImportError('half an upgrade')")
    machine.environment["PYTHONPATH"] += os.pathsep + str(broken)
    with machine.process() as process:
        for error in refusals(process):
            assert "keyring cannot be used (ImportError: half an upgrade)" in str(error)


FAULTS = {
    "InitError": "has not been set up for this user",
    "NoKeyringError": "none is available",
    "PasswordSetError": "failed (PasswordSetError: in its own words)",
    "RuntimeError": "failed (RuntimeError: in its own words)",
    "bus": "failed (DBusErrorResponse: ",
    "os": "failed (ConnectionRefusedError: [Errno 111] Connection refused)",
    "prompt": "failed (EOFError: EOF when reading a line)",
    "exit": "failed (SystemExit: ",
    "empty": "failed (RuntimeError)",
    "long": "failed (RuntimeError: no no no",
    "lines": "failed (RuntimeError: first line second line …",
    "secret": "failed (ValueError: cannot keep …)",
    "key": "failed (ValueError: bad padding in …)",
}


def test_whatever_a_key_ring_raises_is_told_with_the_next_step(machine: Machine) -> None:
    machine.takes("Faulty")
    with machine.process() as process:
        for fault, words in FAULTS.items():
            holds_nothing = fault == "InitError"
            for error in refusals(process, app=fault, removing=not holds_nothing):
                assert f"key ring Faulty: {words}" in str(error)
                assert not isinstance(error, KeyringLocked)
    assert "c2VjcmV0" not in "".join(machine.shown)
    assert b"c2VjcmV0" not in machine.all_it_keeps()


def test_locked_key_ring_is_told_as_locked(machine: Machine) -> None:
    machine.takes("Locked")
    with machine.process() as process:
        for error in refusals(process):
            assert isinstance(error, KeyringLocked)
            assert "key ring Locked: is locked (KeyringLocked: in its own words); unlock it" in str(error)


def test_key_ring_that_never_answers_is_as_good_as_locked(machine: Machine) -> None:
    machine.takes("Faulty")
    with machine.process() as process:
        with pytest.raises(CredentialError, match="RuntimeError"):
            process.find("RuntimeError", "hub")  # from here on the key ring is loaded, and only it takes time
        with pytest.raises(KeyringLocked, match=r"gave no answer within 0\.3 s; .*unlock it, then try"):
            process.find("silent", "hub", seconds=0.3)
        assert process.threads() == 2
        for ask in (
            lambda: process.find("silent", "hub"),
            lambda: process.store("silent", "hub", SECRET),
            lambda: process.remove("silent", "hub"),
        ):
            with pytest.raises(KeyringLocked, match=r"still gives no answer .*unlock it, then try again"):
                ask()
        assert process.threads() == 2, "a key ring that hangs is not called again"


def test_key_ring_that_answers_late_is_asked_again(machine: Machine) -> None:
    machine.takes("Faulty")
    with machine.process() as process:
        with pytest.raises(CredentialError, match="RuntimeError"):
            process.find("RuntimeError", "hub")
        with pytest.raises(KeyringLocked, match="gave no answer"):
            process.find("slow", "hub", seconds=0.05)
        (machine.folder / "go on").touch()
        assert happens(lambda: process.threads() == 1)
        with pytest.raises(CredentialError, match="RuntimeError"):
            process.find("RuntimeError", "hub")


def test_key_ring_that_hangs_takes_no_more_than_the_time_for_all(machine: Machine, memory: str) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(InMemory=5)
    machine.store("in memory", app="silent")
    machine.has_key_rings(Faulty=9, InMemory=5)
    with machine.process() as process:
        with pytest.raises(CredentialError, match="RuntimeError"):
            process.find("RuntimeError", "hub")
        assert process.find("silent", "my-hub", seconds=1) == "in memory"
        assert process.find("silent", "my-hub") == "in memory", "what hangs is passed over at once"


def test_search_for_a_key_ring_that_never_ends_is_given_up(machine: Machine) -> None:
    machine.takes("Mute")
    with machine.process() as process:
        with pytest.raises(KeyringLocked, match=r"key ring: none was found within 0\.3 s.*; try again"):
            process.find("app", "hub", seconds=0.3)
        for _ in range(2):
            with pytest.raises(KeyringLocked, match=r"key ring: none was found yet.*; try again"):
                process.find("app", "hub")
        assert process.threads() == 2


def test_start_waits_for_a_key_ring_that_hangs_no_longer_than_its_deadline(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.takes("Faulty", fault="silent")
    machine.belongs_to(notification_hub)
    register = machine.run("register", "--json", "--timeout", "0")
    assert (register.code, register.error["type"]) == (75, "KeyringLocked")
    within = re.search(r"gave no answer within ([\d.]+) s", register.error["message"])
    assert within is not None
    assert float(within[1]) <= 5, "an exchange is given 5 s at the least, and a key ring no more"
    assert notification_hub.log() == []


def test_key_ring_that_asks_on_standard_input_stops_no_command(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.takes("Faulty", fault="prompt")
    machine.belongs_to(notification_hub)
    register = machine.run("register", "--json")
    assert (register.code, register.error["type"]) == (78, "CredentialError")
    assert "EOFError" in register.error["message"]
    assert notification_hub.log() == []


def test_key_ring_that_drops_what_it_is_given_is_found_out(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.takes("Forgetful")
    machine.belongs_to(notification_hub)
    login = machine.run("login", "--json", stdin=notification_hub.listen)
    assert (login.code, login.error["type"]) == (78, "CredentialError")
    assert "key ring Forgetful: did not keep what was stored; repair it" in login.error["message"]


def test_second_key_ring_is_asked_when_the_first_is_locked(machine: Machine, memory: str) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(InMemory=5)
    machine.store("in memory")
    machine.has_key_rings(Locked=9, InMemory=5)
    with machine.process() as process:
        assert process.find("thermostat", "my-hub") == "in memory"
        with pytest.raises(KeyringLocked, match="key ring Locked"):
            process.find("another", "hub")
        with pytest.raises(KeyringLocked, match="key ring Locked"):
            process.store("thermostat", "my-hub", "what the locked one might hide")
        with pytest.raises(KeyringLocked, match="key ring Locked"):
            process.remove("thermostat", "my-hub")


def test_logout_goes_on_past_a_locked_key_ring_and_says_what_remains(machine: Machine, memory: str) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(InMemory=5)
    machine.store("in memory")
    machine.has_key_rings(Locked=9, InMemory=5)
    with machine.process() as process:
        with pytest.raises(KeyringLocked) as caught:
            process.remove("thermostat", "my-hub")
        assert str(caught.value).startswith("key ring Locked: is locked")
        assert str(caught.value).endswith(
            "it was removed from the key ring InMemory, but what Locked may hold of it remains"
        )
        with pytest.raises(KeyringLocked, match="try again; what Locked may hold of it remains"):
            process.remove("thermostat", "my-hub")
    machine.has_key_rings(InMemory=5)
    with pytest.raises(CredentialError, match='run "nhagent login"'):
        machine.find()


def test_key_of_the_second_key_ring_is_tried_when_the_hub_refuses_that_of_the_first(
    machine: Machine, memory: str, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    machine.has_vault(to_be_found=False)
    machine.store(notification_hub.listen, hub=notification_hub.hub)
    del machine.environment["PYTHON_KEYRING_BACKEND"]
    machine.has_key_rings(InMemory=5)
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    dead = notification_hub.listen.replace(key_of(notification_hub.listen), "ZGVhZA==")
    assert machine.store(dead, hub=notification_hub.hub) == "InMemory"
    register = machine.run("register", "--json")
    assert (register.code, register.document["outcome"]) == (0, "registered"), register.err
    assert [entry.status for entry in notification_hub.log()] == [401, 200, 200]
    assert machine.remove(hub=notification_hub.hub) == ["InMemory", "Vault"]


def test_key_that_every_key_ring_holds_is_tried_once(
    machine: Machine, memory: str, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(InMemory=5, InMemoryToo=4)
    dead = notification_hub.listen.replace(key_of(notification_hub.listen), "ZGVhZA==")
    machine.store(dead, hub=notification_hub.hub)
    register = machine.run("register", "--json")
    assert (register.code, register.error["type"]) == (77, "Unauthorized")
    assert [entry.status for entry in notification_hub.log()] == [401]


def test_key_ring_that_was_never_set_up_is_passed_over(machine: Machine, memory: str) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(NotSetUp=9, InMemory=5)
    with machine.process() as process:
        assert process.store("app", "hub", "text") == "InMemory"
        assert process.find("app", "hub") == "text"
        assert process.remove("app", "hub") == ["InMemory"]
        with pytest.raises(CredentialError, match="key ring NotSetUp: has not been set up"):
            process.find("app", "hub")
