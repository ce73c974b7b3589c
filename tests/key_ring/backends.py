"""Key rings as others write them: good ones, broken ones, and ones that must not be used.

They are loaded by keyring itself, in the processes of the tests alone: chosen by $PYTHON_KEYRING_BACKEND, or
found by an entry point, and then only those that $INSTALLED_KEY_RINGS names are viable.
"""

from __future__ import annotations

import json
import os
import sys
import time
from multiprocessing.connection import Client
from typing import Any, NoReturn

import keyring.errors
from keyring.backend import KeyringBackend


class _Installed:
    def __get__(self, instance: object, owner: type) -> float:
        installed = os.environ.get("INSTALLED_KEY_RINGS")
        if installed is None:
            return 1
        priorities: dict[str, float] = json.loads(installed)
        if owner.__name__ not in priorities:
            raise RuntimeError("is not installed")
        return priorities[owner.__name__]


class InMemory(KeyringBackend):
    """Keeps all in the memory of the test: `memory` is the port that it listens at."""

    priority = _Installed()
    memory: str

    def get_password(self, service: str, username: str) -> str | None:
        text: str | None = self._asked("get", service, username)
        return text

    def set_password(self, service: str, username: str, password: str) -> None:
        self._asked("set", service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._asked("delete", service, username)

    def _asked(self, *question: str) -> Any:
        with Client(("127.0.0.1", int(self.memory))) as connection:
            connection.send(question)
            return connection.recv()


class InMemoryToo(InMemory):
    """A second way to the same memory."""


class PlaintextKeyring(KeyringBackend):
    """Writes what it is given to a file, as keyrings.alt's of this name does."""

    priority = _Installed()

    def get_password(self, service: str, username: str) -> str | None:
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        with open("plain-text", "a") as file:
            print(service, username, password, file=file)

    def delete_password(self, service: str, username: str) -> None:
        raise keyring.errors.PasswordDeleteError("there is none")


class NotSoPlain(PlaintextKeyring):
    """Goes by another name, and keeps what the other keeps."""


class DBusErrorResponse(Exception):
    """What D-Bus libraries raise: of no common root."""


class Faulty(KeyringBackend):
    """Raises whatever `fault` says, or else the name of the app, at every call.

    `silent` never answers, `slow` not before there is a file `go on`.
    """

    priority = _Installed()
    fault = ""

    def get_password(self, service: str, username: str) -> str | None:
        self._fail(username, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail(username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._fail(username, username)

    def _fail(self, username: str, told: str) -> NoReturn:
        fault = self.fault or username.partition("/")[0]
        match fault:
            case "silent":
                time.sleep(600)
            case "slow":
                while not os.path.exists("go on"):
                    time.sleep(0.01)
            case "prompt":
                input("Password for the key ring: ")
            case "exit":
                sys.exit(f"cannot go on with {told}")
            case "empty":
                raise RuntimeError
            case "long":
                raise RuntimeError("no " * 1000)
            case "lines":
                raise RuntimeError(f"first line\nsecond line {told}")
            case "secret":
                raise ValueError(f"cannot keep {told!r}")
            case "key":
                raise ValueError(f"bad padding in {told.rpartition('=')[2]}")
            case "bus":
                raise DBusErrorResponse("[org.freedesktop.DBus.Error.NoReply]", ("no reply",))
            case "os":
                raise ConnectionRefusedError(111, "Connection refused")
        kind: type[Exception] = getattr(keyring.errors, fault, None) or RuntimeError
        raise kind("in its own words")


class Locked(Faulty):
    """Is always locked."""

    fault = "KeyringLocked"


class NotSetUp(Faulty):
    """Has never been set up."""

    fault = "InitError"


class Forgetful(KeyringBackend):
    """Takes everything and keeps nothing."""

    priority = _Installed()

    def get_password(self, service: str, username: str) -> str | None:
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class _InstalledAndMute(_Installed):
    def __get__(self, instance: object, owner: type) -> float:
        priority = super().__get__(instance, owner)
        time.sleep(600)
        return priority


class Mute(Forgetful):
    """Cannot even say how good it is: its bus takes the connection, and then says nothing."""

    priority = _InstalledAndMute()
