"""The command line: commands, their options, and how wrong usage is told.

A command's own parser is made when that command is given: all of them would cost every start milliseconds.
"""

from __future__ import annotations

import argparse
import os
import sys

from nhagent.commands.nearest import hint_for
from nhagent.validation import MAX_SECONDS
from nhagent.version import __version__

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, NoReturn

EPILOG: Final = (
    "Exit codes: 0 done; 1 verify found drift, doctor something red, or status that a person must act; 2 "
    "wrong usage; 70 a fault of nhagent's; 75 waiting, try again later; 77 the hub refuses the key; 78 "
    "something must be configured; 130 interrupted. "
    "Configuration: --config, $NHAGENT_CONFIG, /etc/nhagent/config.toml or the user's configuration folder."
)
START_SECONDS: Final = 30.0
"""How long register, unregister and enable may take by default."""

WAIT_SECONDS: Final = 300.0
"""How long wait may take by default."""

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


def make_parser() -> Parser:
    """Make the parser of the whole command line.

    Returns:
        It gives ``command``, the command's name, beside its options.
    """
    parser = Parser(prog="nhagent", description="Keeps a device known to a notification hub.", epilog=EPILOG)
    _add_common_options(parser)
    parser.set_defaults(config=None, json=False, verbose=0, quiet=False, service=False, log_format="text")
    parser.add_argument("--version", action="version", version=f"nhagent {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    for name, text, add_options in _COMMANDS:
        _add_command(commands, name, text, add_options)
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
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does, but with the nearest word where one is near."""
        if action.choices is not None and value not in action.choices:
            hint = hint_for(str(value), map(str, action.choices))
            raise argparse.ArgumentError(action, f"{value!r} is not known: {hint}")

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        told = f"not understood: {' '.join(unknown)}"
        option = unknown[0].partition("=")[0]
        if option.startswith("--"):
            told += (
                f": {hint_for(option, (name for name in self._option_string_actions if name[:2] == '--'))}"
            )
        self.error(told)

    def whole(self) -> Parser:
        """Give this parser with the arguments of all its commands: completions and pages are made of it."""
        if self._fill is not None:
            super().__init__(**self._settings)
            self._fill(self)
            self._fill = None
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public way
                for parser in action.choices.values():
                    parser.whole()
        return self

    def error(self, message: str) -> NoReturn:
        """Tell wrong usage, and exit with 2."""
        from nhagent.redaction import redacted

        message = redacted(message)  # somebody may have given the connection string as an argument
        if "--json" in self._given:
            from nhagent.commands.output import as_json

            print(as_json({"error": {"type": "UsageError", "message": message, "retryable": False}}))
        super().error(message)


def _add_command(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    text: str,
    add_options: Callable[[Parser], object],
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
    parser.add_argument(
        *("-q", "--quiet"),
        action="store_const",
        const=True,
        help="print errors alone: the exit code tells the rest",
        default=default,
    )
    parser.add_argument(
        "--service",
        action="store_const",
        const=True,
        help="look at the system service's device (root): nhagent.service's, or with --config "
        "/etc/nhagent/NAME.toml that of nhagent@NAME.service",
        default=default,
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


def _add_init_options(parser: Parser) -> None:
    parser.add_argument("--app", metavar="NAME", help="the app's name, such as thermostat")
    parser.add_argument("--hub", metavar="NAME", help="the notification hub's name")
    parser.add_argument("--platform", metavar="NAME", help="whose push channels it has: wns, fcmv1, …")
    parser.add_argument("--channel-file", metavar="FILE", help="the file that the push channel is read from")
    parser.add_argument(
        "--vapid-public-key",
        metavar="KEY",
        help="of the pair in the hub, for a push channel of nhagent's own",
    )


def _add_run_options(parser: Parser) -> None:
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="how log lines are written: json is one object a line (default text)",
    )


def _add_wait_options(parser: Parser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long (default {WAIT_SECONDS:g}); 0: look once",
    )


def _add_metrics_options(parser: Parser) -> None:
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="replace this file, for node_exporter's textfile collector"
    )


def _add_units_options(parser: Parser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--install", action="store_true", help="install them, and start the daemon: for the system, as root"
    )
    what.add_argument("--remove", action="store_true", help="stop and remove them; edited ones stay")
    parser.add_argument(
        "--user", action="store_true", help="those of the user's own manager, for a desktop app"
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
    text = "make the key of the vault, an encrypted file"
    _add_command(commands, "init", text, _add_nothing, command="vault init")


def _add_hub_commands(parser: Parser) -> None:
    from nhagent.commands.hub.options import OPTIONS

    commands = parser.add_subparsers(metavar="COMMAND", required=True, prog=parser.prog)
    for name, (text, options) in OPTIONS.items():
        _add_command(commands, name, text, _adding(options), command=f"hub {name}")


def _add_nothing(_: Parser) -> None:
    """The command has the common options alone."""


_COMMANDS: Final[tuple[tuple[str, str, Callable[[Parser], object]], ...]] = (
    ("demo", "register a device with an embedded hub, and show what happens", _add_nothing),
    ("init", "write a configuration for this device", _add_init_options),
    ("doctor", "look for what is wrong, and say what to do next", _add_doctor_options),
    ("register", "make the hub know this device: one start", _add_timeout),
    ("run", "the daemon: keep the device fresh for as long as the machine is on", _add_run_options),
    ("plan", "show what register would do; changes nothing", _add_nothing),
    ("status", "show what is known without asking the hub", _add_nothing),
    ("verify", "ask the hub whether it holds what it accepted", _add_nothing),
    ("wait", "wait until the hub has accepted this device", _add_wait_options),
    ("metrics", "print how the device stands, as Prometheus reads it", _add_metrics_options),
    ("unregister", "take this device off the hub, and keep it off", _add_timeout),
    ("enable", "register an unregistered device again", _add_timeout),
    ("login", "put the connection string into the key ring: asked for, or from stdin", _add_login_options),
    ("logout", "take the connection string out of the key ring", _add_nothing),
    ("units", "install or remove the units for systemd", _add_units_options),
    ("receive", "print what arrives on this device's push channel, and keep it fresh", _add_nothing),
    ("vapid", "make the pair of keys by which a push service knows the hub", _add_nothing),
    ("emulator", "run a notification hub on this machine", _add_emulator_options),
)
"""The commands without commands of their own: name, what it does, and what adds its options."""


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
