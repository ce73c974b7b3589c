"""Ways to make a hub know this device, behind one Protocol.

A registrar compares what is wanted with what the hub last accepted, and says in steps what has to be sent.
Planning is pure; each step is one exchange with the hub. Whatever depends on the style is asked of it.
"""

from __future__ import annotations

from datetime import timedelta

from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Final, Protocol

    from nhagent.device.accepted import Accepted, Sweep
    from nhagent.device.document import JsonObject
    from nhagent.errors import HubError
    from nhagent.hub.operations import HubOperations
    from nhagent.models import Installation
    from nhagent.steps import Step
else:
    Protocol = object

INSTALLATION: Final = "installation"
REGISTRATION: Final = "registration"
STYLES: Final = (INSTALLATION, REGISTRATION)


class WritePolicy(Value):
    """How a device's records are written.

    Attributes:
        expires_after: life of the record at the hub from its last whole write; None: for ever.
        refresh_every: age at which an unchanged record is written again; zero: at every start.
        owns_tags: False where the tags are the backend's: they are neither compared nor written.
        refresh_now: write the record whole whatever its age.
        refresh_lag: how much later than at that age, in the background: this device's own slot.
    """

    expires_after: timedelta | None = None
    refresh_every: timedelta = timedelta(days=1)
    owns_tags: bool = True
    refresh_now: bool = False
    refresh_lag: timedelta = timedelta()


class Learnt(Value):
    """What a hub told of this device before anything was written.

    Attributes:
        installation_id: the id under which it is known, or None.
        accepted: records to go on with, and what must go.
        declared: the declaration that explains what the hub holds, or None.
        is_whole: False where the hub holds more than was taken: it has to be asked again.
    """

    installation_id: str | None
    accepted: Accepted
    declared: Installation | None = None
    is_whole: bool = True


class Observed(Value):
    """What the hub holds.

    Attributes:
        records: the document by record name as it would be remembered; None: the hub does not hold it.
        expired: the push channels, by name, that it has marked as dead.
        alive: those that it was seen to hold without such a mark.
        at: when, by the hub's clock; None where nothing had to be asked.
    """

    records: Mapping[str, JsonObject | None]
    expired: tuple[str, ...] = ()
    alive: tuple[str, ...] = ()
    at: datetime | None = None
    _hidden = frozenset({"records"})


class Registrar(Protocol):
    """Makes a hub know this device in one style.

    Attributes:
        style: the style's name, as it is stored.
        carries_user_id: whether its records have a user id.
    """

    style: str
    carries_user_id: bool

    def check(self, *, user_id: str | None, expires_after: timedelta | None) -> None:
        """Refuse what records of this style cannot carry.

        Raises:
            ConfigurationError: they cannot carry what is given.
        """

    def learn(
        self,
        installation: Installation,
        accepted: Accepted,
        known_id: str | None,
        *,
        listing: bool,
        complete: bool,
    ) -> Learnt:
        """Ask the hub what it holds of the device, and choose what to go on with.

        Args:
            installation: the device.
            accepted: what is remembered all the same; it is kept.
            known_id: the installation id, where that is remembered.
            listing: ask for everything that the hub holds for the device's channels.
            complete: the app declares everything, so that nothing has to be learnt about it.

        Raises:
            HubError: the hub did not answer.
        """

    def observe(self, accepted: Accepted) -> Observed:
        """Ask the hub what it holds of what it accepted.

        Raises:
            HubError: the hub did not answer.
        """

    def compared(self, record: JsonObject) -> JsonObject:
        """Give the part of a stored record that `observe` gives too. Pure."""

    def doubt_all(self, accepted: Accepted, registrations: Mapping[str, str]) -> Accepted:
        """Mark what the hub may hold under ids that are known, where all else was lost. Pure.

        Args:
            accepted: what is remembered all the same.
            registrations: the ids that the hub gave, by record name.
        """

    def retire(self, installation: Installation, accepted: Accepted) -> Accepted:
        """Write down as to be deleted whatever is held and not wanted; records of the other style. Pure."""

    def plan(
        self, installation: Installation, policy: WritePolicy, accepted: Accepted, now: datetime
    ) -> Sequence[Step]:
        """Plan the exchanges that make the hub hold an installation, and nothing that must go. Pure."""

    def plans_again_after(self, step: Step) -> bool:
        """Whether the steps after this one depend on its answer."""

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange.

        Returns:
            What the hub has accepted after it.

        Raises:
            HubError: the hub did not accept it.
        """

    def recover(
        self, step: Step, error: HubError, accepted: Accepted, now: datetime, *, again: bool
    ) -> tuple[Accepted, Sequence[Step] | None]:
        """Say what to do instead of a step that the hub has refused.

        Args:
            step: the refused step.
            error: how the hub refused it.
            accepted: what the hub had accepted before it.
            now: the time by the hub's clock, aware.
            again: something else was done for this record in this pass before.

        Returns:
            What the hub is now known to hold, and the steps that replace the refused one; None: all of them
            have to be planned again.

        Raises:
            HubError: the same error: nothing can be done.
        """

    def leftover(self, sweeps: Iterable[Sweep], accepted: Accepted, installation_id: str | None) -> Accepted:
        """Ask the hub what it still holds of a device that is off.

        Args:
            sweeps: the push channels that it had.
            accepted: what is added to, as to be deleted.
            installation_id: the device's; None where it has none.

        Raises:
            HubError: the hub did not answer.
        """

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted anything of the device. Pure."""

    def due_at(self, policy: WritePolicy, accepted: Accepted) -> datetime | None:
        """Tell when something is written again unchanged, by our clock; None before a whole write. Pure."""

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:
        """Registration ids by record name. Pure."""


def registrar_of(style: str, open_hub: Callable[[], HubOperations], *, at_backend: bool = False) -> Registrar:
    """Make the registrar of a style; that of the other one is not imported.

    Args:
        style: one of `STYLES`.
        open_hub: gives the hub to ask; called when the first exchange is made, not before.
        at_backend: it is the app's backend that is asked.
    """
    if at_backend:
        from nhagent.registrars.backend import BackendRegistrar

        return BackendRegistrar(open_hub)
    if style == REGISTRATION:
        from nhagent.registrars.registration import RegistrationRegistrar

        return RegistrationRegistrar(open_hub)
    from nhagent.registrars.installation import InstallationRegistrar

    return InstallationRegistrar(open_hub)
