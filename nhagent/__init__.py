"""Device-side registration agent for Azure Notification Hubs.

The names below are imported when they are first used: ``import nhagent`` itself costs next to nothing.
"""

from __future__ import annotations

from nhagent.version import __version__ as __version__

TYPE_CHECKING = False  # a checker takes it for typing's, whose import would cost as much as all the rest
if TYPE_CHECKING:
    from nhagent import channels as channels
    from nhagent import emulator as emulator
    from nhagent import errors as errors
    from nhagent import models as models
    from nhagent import testing as testing
    from nhagent.agent import Agent
    from nhagent.aio import AsyncAgent
    from nhagent.errors import NhagentError
    from nhagent.hub.backend import Backend
    from nhagent.hub.client import HubClient
    from nhagent.hub.connection import ConnectionString
    from nhagent.hub.held import HeldRegistration
    from nhagent.models import (
        BrowserChannel,
        Installation,
        Platform,
        Registration,
        SecondaryTile,
        Template,
    )
    from nhagent.reconcile.settings import KEEP
    from nhagent.report import Drift, Outcome, Plan, Report, StartState, Status, Step, Verification

__all__ = [
    "KEEP",
    "Agent",
    "AsyncAgent",
    "Backend",
    "BrowserChannel",
    "ConnectionString",
    "Drift",
    "HeldRegistration",
    "HubClient",
    "Installation",
    "NhagentError",
    "Outcome",
    "Plan",
    "Platform",
    "Registration",
    "Report",
    "SecondaryTile",
    "StartState",
    "Status",
    "Step",
    "Template",
    "Verification",
]

_HOMES = {
    "Agent": "nhagent.agent",
    "AsyncAgent": "nhagent.aio",
    "Backend": "nhagent.hub.backend",
    "BrowserChannel": "nhagent.models",
    "ConnectionString": "nhagent.hub.connection",
    "Drift": "nhagent.report",
    "HeldRegistration": "nhagent.hub.held",
    "HubClient": "nhagent.hub.client",
    "Installation": "nhagent.models",
    "KEEP": "nhagent.reconcile.settings",
    "NhagentError": "nhagent.errors",
    "Outcome": "nhagent.report",
    "Plan": "nhagent.report",
    "Platform": "nhagent.models",
    "Registration": "nhagent.models",
    "Report": "nhagent.report",
    "SecondaryTile": "nhagent.models",
    "StartState": "nhagent.report",
    "Status": "nhagent.report",
    "Step": "nhagent.report",
    "Template": "nhagent.models",
    "Verification": "nhagent.report",
}


_SUBMODULES = ("channels", "emulator", "errors", "models", "testing")
"""Public modules, which are imported when they are first used as ``nhagent.NAME``."""


def __getattr__(name: str) -> object:
    if name not in _HOMES and name not in _SUBMODULES:
        raise AttributeError(f"module 'nhagent' has no attribute {name!r}")
    from importlib import import_module

    if name in _SUBMODULES:
        return import_module(f"nhagent.{name}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
