"""What a check comes to, and what one check tells those that follow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING, Final

from nhagent.commands.doctor import units
from nhagent.commands.setup import Answer, Setup
from nhagent.errors import HubError, NhagentError
from nhagent.report import StartState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from nhagent.report import Status

WAIT: Final = (
    "wait: nhagent tries again by itself; if it stays so, see whether a proxy or a captive portal answers in "
    "the hub's place, else ask who runs the hub"
)
PORTAL: Final = "a captive portal or proxy stands in between: sign in there or go around it"
REDIRECTIONS: Final = range(300, 400)


@dataclass(frozen=True, slots=True)
class Check:
    """What one check has shown.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be; None: it could not be looked at, or there was nothing to see.
        fact: what was seen.
        next: what to do where it is not as it should be, else "".
    """

    name: str
    ok: bool | None
    fact: str
    next: str = ""


class Wrong(Exception):
    """Something is not as it should be.

    Args:
        fact: what was seen.
        hint: what to do next.
    """

    def __init__(self, fact: str, hint: str) -> None:
        super().__init__(fact, hint)
        self.fact = fact
        self.hint = hint


class Unchecked(Exception):
    """Something cannot be looked at, or there is nothing to see.

    Args:
        reason: why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Findings:
    """What the checks so far have found.

    Args:
        config: the configuration file's path; None: the usual one.
        service: the unit whose device is looked at; None: whoever runs this is looked at.

    Attributes:
        config, service: as given.
        has_moved: whether the credential leads to a namespace that does not know the device yet.
        answer: what the hub said, once it was asked.
        channel_names: the names of the push channels so far, by what identifies the channel.
    """

    def __init__(self, config: str | None, service: str | None = None) -> None:
        self.config = config
        self.service = service
        self.has_moved = False
        self.answer: Answer | None = None
        self.channel_names: dict[str, str] = {}
        self._red: set[str] = set()
        self._setup: Setup | None = None

    def check(self, name: str, look: Callable[[], str]) -> Check:
        """Make one check.

        Args:
            name: what is looked at.
            look: gives what was seen, or raises `Wrong`, `Unchecked` or one of nhagent's errors.

        Returns:
            What the check has shown.
        """
        try:
            self.need("configuration")
            return Check(name, True, look())
        except Unchecked as unchecked:
            return Check(name, None, unchecked.reason)
        except Wrong as wrong:
            fact, hint = wrong.fact, wrong.hint
        except NhagentError as error:
            fact, hint = error.fact, hint_of(error)
        self._red.add(name)
        return Check(name, False, fact, hint)

    def need(self, *names: str) -> None:
        """Refuse to go on where one of these checks is red.

        Raises:
            Unchecked: one is.
        """
        for name in names:
            if name in self._red:
                raise Unchecked(f"cannot be checked before {name} is in order")

    @property
    def has_red(self) -> bool:
        """Whether a check has found something wrong so far."""
        return bool(self._red)

    def is_red(self, name: str) -> bool:
        """Whether a check has found something wrong."""
        return name in self._red

    @property
    def has_setup(self) -> bool:
        """Whether the configuration was read."""
        return self._setup is not None

    @property
    def setup(self) -> Setup:
        """What the configuration describes; only after the configuration's check."""
        assert self._setup is not None
        return self._setup

    @setup.setter
    def setup(self, setup: Setup) -> None:
        self._setup = setup

    @cached_property
    def status(self) -> Status:
        """What the device remembers."""
        return self.setup.agent.status()

    @property
    def known_status(self) -> Status | None:
        """What the device remembers; None where that is not in order."""
        return None if self.is_red("state") else self.status

    @property
    def is_disabled(self) -> bool:
        """Whether the device was unregistered by request."""
        status = self.known_status
        return status is not None and status.state is StartState.DISABLED

    @cached_property
    def _units(self) -> tuple[list[units.Unit], bool]:
        return units.installed(*([] if self.service is None else [self.service]))

    @property
    def knows_units(self) -> bool:
        """Whether the system's systemd has said which units there are."""
        return self._units[1]

    @property
    def units(self) -> list[units.Unit]:
        """The units of nhagent that systemd knows."""
        return self._units[0]


def hint_of(error: NhagentError) -> str:
    """What to do about an error: its own hint, or, where the hub has sent us elsewhere, how to reach it."""
    if isinstance(error, HubError):
        if error.status in REDIRECTIONS:
            return PORTAL
        return error.hint or WAIT
    return error.hint or "correct what it names"


def shown_time(moment: datetime | None) -> str:
    """Write a moment for people; "" for None."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}"


def reason_of(error: Exception) -> str:
    """Say in short why the system refused something."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
