"""What each command of ``nhagent hub`` does."""

from __future__ import annotations

from nhagent.commands.hub import changing, deduplicating, looking

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Final

    from nhagent.commands.output import Result

ACTIONS: Final[dict[str, Callable[[argparse.Namespace], Result]]] = {
    "hub list": looking.list_registrations,
    "hub show": looking.show,
    "hub send": changing.send,
    "hub export": looking.export,
    "hub dedupe": deduplicating.dedupe,
    "hub delete": changing.delete,
}
"""By the command's name."""
