"""What each command does: one function per command, from its options to its result."""

from __future__ import annotations

import sys

from nhagent.commands.exit_codes import CONFIG, FOUND, OK, TEMPFAIL, code_of
from nhagent.commands.output import Result, age_of, text_of_report, text_of_status
from nhagent.report import Outcome

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Final

    from nhagent.agent import Agent
    from nhagent.commands.emulate import EmulatorOptions
    from nhagent.report import Report


def register(options: argparse.Namespace) -> Result:
    """Start the device once."""
    return _result_of(lambda agent: agent.start(timeout=options.timeout), options)


def unregister(options: argparse.Namespace) -> Result:
    """Take the device off the hub."""
    return _result_of(lambda agent: agent.unregister(timeout=options.timeout), options)


def plan(options: argparse.Namespace) -> Result:
    """Show what a start would do."""
    with _waited_for("asking the hub"):
        plan = _agent(options).plan()
    return Result(OK, {**plan.to_dict(), "error": None}, str(plan))


def status(options: argparse.Namespace) -> Result:
    """Show what the device remembers."""
    from nhagent.commands.standing import next_command

    status = _agent(options).status()
    moments = {"accepted": status.accepted_at, "verified": status.verified_at}
    ages = {name: age_of(moment) for name, moment in moments.items()}
    step = next_command(status)
    document = {**status.to_dict(), "ages": ages, "next": step, "error": None}
    return Result(OK if step is None else FOUND, document, text_of_status(status, step))


def initialise(options: argparse.Namespace) -> Result:
    """Write a configuration."""
    from nhagent.commands import init

    return Result(OK, *init.initialise(init.Given.of(options)))


def wait(options: argparse.Namespace) -> Result:
    """Wait until the hub has accepted the device."""
    from nhagent.commands.standing import why_unregistered
    from nhagent.commands.waiting import wait

    with _waited_for("waiting to be registered"):
        is_registered, status, lacking = wait(options.config, options.timeout)
    document = {"registered": is_registered, "state": status.state.value, "why": None, "error": None}
    if is_registered:
        return Result(OK, document, f"registered as {status.installation_id or 'registrations'}")
    why, kind = why_unregistered(status, lacking)
    code = TEMPFAIL if kind is None else code_of(kind)
    return Result(code, {**document, "why": why}, f"waiting: {why}")


def metrics(options: argparse.Namespace) -> Result:
    """Tell Prometheus how the device stands."""
    from nhagent.commands import metrics

    facts = metrics.collect(options.config)
    text = metrics.text_of(facts)
    if options.file is not None:
        metrics.write(options.file, text)
    return Result(OK, {**facts, "error": None}, "" if options.file is not None else text.rstrip("\n"))


def units(options: argparse.Namespace) -> Result:
    """Install, remove or list the units for systemd."""
    from nhagent.commands import units

    is_done, document, text = units.units(install=options.install, remove=options.remove, user=options.user)
    return Result(OK if is_done else CONFIG, document, text)


def verify(options: argparse.Namespace) -> Result:
    """Ask the hub whether it holds what it accepted."""
    with _waited_for("asking the hub"):
        seen = _agent(options).verify()
    lines = ["drifted: the next start mends it"]
    if seen.in_sync:
        lines = ["in sync: the hub holds what it accepted"]
    elif not seen.requests:
        lines = ["not asked: the next start registers the device"]
    lines += [f"  {drift}" for drift in seen.drift]
    lines += [f"  {name}: the hub has marked this push channel as dead" for name in seen.expired]
    return Result(OK if seen.in_sync else FOUND, {**seen.to_dict(), "error": None}, "\n".join(lines))


def enable(options: argparse.Namespace) -> Result:
    """Let an unregistered device be registered again."""
    return _result_of(lambda agent: agent.enable(timeout=options.timeout), options)


def log_in(options: argparse.Namespace) -> Result:
    """Put the connection string into the key ring."""
    from nhagent.commands import login

    return Result(OK, *login.log_in(options.config, allow_full_access=options.allow_full_access))


def log_out(options: argparse.Namespace) -> Result:
    """Take the connection string out of the key ring."""
    from nhagent.commands import login

    return Result(OK, *login.log_out(options.config))


def make_vault(_: argparse.Namespace) -> Result:
    """Make the vault's key."""
    from nhagent.commands import login

    return Result(OK, *login.make_vault())


def run(options: argparse.Namespace) -> Result:
    """Keep the device fresh until a signal ends it."""
    if sys.platform != "win32":
        import signal

        # Both would end a process that does not listen yet: they are kept until the daemon does.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    from nhagent.commands.daemon import Daemon

    Daemon(options.config).run()
    return Result(OK, {"error": None}, "")


def receive(options: argparse.Namespace) -> Result:
    """Print what arrives until a signal ends it."""
    from nhagent.commands.receive import receive

    receive(options.config, as_json=bool(options.json))
    return Result(OK, None, "")  # each message was an object of its own


def make_vapid_pair(_: argparse.Namespace) -> Result:
    """Make a VAPID pair."""
    from nhagent.commands import vapid

    return Result(OK, *vapid.make_pair())


def examine(options: argparse.Namespace) -> Result:
    """Look for what is wrong."""
    from nhagent.commands import doctor

    with _waited_for("looking"):
        is_healthy, document, text = doctor.examine(
            options.config, check_key=options.check_key, service=_service(options)
        )
    return Result(OK if is_healthy else FOUND, document, text)


def demonstrate(_: argparse.Namespace) -> Result:
    """Show the main job on an embedded hub."""
    from nhagent.commands import demo

    return Result(OK, *demo.run())


def emulate(options: argparse.Namespace) -> Result:
    """Serve a hub until a signal ends it."""
    from nhagent.commands.emulate import serve

    serve(
        _emulator_options(options),
        as_json=options.json,
        push_service=options.push_service,
        tells_requests=options.verbose > 0,
    )
    return Result(OK, None, "")  # the line that said it was ready is the one object


def run_beside_emulator(options: argparse.Namespace) -> Result:
    """Run a command while a hub runs beside it."""
    from nhagent.commands.emulate_exec import run

    code = run(
        options.arguments,
        _emulator_options(options),
        push_service=options.push_service,
        tells_requests=options.verbose > 0,
    )
    return Result(code, None, "")


def _emulator_options(options: argparse.Namespace) -> EmulatorOptions:
    from nhagent.commands import emulate

    return emulate.EmulatorOptions(
        hub=options.hub,
        host=options.host,
        port=options.port,
        data=options.data,
        tls=options.tls,
        certificate=options.certificate,
        rate=options.rate,
        lenient=options.lenient,
        deliver=options.deliver,
        seed=options.seed,
    )


def run_a_hub(options: argparse.Namespace) -> Result:
    """Look at a hub, or change what it holds, for whoever runs it."""
    from nhagent.commands.hub.actions import ACTIONS

    return ACTIONS[options.command](options)


def failure_keys(command: str) -> tuple[str, ...]:
    """Give the keys that a command's object has beside ``error`` when it fails, all of them null."""
    if command in {"register", "unregister", "enable"}:
        from nhagent.report import Report

        return (*Report._fields, "in_sync")
    return _FAILURE_KEYS.get(command, ())


ACTIONS: Final[dict[str, Callable[[argparse.Namespace], Result]]] = {
    "demo": demonstrate,
    "emulator": emulate,
    "emulator exec": run_beside_emulator,
    "register": register,
    "plan": plan,
    "status": status,
    "init": initialise,
    "run": run,
    "wait": wait,
    "metrics": metrics,
    "units": units,
    "verify": verify,
    "unregister": unregister,
    "enable": enable,
    "login": log_in,
    "logout": log_out,
    "doctor": examine,
    "receive": receive,
    "vapid": make_vapid_pair,
    **dict.fromkeys(
        ("hub list", "hub show", "hub send", "hub export", "hub dedupe", "hub delete"), run_a_hub
    ),
    "vault init": make_vault,
}
"""What each command does, by its name."""

_FAILURE_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "plan": ("steps",),
    "status": ("state",),
    "init": ("config", "commands"),
    "wait": ("registered", "state", "why"),
    "metrics": ("in_sync", "state"),
    "units": ("units", "commands", "failed"),
    "verify": ("in_sync", "drift"),
    "enable": ("state",),
    "logout": ("removed_from",),
    "doctor": ("healthy", "checks"),
    "vapid": ("vapid_public_key", "vapid_private_key"),
    "vault init": ("key_file",),
    "hub show": ("found",),
    "hub send": ("notification_id",),
    "hub dedupe": ("channels", "surplus", "kept", "deleted", "requests", "finished"),
    "hub delete": ("deleted", "unknown"),
}


def _service(options: argparse.Namespace) -> str | None:
    """The unit whose device is meant, with ``--service``."""
    if not options.service:
        return None
    from nhagent.commands.service import unit_of

    return unit_of(options.config)


def _agent(options: argparse.Namespace) -> Agent:
    from nhagent.commands.config import read_agent

    return read_agent(options.config)


def _waited_for(what: str) -> AbstractContextManager[None]:
    from nhagent.commands.progress import waited_for

    return waited_for(what)


def _result_of(start: Callable[[Agent], Report], options: argparse.Namespace) -> Result:
    agent = _agent(options)
    if options.verbose:
        report = start(agent)
    else:
        from nhagent.commands.patient_start import told

        with told():
            report = start(agent)
    code = TEMPFAIL if report.outcome is Outcome.WAITING else OK
    if options.json:
        return Result(code, report.to_dict(), "")
    return Result(code, None, text_of_report(report, every_step=bool(options.verbose)))
