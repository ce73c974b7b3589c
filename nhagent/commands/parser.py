"""The command line: commands, their options, and how wrong usage is told.

A command's own parser is made when that command is given: all fifteen would cost every start milliseconds.
"""

from __future__ import annotations

import argparse
import os
import sys

from nhagent.validation import MAX_SECONDS
from nhagent.version import __version__

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, NoReturn

EPILOG: Final = (
    "Exit codes: 0 done; 1 verify found drift, or doctor something red; 2 wrong usage; 70 a fault of "
    "nhagent's; 75 waiting, try again later; 77 the hub refuses the key; 78 something must be configured. "
    "Configuration: --config, $NHAGENT_CONFIG, /etc/nhagent/config.toml or the user's configuration folder."
)
START_SECONDS: Final = 30.0
"""How long register, unregister and enable may take by default."""

DEFAULT_COLUMNS: Final = 80
MAX_DIGITS: Final = 4
"""Digits of a width that is believed."""

_EXEC: Final = (
    "Runs a command while a notification hub runs beside it. The command finds in its environment "
    "NOTIFICATION_HUB (the hub's name), NOTIFICATION_HUB_ENDPOINT, NOTIFICATION_HUB_LISTEN and "
    "NOTIFICATION_HUB_FULL (connection strings) and, with --tls, NOTIFICATION_HUB_CA (a file). Its exit code "
    "is the command's; 126 and 127 where that cannot be run, 128 + N where signal N ended it."
)
_EMULATOR_OPTIONS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("--host", {"default": "127.0.0.1", "help": "address to listen on (default 127.0.0.1)"}),
    ("--port", {"type": int, "default": 0, "help": "port to listen on; 0: any free one"}),
    ("--hub", {"metavar": "NAME", "default": "emulated-hub", "help": "the hub's name"}),
    ("--data", {"metavar": "FILE", "default": ":memory:", "help": "SQLite file that outlives it"}),
    ("--seed", {"metavar": "FILE", "help": "fill an empty hub: a snapshot, or records as JSON, one a line"}),
    ("--tls", {"action": "store_true", "help": "serve https with a certificate of its own"}),
    (
        "--certificate",
        {
            "choices": ("good", "expired", "early", "wrong-name", "self-signed"),
            "default": "good",
            "help": "with --tls, what is wrong with it (default good)",
        },
    ),
    (
        "--push-service",
        {"action": "store_true", "help": "run a push service too, to which devices can subscribe"},
    ),
    ("--deliver", {"action": "store_true", "help": "post what is sent to channels on loopback"}),
    ("--lenient", {"action": "store_true", "help": "take much that the service refuses"}),
    ("--rate", {"type": float, "metavar": "N", "help": "answer 429 above N requests a second"}),
)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line.

    Returns:
        It gives ``command``, the command's name, beside its options.
    """
    parser = Parser(prog="nhagent", description="Keeps a device known to a notification hub.", epilog=EPILOG)
    _add_common_options(parser)
    parser.set_defaults(config=None, json=False, verbose=0)
    parser.add_argument("--version", action="version", version=f"nhagent {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    _add_command(commands, "demo", "register a device with an embedded hub, and show what happens")
    _add_command(commands, "emulator", "run a notification hub on this machine", _add_emulator_options)
    _add_command(commands, "register", "make the hub know this device: one start", _add_timeout)
    _add_command(commands, "plan", "show what register would do; changes nothing")
    _add_command(commands, "status", "show what is known without asking the hub")
    _add_command(commands, "run", "the daemon: keep the device fresh for as long as the machine is on")
    _add_command(commands, "verify", "ask the hub whether it holds what it accepted")
    _add_command(commands, "unregister", "take this device off the hub, and keep it off", _add_timeout)
    _add_command(commands, "enable", "register an unregistered device again", _add_timeout)
    _add_command(
        commands,
        "login",
        "put the connection string into the key ring: asked for, or from stdin",
        _add_login_options,
    )
    _add_command(commands, "logout", "take the connection string out of the key ring")
    _add_command(commands, "doctor", "look for what is wrong, and say what to do next", _add_doctor_options)
    _add_command(commands, "receive", "print what arrives on this device's push channel, and keep it fresh")
    _add_command(commands, "vapid", "make the pair of keys by which a push service knows the hub")
    commands.add_parser(
        "hub", fill=_add_hub_commands, help="tools for whoever runs the hub, with its full key"
    )
    commands.add_parser("vault", fill=_add_vault_commands, help="a key ring for machines without one")
    return parser


class Parser(argparse.ArgumentParser):
    """A parser that tells wrong usage as every other failure: with ``--json`` as an object too.

    Options are whole words.

    Args:
        fill: adds the parser's arguments when it is used; None: whoever makes it adds them at once.
        settings: as for `argparse.ArgumentParser`.
    """

    def __init__(self, *, fill: Callable[[Parser], object] | None = None, **settings: Any) -> None:
        self._fill = fill
        self._settings = {**settings, "allow_abbrev": False, "formatter_class": _make_formatter}
        if fill is None:
            super().__init__(**self._settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse.ArgumentParser.parse_known_args`, which every other way of parsing calls."""
        if self._fill is not None:
            super().__init__(**self._settings)
            self._fill(self)
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Tell wrong usage, and exit with 2."""
        from nhagent.redaction import redacted

        message = redacted(message)  # somebody may have given the connection string as an argument
        if "--json" in self._given:
            import json

            print(json.dumps({"error": {"type": "UsageError", "message": message, "retryable": False}}))
        super().error(message)


def _add_command(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    add_options: Callable[[Parser], object] = lambda _: None,
    *,
    command: str | None = None,
) -> None:
    def fill(parser: Parser) -> None:
        # They stand before the command too; here a default would hide what stands there.
        _add_common_options(parser, default=argparse.SUPPRESS)
        add_options(parser)
        parser.set_defaults(command=command or name)

    commands.add_parser(name, fill=fill, help=text, description=text)


def _add_common_options(parser: Parser, default: str | None = None) -> None:
    parser.add_argument("--config", metavar="FILE", help="configuration file (TOML)", default=default)
    parser.add_argument(
        "--json", action="store_const", const=True, help="print one JSON object", default=default
    )
    parser.add_argument(
        "-v", "--verbose", action="count", help="log more; twice for everything", default=default
    )


def _add_emulator_options(parser: Parser) -> None:
    for option, settings in _EMULATOR_OPTIONS:
        parser.add_argument(option, **settings)
    actions = parser.add_subparsers(metavar="exec", prog=parser.prog)
    actions.add_parser(
        "exec", fill=_add_exec_options, help="run a command beside it, and end with it", description=_EXEC
    )


def _add_exec_options(parser: Parser) -> None:
    _add_common_options(parser, default=argparse.SUPPRESS)
    for option, settings in _EMULATOR_OPTIONS:  # a default would hide what stands before "exec"
        parser.add_argument(option, **{**settings, "default": argparse.SUPPRESS})
    parser.add_argument("arguments", nargs="+", metavar="COMMAND", help="the command, after --")
    parser.set_defaults(command="emulator exec")


def _add_timeout(parser: Parser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=START_SECONDS,
        metavar="SECONDS",
        help=f"for all attempts (default {START_SECONDS:g})",
    )


def _add_login_options(parser: Parser) -> None:
    parser.add_argument(
        "--allow-full-access", action="store_true", help="take a key that may do more than listen"
    )


def _add_doctor_options(parser: Parser) -> None:
    parser.add_argument(
        "--check-key",
        action="store_true",
        help="also ask the hub whether the key may manage it: a list by a tag that nobody has",
    )


def _add_vault_commands(parser: Parser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    _add_command(commands, "init", "make the key of the vault, an encrypted file", command="vault init")


def _add_hub_commands(parser: Parser) -> None:
    from nhagent.commands.hub.options import OPTIONS

    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    for name, (text, options) in OPTIONS.items():
        _add_command(commands, name, text, _adding(options), command=f"hub {name}")


def _adding(options: Sequence[tuple[str, dict[str, Any]]]) -> Callable[[Parser], object]:
    def add(parser: Parser) -> None:
        for option, settings in options:
            parser.add_argument(option, **settings)

    return add


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return seconds


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    """Make what writes the help.

    argparse makes one for every option; without a width each asks ``shutil`` for it, a costly import.
    """
    return argparse.HelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    """How wide the terminal is, as ``shutil.get_terminal_size`` tells it."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and len(named) <= MAX_DIGITS and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or DEFAULT_COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # stdout is closed, or not a terminal
        return DEFAULT_COLUMNS
