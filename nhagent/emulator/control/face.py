"""What users of the emulator see of its state: taken down, put back, emptied."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from nhagent.emulator.control import state_routes
from nhagent.emulator.json_text import read_json
from nhagent.emulator.parts import Parts


class WithState(ABC):
    """The part of an emulator that takes down, puts back and empties what the hub holds."""

    def snapshot(self) -> dict[str, Any]:
        """Return all that the hub holds, for `restore`; what ``GET /_emulator/snapshot`` answers.

        Installations, registrations with their ids and ETags, ids that are gone, and scheduled sends. Keys,
        the log, deliveries, faults and the push service's subscriptions are not part of it.
        """
        return state_routes.snapshot(self._parts())

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Let the hub hold what a snapshot has, instead of what it holds.

        Args:
            snapshot: from `snapshot`, of this hub or another, or a hub's `contents`.

        Raises:
            ValueError: it is not; the text says where. Nothing has changed then.
        """
        # By way of JSON: what only Python can hold, or what no reply could carry, must not get in.
        state_routes.restore(self._parts(), read_json(json.dumps(snapshot)))

    def reset(self) -> None:
        """Make it an emulator that nobody has used yet; its keys, its port and the push service stay."""
        state_routes.reset(self._parts())

    @abstractmethod
    def _parts(self) -> Parts: ...
