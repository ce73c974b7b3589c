"""The command line: commands and their options.

A command's own parser is made when that command is given: all of them would cost every start milliseconds.
"""

from __future__ import annotations

import argparse

from nhagent.commands.usage import Parser
from nhagent.validation import MAX_SECONDS
from nhagent.version import __version__

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final

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

MAX_PORT: Final = 65535

_EXEC: Final = (
    "Runs a command while a notification hub runs beside it. The command finds in its environment "
    "NOTIFICATION_HUB (the hub's name), NOTIFICATION_HUB_ENDPOINT, NOTIFICATION_HUB_LISTEN and "
    "NOTIFICATION_HUB_FULL (connection strings); with --tls NOTIFICATION_HUB_CA (a file); with "
    "--push-service NOTIFICATION_HUB_PUSH (its address) and NOTIFICATION_HUB_VAPID_PUBLIC_KEY. Its exit code "
    "is the command's; 126 and 127 where that cannot be run, 128 + N where signal N ended it."
)


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() and len(text) <= len(str(MAX_PORT)) else -1
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 0 to {MAX_PORT}")
    return port


_EMULATOR_OPTIONS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("--host", {"default": "127.0.0.1", "help": "address to listen on (default 127.0.0.1)"}),
    ("--port", {"type": _port, "default": 0, "help": "port to listen on; 0: any free one"}),
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
