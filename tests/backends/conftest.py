from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, Backend, Report
from nhagent.emulator.tls import server_context
from tests.backend_double import TOKEN, BackendDouble


@dataclass
class Phone:
    """A device that holds no key of the hub. Its attributes are what the world gives it."""

    backend: BackendDouble
    folder: Path
    channel: str = "https://push.example/1"
    tags: list[str] = field(default_factory=lambda: ["kitchen"])
    token: Any = TOKEN
    ca: str | None = None
    offset: timedelta = timedelta()

    def agent(self, **changes: Any) -> Agent:
        where = Backend("hub", self.backend.url, token=self.token, ca_bundle=self.ca)
        settings: dict[str, Any] = {
            "app": "thermostat",
            "hub": where,
            "platform": "wns",
            "channel": lambda: self.channel,
            "tags": self.tags,
            "state_dir": self.folder,
            "clock": lambda: datetime.now(UTC) + self.offset,
            "sleep": lambda _: None,
            "random": lambda: 0.5,
        }
        return Agent(**{**settings, **changes})

    def start(self, **changes: Any) -> Report:
        return self.agent(**changes).start(timeout=0)

    def held(self) -> list[dict[str, Any]]:
        installations: list[dict[str, Any]] = self.backend.contents()["installations"]
        return installations

    def seen(self) -> list[tuple[str, int]]:
        """What the backend was asked since this was last called."""
        entries = [(entry.method, entry.status) for entry in self.backend.log()]
        self.backend.clear_log()
        return entries


@pytest.fixture
def backend() -> Iterator[BackendDouble]:
    with BackendDouble() as running:
        yield running


@pytest.fixture
def phone(backend: BackendDouble, tmp_path: Path) -> Phone:
    return Phone(backend, tmp_path / "state")


@pytest.fixture
def tls_phone(tmp_path: Path) -> Iterator[Phone]:
    """The same over TLS, with a certificate of an authority of the tests' own."""
    folder = tmp_path / "authority"
    folder.mkdir()
    context: ssl.SSLContext = server_context("127.0.0.1", folder)
    with BackendDouble(context) as running:
        yield Phone(running, tmp_path / "state", ca=str(folder / "ca.pem"))
