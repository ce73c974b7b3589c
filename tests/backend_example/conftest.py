from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from nhagent.emulator import Emulator

from .postgresql import new_database, require_server, server
from .running import Caller, RunningBackend, running

_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The folder of a server's socket."""
    require_server()
    with server() as folder:
        yield folder


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'backend.sqlite'}"
    return new_database(request.getfixturevalue("postgresql"), f"test_{next(_NUMBERS)}")


@pytest.fixture
def backend(tls_notification_hub: Emulator, database_url: str, tmp_path: Path) -> Iterator[RunningBackend]:
    """The backend before a hub, both over TLS."""
    with running(tls_notification_hub, database_url, tmp_path) as backend:
        yield backend


@pytest.fixture
def phone(backend: RunningBackend) -> Caller:
    """A device of anna's."""
    return backend.device_of("anna")


@pytest.fixture
def tablet(backend: RunningBackend) -> Caller:
    """Another one of anna's."""
    return backend.device_of("anna")


@pytest.fixture
def stranger(backend: RunningBackend) -> Caller:
    """A device of bob's."""
    return backend.device_of("bob")
