"""``login`` as a person or a script runs it: what it takes, what it refuses, and how it asks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nhagent.emulator import Emulator
from nhagent.errors import CredentialError

from .machine import SECONDS, Machine, key_of, killed_after

pytestmark = pytest.mark.slow


@pytest.fixture
def device(machine: Machine, notification_hub: Emulator) -> Machine:
    machine.has_vault(to_be_found=False)
    machine.belongs_to(notification_hub)
    return machine


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ("FULL", "CredentialError", "may do more than listen"),
        ("LISTEN;EntityPath=another-hub", "ConfigurationError", 'is for hub "another-hub"'),
        ("", "ConfigurationError", "nothing was given; paste it, or pipe it to stdin"),
        (" \r\n", "ConfigurationError", "nothing was given"),
        ("nonsense", "ConfigurationError", 'part 1 is not "Name=value"'),
        ("Endpoint=sb://x;SharedAccessKey=KEY", "ConfigurationError", "SharedAccessKeyName is missing"),
        ("Endpoint=http://x/;SharedAccessKeyName=a;SharedAccessKey=KEY", "ConfigurationError", "plain http"),
        ("LISTEN;" + "x" * 20_000, "ConfigurationError", "is longer than any"),
        (b"Endpoint=\xff\xfe", "ConfigurationError", "is not text; copy it again"),
    ],
    ids=["full", "hub", "empty", "blank", "nonsense", "part", "http", "long", "bytes"],
)
def test_login_refuses_what_a_device_must_not_have_and_stores_nothing(
    device: Machine, notification_hub: Emulator, given: str | bytes, kind: str, words: str
) -> None:
    secret = key_of(notification_hub.listen)
    if isinstance(given, str):
        for name, text in (
            ("FULL", notification_hub.full),
            ("LISTEN", notification_hub.listen),
            ("KEY", secret),
        ):
            given = given.replace(name, text)
    login = device.run("login", "--json", stdin=given)
    assert (login.code, login.error["type"], login.error["retryable"]) == (78, kind, False)
    assert words in login.error["message"]
    assert not device.vault_file.exists()
    for text in (secret, key_of(notification_hub.full)):
        assert text not in "".join(device.shown)


def test_bytes_that_are_no_text_are_refused_by_a_strict_standard_input_too(device: Machine) -> None:
    device.environment["PYTHONIOENCODING"] = "utf-8:strict"
    login = device.run("login", "--json", stdin=b"Endpoint=\xff\xfe")
    assert (login.code, "is not text; copy it again" in login.error["message"]) == (78, True)


def test_what_pasting_and_piping_add_is_not_stored(device: Machine, notification_hub: Emulator) -> None:
    given = f'\ufeff"{notification_hub.listen}";\r\n'
    assert device.run("login", stdin=given).code == 0
    assert device.find(hub=notification_hub.hub) == notification_hub.listen
    assert device.run("register").code == 0


def test_full_access_is_taken_when_it_is_asked_for_or_configured(
    device: Machine, notification_hub: Emulator
) -> None:
    login = device.run("login", "--json", "--allow-full-access", stdin=notification_hub.full)
    assert (login.code, login.document["key_name"]) == (0, "DefaultFullSharedAccessSignature")
    register = device.run("register", "--json")
    assert (register.code, "may do more than listen" in register.error["message"]) == (78, True)
    assert notification_hub.log() == []
    config = device.folder / "config.toml"
    config.write_text(config.read_text().replace("[device]", "allow_full_access = true\n[device]"))
    assert device.run("login", stdin=notification_hub.full).code == 0
    assert device.run("register").code == 0
    assert key_of(notification_hub.full) not in "".join(device.shown)


def test_login_tells_where_it_put_the_key_and_what_comes_before_it(
    device: Machine, notification_hub: Emulator
) -> None:
    login = device.run("login", stdin=notification_hub.listen)
    assert login.out.startswith(
        "stored in the key ring Vault: key 'DefaultListenSharedAccessSignature' at 127.0.0.1:"
    )
    assert "comes before the key ring" not in login.out
    assert (sys.platform == "win32") != ("systemctl kill -s USR1 nhagent" in login.out)
    device.environment["NHAGENT_CONNECTION_STRING"] = notification_hub.listen
    login = device.run("login", stdin=notification_hub.listen)
    assert "but $NHAGENT_CONNECTION_STRING comes before the key ring" in login.out
    logout = device.run("logout")
    assert logout.out.startswith("removed from the key ring Vault, for app 'thermostat'")
    assert device.run("logout").out.startswith("there was none for app 'thermostat'")
    assert key_of(notification_hub.listen) not in "".join(device.shown)


def test_connection_string_on_the_command_line_is_wrong_usage(
    device: Machine, notification_hub: Emulator
) -> None:
    for arguments in ((notification_hub.listen,), ("--connection-string", notification_hub.listen)):
        login = device.run("login", *arguments, stdin=notification_hub.listen)
        assert (login.code, "usage: nhagent" in login.err) == (2, True)
    assert not device.vault_file.exists()


def test_login_without_a_configuration_asks_for_nothing(machine: Machine) -> None:
    login = machine.run("login", "--json", stdin="what would be stored")
    assert (login.code, login.error["type"]) == (78, "ConfigurationError")
    assert "configuration file" in login.error["message"]


def test_login_with_a_closed_standard_input_is_given_nothing(device: Machine) -> None:
    program = (
        "import os, sys; os.close(0); os.execv(sys.executable, [sys.executable, '-m', 'nhagent', 'login'])"
    )
    done = device.python("-c", program)
    assert (done.code, "nothing was given" in done.err) == (78, True), done.err


if sys.platform != "win32":
    CONTROL_D = b"\x04"
    # The terminal becomes the process's own, as in a shell; getpass opens it by its name.
    IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "nhagent", "login"])
"""

    def login_in_a_terminal(device: Machine, typed: bytes) -> tuple[int, str]:
        """Type something when asked for it, and give the exit code and all that the terminal showed."""
        person, terminal = os.openpty()
        with (
            subprocess.Popen(
                [sys.executable, "-c", IN_A_TERMINAL],
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                env=device.environment,
                cwd=device.folder,
                start_new_session=True,
            ) as process,
            killed_after(SECONDS, process),
        ):
            os.close(terminal)
            shown = b""
            answered = False
            while True:
                try:
                    part = os.read(person, 1024)
                except OSError:  # Linux's way to say that nobody has the terminal any more
                    break
                if not part:
                    break
                shown += part
                if b"it is not shown): " in shown and not answered:
                    answered = True
                    os.write(person, typed)
            code = process.wait()
        os.close(person)
        return code, shown.decode()

    def test_login_in_a_terminal_asks_without_echo(device: Machine, notification_hub: Emulator) -> None:
        code, shown = login_in_a_terminal(device, notification_hub.listen.encode() + b"\n")
        assert code == 0, shown
        assert "Connection string (of a policy with Listen alone; it is not shown): " in shown
        assert "stored in the key ring Vault" in shown
        assert key_of(notification_hub.listen) not in shown
        assert device.find(hub=notification_hub.hub) == notification_hub.listen

    @pytest.mark.parametrize("typed", [b"\n", CONTROL_D])
    def test_login_in_a_terminal_that_is_given_nothing_stores_nothing(device: Machine, typed: bytes) -> None:
        code, shown = login_in_a_terminal(device, typed)
        assert (code, "nothing was given" in shown) == (78, True), shown
        with pytest.raises(CredentialError):
            device.find()
