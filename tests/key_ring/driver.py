"""Asks the key ring of its process: one JSON object a line comes in, one goes out. Run as a program.

A key ring is chosen once in a process, by what the environment says; so a test that needs another one needs
another process, and patches nothing.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, Final

from nhagent.device import key_ring
from nhagent.errors import CredentialError


def find(*arguments: Any, **options: Any) -> dict[str, str]:
    found = key_ring.find_in_keyring(*arguments, **options)
    return {"text": found.text, "source": found.source, "repr": repr(found)}


CALLS: Final[dict[str, Callable[..., Any]]] = {
    "find": find,
    "store": key_ring.store_in_keyring,
    "remove": key_ring.remove_from_keyring,
    "threads": threading.active_count,
}


def answer(call: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": CALLS[call["call"]](*call["arguments"], **call["options"])}
    except CredentialError as error:
        return {"error": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a backend prints must not stand between them
    questions, sys.stdin = sys.stdin, open(os.devnull, encoding="utf-8")  # noqa: SIM115 - it stays open
    for line in questions:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
