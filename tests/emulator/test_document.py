"""The page about the emulator names all that it has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.control.control import ROUTES
from nhagent.emulator.control.orders import Route
from nhagent.emulator.faults import Fault

PAGE = (Path(__file__).parents[2] / "docs/emulator.md").read_text("utf-8")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_control_route_is_named(route: Route) -> None:
    place = re.sub(r"\{.*?\}", "", route.path).rstrip("/").rpartition("/")[2] or "_emulator/"
    assert place in PAGE


def test_every_member_of_a_fault_is_named() -> None:
    assert {field.name for field in fields(Fault) if f"`{field.name}`" not in PAGE} == set()


def test_every_member_of_an_emulator_is_named() -> None:
    missing = {name for name in dir(Emulator) if not name.startswith("_") and name not in PAGE}
    assert missing == {"vapid_public_key", "vapid_private_key"}
