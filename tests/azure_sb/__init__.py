"""Asking azure-sb, the older official Node client, whose understanding of the protocol is not ours."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nhagent.emulator import Emulator
from tests.children import answer_of, cannot

FOLDER = Path(__file__).parent


def require_client() -> None:
    """Skip the test when the client is not installed; under ``NHAGENT_CI=1`` fail it."""
    if shutil.which("node") is None:
        cannot("node is not installed")
    if not (FOLDER / "node_modules" / "azure-sb").is_dir():
        cannot("azure-sb is not installed: npm install --prefix tests/azure_sb")


@dataclass(frozen=True)
class Call:
    """A call of one of its methods.

    Attributes:
        method: ``name`` of the notification hub service, or ``wns.name``.
        arguments: without the callback; see ``client.cjs`` for references to earlier answers.
        sync: whether the method returns its value at once.
    """

    method: str
    arguments: Sequence[Any] = ()
    sync: bool = False

    def as_json(self) -> dict[str, Any]:
        service, _, method = self.method.rpartition(".")
        given = {"method": method, "arguments": list(self.arguments), "sync": self.sync}
        return given | ({"service": service} if service else {})


def call(emulator: Emulator, calls: Sequence[Call]) -> list[dict[str, Any]]:
    """Make calls, one after the other, in one process.

    Returns:
        For each call ``ok`` with its ``value``, or with ``statusCode`` and ``message``.
    """
    found = _ask(emulator, {"calls": [each.as_json() for each in calls]})["answers"]
    assert isinstance(found, list)
    return found


def methods(emulator: Emulator) -> set[str]:
    """The names of every public method, as `Call` has them."""
    found = _ask(emulator, {"walk": True})
    return {f"{service}.{name}".lstrip(".") for service, names in found.items() for name in names}


def _ask(emulator: Emulator, request: dict[str, Any]) -> Any:
    require_client()
    # It takes no host without a dot; the certificate is valid for this one too.
    connection_string = emulator.full.replace("localhost", "127.0.0.1")
    given = {"connectionString": connection_string, "hub": emulator.hub, **request}
    return answer_of(["node", str(FOLDER / "client.cjs")], given, ca=emulator.ca)
