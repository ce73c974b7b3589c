"""``[hooks]``: programs that are told when the hub has accepted something new, and when something fails.

What is told is one JSON object on the program's standard input. A hook that fails is logged, and stops
nothing.
"""

from __future__ import annotations

from nhagent.commands.output import as_json
from nhagent.errors import ConfigurationError
from nhagent.logs import Log
from nhagent.report import error_to_plain

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from nhagent.commands.toml_table import TomlTable
    from nhagent.errors import NhagentError
    from nhagent.report import Report

EVENTS: Final = ("on_registered", "on_error")
"""What a hook can be told of; the names are those of `nhagent.agent.Agent`'s callbacks."""
TIMEOUT: Final = "30s"
"""How long a hook may run by default."""
MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""The most that a hook may print; nobody reads it."""

_log = Log(__name__)


def read_hooks(
    table: TomlTable, command_in: Callable[[TomlTable, str], list[str]]
) -> dict[str, Callable[[Any], None]]:
    """Read the table ``hooks``.

    Args:
        table: the table.
        command_in: reads a command of a table, by its key.

    Returns:
        The agent's callbacks, by the name of its argument.

    Raises:
        ConfigurationError: something in it is wrong.
    """
    from nhagent.channels import simple
    from nhagent.commands.durations import read_duration

    if not any(event in table.given for event in EVENTS):
        raise ConfigurationError(
            f"{table.name}: names no program", f"give one of {' and '.join(EVENTS)}, or remove the table"
        )
    seconds = read_duration(table.text("timeout", TIMEOUT), table.path("timeout")).total_seconds()
    if not seconds:
        raise ConfigurationError(f"{table.name}.timeout: is zero", "give the programs some time")
    try:
        variables = simple.checked_variables(table.texts("pass_environment"))
    except ConfigurationError as error:
        raise error.at(table.name) from None
    hooks: dict[str, Callable[[Any], None]] = {}
    for event, told in (("on_registered", _of_report), ("on_error", _of_error)):
        if event in table.given:
            hooks[event] = _Hook(event, command_in(table, event), told, seconds, variables)
    return hooks


class _Hook:
    """Runs a program whenever something happens."""

    def __init__(
        self,
        event: str,
        command: list[str],
        told: Callable[[Any], Mapping[str, Any]],
        seconds: float,
        variables: tuple[str, ...],
    ) -> None:
        self._event = event
        self._command = command
        self._told = told
        self._seconds = seconds
        self._variables = variables

    def __call__(self, news: object) -> None:
        """Run it, and wait until it has ended."""
        from nhagent.channels import child

        name = f"hooks.{self._event} {self._command[0]!r}"
        try:
            ended = child.run(
                self._command,
                input=as_json(self._told(news)).encode(),
                seconds=self._seconds,
                cap=MAX_OUTPUT_BYTES,
                environment=child.environment(self._variables),
            )
        except child.ChildFailed as error:
            _log.warning("%s: %s; %s", name, error.fact, error.hint)
            return
        if ended.status != 0:
            _log.warning("%s: failed with status %s; run it by hand to see why", name, ended.status)


def _of_report(report: Report) -> Mapping[str, Any]:
    return {"event": EVENTS[0], **report.to_dict()}


def _of_error(error: NhagentError) -> Mapping[str, Any]:
    return {"event": EVENTS[1], "error": error_to_plain(error)}
