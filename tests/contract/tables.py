"""What the contract says, in JSON files beside the tests, and how what was seen takes their form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

# Keys whose text is wording; of a list of such texts their number counts.
WORDING = {
    "done", "expected", "fact", "found", "message", "next", "pending", "reason", "step", "steps", "why",
}  # fmt: skip
TEXT = "(text)"
IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{10,}-\d{10,}-\d+")
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(\+\d\d:\d\d|Z)")


def read_table(name: str) -> dict[str, Any]:
    """The table of this name."""
    table: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return table


def reduced(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    """A document without what differs from run to run, and without wording.

    Args:
        value: the document, or a part of it.
        names: what stands for texts that this run alone knows, such as a folder.
        key: under which it stands.
    """
    if isinstance(value, dict):
        if key == "channel_errors":
            return dict.fromkeys(value, TEXT)
        return {reduced(name, names): reduced(content, names, name) for name, content in value.items()}
    if isinstance(value, list):
        return [reduced(part, names, key) for part in value]
    if isinstance(value, float):
        return "(number)"
    if not isinstance(value, str):
        return value
    if key in WORDING:
        return TEXT
    for text, name in names.items():
        value = value.replace(text, name)
    return IDS.sub("(id)", TIMES.sub("(time)", value))
