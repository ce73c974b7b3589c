"""The ``nhagent`` command.

Results go to stdout (with ``--json`` one object, on failure too), logs to stderr. Exit codes: 0 done; 1
verify found drift, or doctor something red; 2 wrong usage; 70 a fault of ours; 75 waiting, try again later;
77 the hub refuses the key; 78 configure something.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from nhagent import __version__, errors
from nhagent.report import Outcome, Report, StartState
from nhagent.validation import MAX_SECONDS

OK: Final = 0
FOUND: Final = 1  # something to be mended
SOFTWARE: Final = 70  # EX_SOFTWARE
TEMPFAIL: Final = 75  # EX_TEMPFAIL
NOPERM: Final = 77  # EX_NOPERM
CONFIG: Final = 78  # EX_CONFIG

EPILOG: Final = (
    "Exit codes: 0 done; 1 verify found drift, or doctor something red; 2 wrong usage; 70 a fault of "
    "nhagent's; 75 waiting, try again later; 77 the hub refuses the key; 78 something must be configured. "
    "Configuration: --config, $NHAGENT_CONFIG, /etc/nhagent/config.toml or the user's configuration folder."
)
DISABLED_TEXT: Final = 'unregistered by request; "nhagent enable" lifts it'

Result = tuple[int, dict[str, Any], str]
"""Exit code, the object for ``--json``, the text for people."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line without the program's name; None: the process's own.

    Returns:
        The exit code. Wrong usage exits by itself, with 2.
    """
    if sys.stdout is None:  # it was closed before we began
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open to the end
    options = _parser().parse_args(arguments)
    _set_up_logging(options.verbose + (1 if options.stays else 0))
    try:
        # Whatever a plug-in prints must not stand beside the one object.
        with redirect_stdout(sys.stderr) if options.json and not options.serves else nullcontext():
            result: Result = options.command(options)
        code, document, text = result
    except errors.NhagentError as error:
        code, document, text = exit_code(error), {**options.fields, "error": error_to_json(error)}, ""
        _complain(f"nhagent: {error}")
    except KeyboardInterrupt:
        return 130
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - a fault of ours: said, not hidden, and with its own code
        import traceback

        from nhagent.redaction import in_prose

        code, document, text = SOFTWARE, {**options.fields, "error": error_to_json(error)}, ""
        # The places and plain words alone: nobody can vouch for the rest of its text, or a plug-in's lines.
        for place in traceback.extract_tb(error.__traceback__):
            _complain(f"  {place.filename}:{place.lineno} in {place.name}")
        _complain(in_prose(error))
        _complain("nhagent: this is a fault in nhagent; please report it with the lines above")
    try:
        if options.json:
            print(json.dumps(document))
        elif text:
            print(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding))
        sys.stdout.flush()
    except OSError as error:  # the reader has gone, or there is no room: the exit code still tells
        if not isinstance(error, BrokenPipeError):  # one that goes, as head does, has read enough
            print(f"nhagent: stdout cannot be written ({error.strerror})", file=sys.stderr)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - nothing is lost in it at the end
    return code


def exit_code(error: Exception) -> int:
    """The exit code that tells an error's class: who must act."""
    if isinstance(error, errors.NhagentError) and error.retryable:
        return TEMPFAIL
    if isinstance(error, errors.Unauthorized | errors.Forbidden):
        return NOPERM
    configuration = (
        errors.ConfigurationError | errors.CredentialError | errors.HubNotFound | errors.InvalidRequest
    )
    if isinstance(error, configuration):
        return CONFIG
    # What else a hub says, a 410 that comes again, is no fault of ours, and may be over by the next start.
    return TEMPFAIL if isinstance(error, errors.HubError) else SOFTWARE


def error_to_json(error: BaseException | None) -> dict[str, Any] | None:
    """An error as ``--json`` shows it."""
    if error is None:
        return None
    if not isinstance(error, errors.NhagentError):
        from nhagent.redaction import in_prose

        return {"type": type(error).__name__, "message": in_prose(error), "retryable": False}
    return {"type": type(error).__name__, "message": str(error), "retryable": error.retryable}


def to_json(value: object) -> Any:
    """A value of ours as JSON: dataclasses by field, times in ISO form."""
    if isinstance(value, Exception):
        return error_to_json(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: to_json(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(part) for part in value]
    return value


def _complain(text: str) -> None:
    """An error on stderr; where that is the journal, as one."""
    if "JOURNAL_STREAM" in os.environ:
        from nhagent.commands.systemd import as_error, writes_to_journal

        if writes_to_journal():
            text = as_error(text)
    print(text, file=sys.stderr)


def _register(options: argparse.Namespace) -> Result:
    report = _agent(options).start(timeout=options.timeout)
    return _of_report(report)


def _unregister(options: argparse.Namespace) -> Result:
    return _of_report(_agent(options).unregister(timeout=options.timeout))


def _plan(options: argparse.Namespace) -> Result:
    agent = _agent(options)
    steps = agent.plan()
    shown = [
        {
            "method": step.method,
            "record": step.record,
            "id": step.id,
            "reason": step.reason,
            "operations": [f"{part['op']} {part['path']}" for part in step.operations],
        }
        for step in steps
    ]
    disabled = agent.status().state is StartState.DISABLED
    nothing = DISABLED_TEXT if disabled else "nothing to do: the hub holds what is true"
    text = "\n".join(str(step) for step in steps) or nothing
    return OK, {"steps": shown, "disabled": disabled, "error": None}, text


def _status(options: argparse.Namespace) -> Result:
    status = _agent(options).status()
    lines = [f"{status.state}: app {status.app!r}, hub {status.hub!r}, platform {status.platform}"]
    facts: dict[str, object] = {
        "installation": status.installation_id,
        "namespace": status.namespace,
        "channels": ", ".join(f"{name} {mark}" for name, mark in status.channels.items()),
        "accepted": _when(status.accepted_at),
        "verified": _when(status.verified_at),
        "refresh due": _when(status.refresh_due),
        "pending": "; ".join(status.pending),
        "in doubt": ", ".join(status.in_doubt),
        "leaving": ", ".join(status.leaving),
        "unreadable": ", ".join(status.unreadable),
        "last error": status.last_error and f"{status.last_error}, {status.failures} in a row",
        "next attempt": _when(status.next_attempt),
        "writes": status.writes and f"{status.writes} accepted so far",
        "losses": status.losses and f"{status.losses} records that the hub no longer knew",
        "kept in": status.folder,
    }
    lines += [f"  {name + ':':<14}{fact}" for name, fact in facts.items() if fact]
    moments = {"accepted": status.accepted_at, "verified": status.verified_at}
    ages = {name: _age(moment) for name, moment in moments.items()}
    return OK, {**to_json(status), "ages": ages, "error": None}, "\n".join(lines)


def _verify(options: argparse.Namespace) -> Result:
    seen = _agent(options).verify()
    lines = [f"  {drift}" for drift in seen.drift]
    lines += [f"  {name}: the hub has marked this push channel as dead" for name in seen.expired]
    said = "in sync: the hub holds what it accepted" if seen.in_sync else "drifted: the next start mends it"
    document = {**to_json(seen), "error": None}
    return OK if seen.in_sync else FOUND, document, "\n".join([said, *lines])


def _enable(options: argparse.Namespace) -> Result:
    agent = _agent(options)
    agent.enable()
    document = {**to_json(agent.status()), "error": None}
    return OK, document, 'enabled: the next "nhagent register" registers the device'


def _login(options: argparse.Namespace) -> Result:
    from nhagent.commands.login import log_in

    return OK, *log_in(options.config, allow_full_access=options.allow_full_access)


def _logout(options: argparse.Namespace) -> Result:
    from nhagent.commands.login import log_out

    return OK, *log_out(options.config)


def _vault_init(_: argparse.Namespace) -> Result:
    from nhagent.commands.login import make_vault

    return OK, *make_vault()


def _run(options: argparse.Namespace) -> Result:
    if sys.platform != "win32":
        import signal

        # Both would end a process that does not listen yet: they are kept until the daemon does.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    from nhagent.commands.daemon import Daemon

    Daemon(options.config).run()
    return OK, {"error": None}, ""


def _doctor(options: argparse.Namespace) -> Result:
    from nhagent.commands.doctor import examine

    healthy, document, text = examine(options.config)
    return OK if healthy else FOUND, document, text


def _demo(_: argparse.Namespace) -> Result:
    from nhagent.commands.demo import run

    document, text = run()
    return OK, document, text


def _emulator(options: argparse.Namespace) -> Result:
    from nhagent.commands.emulate import serve

    serve(
        hub=options.hub,
        host=options.host,
        port=options.port,
        data=options.data,
        tls=options.tls,
        certificate=options.certificate,
        rate=options.rate,
        lenient=options.lenient,
        as_json=options.json,
    )
    options.json = False  # the line that said it was ready is the one object
    return OK, {}, ""


def _agent(options: argparse.Namespace) -> Any:
    from nhagent.commands.config import read_agent

    return read_agent(options.config)


def _of_report(report: Report) -> Result:
    requests = f"{report.requests} request{'' if report.requests == 1 else 's'}"
    who = f" as installation {report.installation_id}" if report.installation_id else ""
    if report.registration_ids:
        who = f" as {', '.join(report.registration_ids)}"
    lines = [f"{report.outcome}{who} ({requests}, {report.elapsed:.2f} s)"]
    if report.error is not None:
        lines.append(f"  why:           {report.error}")
    if report.outcome is Outcome.DISABLED:
        lines.append(f"  {DISABLED_TEXT}")
    lines += [f"  done:          {step}" for step in report.steps]
    lines += [
        f"  channel:       {reason}"
        for reason in report.channel_errors.values()
        if reason != str(report.error)
    ]
    if report.next_attempt is not None:
        label = "try again after:" if report.outcome is Outcome.WAITING else "refresh due:"
        lines.append(f"  {label:<16} {_when(report.next_attempt)}")
    code = TEMPFAIL if report.outcome is Outcome.WAITING else OK
    return code, to_json(report), "\n".join(lines)


def _when(moment: datetime | None) -> str:
    age = _age(moment)
    if moment is None or age is None:
        return ""
    span = f"{abs(age) / 3600:.1f} h" if abs(age) >= 5400 else f"{abs(age) / 60:.0f} min"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC} ({f'{span} ago' if age >= 0 else f'in {span}'})"


def _age(moment: datetime | None) -> float | None:
    """Seconds since then by this device's clock."""
    return None if moment is None else (datetime.now(UTC) - moment).total_seconds()


def _set_up_logging(verbose: int) -> None:
    import logging

    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    lines = logging.StreamHandler(sys.stderr)
    form = "%(levelname)s %(name)s: %(message)s"
    lines.setFormatter(logging.Formatter(form))
    if "JOURNAL_STREAM" in os.environ:
        from nhagent.commands.systemd import JournalFormatter, writes_to_journal

        if writes_to_journal():
            lines.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    logging.basicConfig(handlers=[lines])
    logging.getLogger("nhagent").setLevel(level)


def _parser() -> argparse.ArgumentParser:
    # Before the command and after it; there without a default, which would hide what stands before it.
    common = _common(argument_default=argparse.SUPPRESS)
    parser = _Parser(
        prog="nhagent",
        description="Keeps a device known to a notification hub.",
        epilog=EPILOG,
        parents=[_common()],
    )
    parser.set_defaults(config=None, json=False, verbose=0)
    parser.add_argument("--version", action="version", version=f"nhagent {__version__}")
    commands: argparse._SubParsersAction[_Parser] = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], Result], text: str, shown: Sequence[str] = ()
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=text, description=text)
        added.set_defaults(
            command=run, fields=dict.fromkeys(shown), serves=run is _emulator, stays=run is _run
        )
        return added

    report = tuple(part.name for part in fields(Report))
    command("demo", _demo, "register a device with an embedded hub, and show what happens")
    emulator = command("emulator", _emulator, "run a notification hub on this machine")
    emulator.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    emulator.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free one")
    emulator.add_argument("--hub", metavar="NAME", default="emulated-hub", help="the hub's name")
    emulator.add_argument("--data", metavar="FILE", default=":memory:", help="SQLite file that outlives it")
    emulator.add_argument("--tls", action="store_true", help="serve https with a certificate of its own")
    emulator.add_argument(
        "--certificate",
        choices=("good", "expired", "early", "wrong-name", "self-signed"),
        default="good",
        help="with --tls, what is wrong with it (default %(default)s)",
    )
    emulator.add_argument("--lenient", action="store_true", help="take what real clients write out of order")
    emulator.add_argument("--rate", type=float, metavar="N", help="answer 429 above N requests a second")
    register = command("register", _register, "make the hub know this device: one start", report)
    command("plan", _plan, "show what register would do; changes nothing", ("steps",))
    command("status", _status, "show what is known without asking the hub", ("state",))
    command("run", _run, "the daemon: keep the device fresh for as long as the machine is on")
    command("verify", _verify, "ask the hub whether it holds what it accepted", ("in_sync", "drift"))
    unregister = command("unregister", _unregister, "take this device off the hub, and keep it off", report)
    command("enable", _enable, "let an unregistered device be registered again", ("state",))
    login = command("login", _login, "put the connection string into the key ring: asked for, or from stdin")
    login.add_argument(
        "--allow-full-access", action="store_true", help="take a key that may do more than listen"
    )
    command("logout", _logout, "take the connection string out of the key ring", ("removed_from",))
    command("doctor", _doctor, "look for what is wrong, and say what to do next", ("healthy", "checks"))
    vault = commands.add_parser("vault", help="a key ring for machines without one")
    commands = vault.add_subparsers(metavar="COMMAND", required=True)
    command("init", _vault_init, "make the key of the vault, an encrypted file", ("key_file",))
    for added in (register, unregister):
        added.add_argument(
            "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for all tries (default 30)"
        )
    return parser


def _common(**settings: Any) -> _Parser:
    """The options of every command."""
    common = _Parser(add_help=False, **settings)
    common.add_argument("--config", metavar="FILE", help="configuration file (TOML)")
    common.add_argument("--json", action="store_const", const=True, help="print one JSON object")
    common.add_argument("-v", "--verbose", action="count", help="log more; twice for everything")
    return common


class _Parser(argparse.ArgumentParser):
    """Tells wrong usage as every other failure: with ``--json`` as an object too. Options are whole words."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        from nhagent.redaction import redacted

        message = redacted(message)  # somebody may have given the connection string as an argument
        if "--json" in self._given:
            print(json.dumps({"error": {"type": "UsageError", "message": message, "retryable": False}}))
        super().error(message)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to {MAX_SECONDS:.0f}")
    return seconds
