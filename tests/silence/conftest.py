"""The world with its secrets, for every test of this folder."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nhagent.emulator import Emulator

# An assertion that fails in one of these shows its values, as it does in a test.
pytest.register_assert_rewrite(*(f"tests.silence.{name}" for name in ("marks", "provoking", "world")))

from .world import World  # noqa: E402 - only what is imported after that is rewritten


@pytest.fixture
def world(
    notification_hub: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.delenv("NHAGENT_CONNECTION_STRING")  # a key ring is met only where there is none
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "nhagent")
    return World(notification_hub, tmp_path / "state", caplog)
