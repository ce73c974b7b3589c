"""What the contract says, in JSON files beside the tests: they are read here, and nowhere written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def read_table(name: str) -> dict[str, Any]:
    """The table of this name."""
    table: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return table
