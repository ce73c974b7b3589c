"""How a device stands, in the text format of Prometheus. The hub is not asked.

node_exporter's textfile collector reads files of this form, whose names end in ``.prom``. The format:
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from nhagent.commands.setup import read_setup
from nhagent.errors import ConfigurationError, NhagentError, StateUnwritable
from nhagent.logs import Log
from nhagent.report import StartState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import TypeAlias

    from nhagent.commands.setup import Setup
    from nhagent.report import Status

    Fact: TypeAlias = bool | float | str | None
    Facts: TypeAlias = Mapping[str, Fact]
    Samples: TypeAlias = Mapping[str, tuple[Facts, Fact]]

_log = Log(__name__)

METRICS: Final[Mapping[str, str]] = {
    "nhagent_in_sync": "Whether the hub has accepted all that is declared (1) or not (0).",
    "nhagent_last_success_timestamp_seconds": "When the hub last accepted the device or was seen to hold it.",
    "nhagent_channels": "Push channels that are remembered, tiles' among them; 0 before a registration.",
    "nhagent_failures": "Consecutive failed attempts, by the class of the last error.",
    "nhagent_next_attempt_timestamp_seconds": "When the next attempt may be made, if something holds it up.",
    "nhagent_info": "Where the device stands.",
}
"""What each means, by its name. All are gauges."""
_WRONG_PLACE: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError, ValueError)
MODE: Final = 0o644
"""Of the file: node_exporter runs as somebody else."""


def collect(config: str | None) -> dict[str, Fact]:
    """Look at the device that a configuration describes, and give what `text` is made of."""
    return facts_of(read_setup(config).agent.status())


def facts_of(status: Status) -> dict[str, Fact]:
    """Give what is measured of a device, as ``metrics --json`` prints it; None: there is no such value.

    Args:
        status: what it remembers.
    """
    seen = [moment for moment in (status.accepted_at, status.verified_at) if moment is not None]
    return {
        "in_sync": status.state is StartState.IN_SYNC,
        "last_success": _seconds(max(seen, default=None)),
        "channels": len(status.channels),
        "failures": status.failures,
        "failure": status.last_error,
        "next_attempt": _seconds(status.next_attempt),
        "state": status.state.value,
        "app": status.app,
        "hub": status.hub,
        "platform": status.platform.value,
    }


def text_of(facts: Facts) -> str:
    """Write what is measured as Prometheus reads it.

    Args:
        facts: as `facts_of` gives them.
    """
    labels = {name: facts[name] for name in ("state", "app", "hub", "platform")}
    samples: Samples = {
        "nhagent_in_sync": ({}, facts["in_sync"]),
        "nhagent_last_success_timestamp_seconds": ({}, facts["last_success"]),
        "nhagent_channels": ({}, facts["channels"]),
        "nhagent_failures": ({"error": facts["failure"] or ""}, facts["failures"]),
        "nhagent_next_attempt_timestamp_seconds": ({}, facts["next_attempt"]),
        "nhagent_info": (labels, 1.0),
    }
    return "\n".join([*_lines(samples), ""])


def write(path: str, text: str) -> None:
    """Put a file in the place of another one, in one step; a link of that name is replaced, not followed.

    Args:
        path: the file's.
        text: what is in it.

    Raises:
        ConfigurationError: its folder is missing, or this user may not write there.
        StateUnwritable: it cannot be written now, as on a full disk.
    """
    temporary = Path(f"{path}.{token_hex(4)}.new")  # node_exporter reads those alone that end in .prom
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
        try:
            temporary.chmod(MODE)  # whatever the umask says
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except (OSError, ValueError) as error:
        told = f"metrics file {path}: cannot be written ({getattr(error, 'strerror', None) or error})"
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            hint = "let the service write there: ReadWritePaths=-FOLDER in a drop-in of its unit"
            raise ConfigurationError(told, hint) from None
        if isinstance(error, _WRONG_PLACE):
            raise ConfigurationError(told, "make its folder, and let this user write there") from None
        raise StateUnwritable(told, "make room on the disk") from None


class MetricsFile:
    """The file that the daemon keeps; what stands in its way is logged once."""

    def __init__(self) -> None:
        self._error = ""

    def write(self, setup: Setup) -> None:
        """Write how the device stands now, where the configuration names a file.

        Args:
            setup: what the configuration describes.
        """
        if setup.metrics_file is None:
            return
        error = ""
        try:
            write(setup.metrics_file, text_of(facts_of(setup.agent.status())))
        except NhagentError as failure:
            error = str(failure)
        if error and error != self._error:
            _log.warning("%s", error)
        self._error = error


def _lines(samples: Samples) -> Iterator[str]:
    for name, (labels, value) in samples.items():
        if value is None:
            continue
        yield f"# HELP {name} {METRICS[name]}"
        yield f"# TYPE {name} gauge"
        shown = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
        yield f"{name}{f'{{{shown}}}' if shown else ''} {value:.3f}".replace(".000", "")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
