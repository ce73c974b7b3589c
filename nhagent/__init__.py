"""Device-side registration agent for Azure Notification Hubs.

The names below are imported when they are first used: ``import nhagent`` itself costs next to nothing.
"""

from __future__ import annotations

from nhagent.version import __version__ as __version__

TYPE_CHECKING = False  # a checker takes it for typing's, whose import would cost as much as all the rest
if TYPE_CHECKING:
    from nhagent.agent import Agent
    from nhagent.errors import NhagentError
    from nhagent.hub.client import HubClient
    from nhagent.hub.connection import ConnectionString
    from nhagent.models import (
        BrowserChannel,
        Installation,
        Platform,
        Registration,
        SecondaryTile,
        Template,
    )
    from nhagent.report import Outcome, Report, Status, Verification

__all__ = [
    "Agent",
    "BrowserChannel",
    "ConnectionString",
    "HubClient",
    "Installation",
    "NhagentError",
    "Outcome",
    "Platform",
    "Registration",
    "Report",
    "SecondaryTile",
    "Status",
    "Template",
    "Verification",
]

_HOMES = {
    "Agent": "nhagent.agent",
    "BrowserChannel": "nhagent.models",
    "ConnectionString": "nhagent.hub.connection",
    "HubClient": "nhagent.hub.client",
    "Installation": "nhagent.models",
    "NhagentError": "nhagent.errors",
    "Outcome": "nhagent.report",
    "Platform": "nhagent.models",
    "Registration": "nhagent.models",
    "Report": "nhagent.report",
    "SecondaryTile": "nhagent.models",
    "Status": "nhagent.report",
    "Template": "nhagent.models",
    "Verification": "nhagent.report",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'nhagent' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
