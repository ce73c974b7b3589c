"""Clients of the service that others have published on PyPI, each called in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nhagent.emulator import Emulator
from tests.children import answer_of, cannot

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv/bin/python"


def why_missing() -> str | None:
    """Return why the clients cannot be called here; None: they can."""
    if PYTHON.exists():
        return None
    return (
        "the clients are not installed: python3 -m venv tests/python_clients/.venv && "
        "tests/python_clients/.venv/bin/pip install -r tests/python_clients/requirements.txt"
    )


def require_clients() -> None:
    """Skip the test where the clients are not installed; under ``NHAGENT_CI=1`` fail it."""
    reason = why_missing()
    if reason is not None:
        cannot(reason)


def call(client: str, emulator: Emulator, calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make calls, one after the other, in one process.

    Args:
        client: ``rest`` or ``unofficial``.
        emulator: whom to ask, with all rights.
        calls: see ``driver.py``.
    """
    require_clients()
    request = {
        "client": client,
        "connectionString": emulator.full,
        "hub": emulator.hub,
        "calls": list(calls),
    }
    found = answer_of([str(PYTHON), str(FOLDER / "driver.py")], request, ca=emulator.ca)["answers"]
    assert isinstance(found, list)
    return found


def methods(client: str) -> set[str]:
    """The names of a client's public methods, and of its factories of notifications."""
    require_clients()
    return set(
        answer_of([str(PYTHON), str(FOLDER / "driver.py")], {"client": client, "walk": True})["methods"]
    )
