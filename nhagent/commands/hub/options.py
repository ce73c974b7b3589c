"""The options of ``nhagent hub``'s commands."""

from __future__ import annotations

import argparse
from typing import Any, Final

Options = list[tuple[str, dict[str, Any]]]

_WHERE: Final[Options] = [
    ("--hub", {"metavar": "NAME", "help": "the hub; left out: the configuration's"}),
    ("--endpoint", {"metavar": "ADDRESS", "help": "the namespace, in place of the connection string's"}),
    (
        "--ca-bundle",
        {"metavar": "FILE", "help": "certificate authority to trust beside the usual ones (PEM)"},
    ),
]
_YES: Final[Options] = [("--yes", {"action": "store_true", "help": "do it without asking"})]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests a second above 0")
    return rate


OPTIONS: Final[dict[str, tuple[str, Options]]] = {
    "list": (
        "list registrations, as a table or as JSON lines",
        [
            *_WHERE,
            ("--tag", {"help": "those with a tag"}),
            ("--platform", {"metavar": "NAME", "help": "those of a platform"}),
            ("--channel", {"metavar": "HANDLE", "help": "those of a push channel; with --platform"}),
        ],
    ),
    "show": ("show an installation or a registration", [*_WHERE, ("id", {"help": "its id"})]),
    "send": (
        "send a notification",
        [
            *_WHERE,
            ("--format", {"default": "template", "help": "template (default), or a platform"}),
            (
                "--property",
                {"action": "append", "default": [], "metavar": "NAME=VALUE", "help": "of a template"},
            ),
            ("--body", {"metavar": "TEXT", "help": "what is sent, as it is"}),
            ("--body-file", {"metavar": "FILE", "help": "what is sent, in a file; -: on stdin"}),
            (
                "--header",
                {"action": "append", "default": [], "metavar": "NAME:VALUE", "help": "for the push service"},
            ),
            ("--tags", {"metavar": "EXPRESSION", "help": "to devices whose tags match"}),
            ("--installation", {"metavar": "ID", "help": "to one installation"}),
            ("--broadcast", {"action": "store_true", "help": "to everybody"}),
            ("--test", {"action": "store_true", "help": "to ten devices at most, with the outcome of each"}),
            ("--at", {"metavar": "TIME", "help": "later: 2030-01-31T18:00:00+00:00"}),
        ],
    ),
    "export": (
        "print all that the hub holds as JSON lines, which an emulator's --seed reads",
        [*_WHERE, ("--mask", {"action": "store_true", "help": "put others in the place of push channels"})],
    ),
    "dedupe": (
        "find push channels with more than one record, and with --yes delete the surplus",
        [
            *_WHERE,
            *_YES,
            ("--rate", {"type": _rate, "metavar": "N", "help": "requests a second at most"}),
            ("--resume", {"metavar": "FILE", "help": "go on where a run was interrupted; made if missing"}),
        ],
    ),
    "delete": (
        "delete installations and registrations",
        [*_WHERE, *_YES, ("ids", {"nargs": "+", "metavar": "ID", "help": "theirs"})],
    ),
}
"""For each command what it does, and its options."""
