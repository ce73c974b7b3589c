"""Read JSON that a client wrote, in a request's body or as text inside it.

What is read can be written again, compared and shown: it nests to a limited depth and has no half characters.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from typing import Any

_DEPTH_LIMIT = 64


class NotJson(ValueError):
    """The text is not JSON that the emulator reads. The text says why."""


def read_json(text: bytes | str) -> Any:
    """Return what the JSON says.

    Args:
        text: a whole document. Bytes are UTF-8, with or without a byte order mark.

    Raises:
        NotJson: it is malformed, has NaN or Infinity, nests too deeply, or has half of a surrogate pair.
    """
    try:
        # Not by "utf-8-sig": the first use of another codec opens a file, which fails without descriptors.
        decoded = text if isinstance(text, str) else text.removeprefix(codecs.BOM_UTF8).decode()
        found = _DECODER.decode(decoded)
        if decoded.count("[") + decoded.count("{") > _DEPTH_LIMIT and _is_too_deep(found):
            raise NotJson("It nests too deeply.")
        if "\\u" in decoded:
            # JSON can escape half of a surrogate pair, which neither the database nor a reply could carry.
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise NotJson("It nests too deeply.") from error
    except ValueError as error:
        raise NotJson(str(error)) from error
    return found


def _is_too_deep(found: Any) -> bool:
    level = [found]
    for _ in range(_DEPTH_LIMIT + 1):
        level = [value for value in level if isinstance(value, dict | list)]
        if not level:
            return False
        level = [inner for value in level for inner in _members(value)]
    return True


def _members(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise NotJson(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
