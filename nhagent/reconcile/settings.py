"""Settings of an agent that are not persisted: what the app passes in, checked once."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from enum import Enum

from nhagent import validation
from nhagent.device.machine import Machine, derived_installation_id, fingerprint_of
from nhagent.errors import ConfigurationError
from nhagent.interruption import sleep
from nhagent.models import Platform, read_channel
from nhagent.reconcile.declaration import PRIMARY, Declaration, tile_name
from nhagent.reconcile.seams import clock_from, machine_from, random_from
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION, STYLES
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from nhagent.channels.source import ChannelSource
    from nhagent.device.document import JsonObject
    from nhagent.device.machine import Fingerprint, MachineName
    from nhagent.hub.backend import Backend
    from nhagent.models import PushChannel
    from nhagent.registrars.protocol import Registrar


class Keep(Enum):
    """The type of `KEEP`."""

    KEEP = "what was declared before"


KEEP: Final = Keep.KEEP
"""Stands for a user id that is left out: who used the device before still does."""
LONGEST: Final = timedelta(days=36500)
"""Longest duration that can be reckoned with."""
FROM_MACHINE: Final = "machine"
"""The installation id that stands for one derived from this machine."""
DAILY: Final = timedelta(days=1)
LEAST_REFRESH: Final = timedelta(minutes=1)
"""The background thread writes no record again sooner for its age alone."""


class Settings(Value):
    """What the app passes to an agent and is not stored.

    Attributes:
        app: the app's name.
        hub: the hub's name, or the backend's.
        backend: the backend that registers the device; None: it speaks to the hub itself.
        platform: the device's platform.
        source: the source of its push channel.
        fixed_channel: the push channel, where it was given as it is.
        given: what the app declared this time.
        initial_tags: the tags of a device that has declared nothing yet; None: none are given.
        style: which registrar keeps the device known.
        installation_id: the id that the app wants, or None for one of our making.
        expires_after, refresh_every, owns_tags: see `nhagent.registrars.protocol.WritePolicy`.
        first_run_list: whether a first run asks the hub what it holds for the device's channels.
        startup_spread: over how long after their boot a fleet's first requests are spread.
        clock: gives the time, aware. It raises ConfigurationError where the app's own gives none.
        sleep: waits some seconds.
        wait: the app's own sleep, or None.
        random: gives a number from 0 to 1, as ``clock``.
        machine: gives the keyed hash of this machine's name, or None.
    """

    app: str
    hub: str
    backend: Backend | None
    platform: Platform
    source: ChannelSource
    fixed_channel: PushChannel | None
    given: Declaration
    initial_tags: tuple[str, ...] | None
    style: str
    installation_id: str | None
    expires_after: timedelta | None
    refresh_every: timedelta
    owns_tags: bool
    first_run_list: bool
    startup_spread: timedelta
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    wait: Callable[[float], None] | None
    random: Callable[[], float]
    machine: Callable[[], Fingerprint]
    derives_id: bool = False
    first_derived_id: str | None = None
    _hidden = frozenset({"source", "fixed_channel", "backend"})

    @property
    def declares_tags(self) -> bool:
        """Whether the app gives the device's tags, so that what is stored of them is replaced at a start."""
        return self.given.tags is not None

    def declared_over(self, stored: JsonObject) -> Declaration:
        """Give what is declared: now, else before, else the initial tags.

        Raises:
            Malformed: what was stored is not a declaration.
        """
        declared = self.given.over(Declaration.from_json(stored))
        if not stored and self.initial_tags is not None:
            declared = declared.changed(tags=self.initial_tags)
        return declared

    @property
    def refreshed_in_background_every(self) -> timedelta:
        """As `refresh_every`, a minute at least; for a device that stays, every start means daily."""
        return max(self.refresh_every, LEAST_REFRESH) if self.refresh_every else DAILY

    def check(self, registrar: Registrar) -> None:
        """Check that the settings fit together, and their style, and a channel that is given as it is.

        Raises:
            ConfigurationError: they do not.
        """
        if not self.owns_tags:
            self._check_ownership()
        registrar.check(user_id=self.given.user_id, expires_after=self.expires_after)
        if self.fixed_channel is not None and self.given.secondary_tiles:
            self._check_channels(self.fixed_channel)

    def _check_ownership(self) -> None:
        """Refuse settings under which somebody's tags or expiry would be overwritten."""
        if self.given.has_tags or self.initial_tags:
            raise ConfigurationError(
                "owns_tags=False: the backend owns the tags, so that none can be declared here",
                "drop the tags, or owns_tags=False",
            )
        if self.expires_after is not None:
            raise ConfigurationError(
                "expires_after: needs whole writes, which owns_tags=False forbids", "drop one of the two"
            )

    def _check_channels(self, primary: PushChannel) -> None:
        """Refuse equal channels as soon as they are given as they are, before any source is asked."""
        tiles = self.given.secondary_tiles or {}
        channels: dict[str, PushChannel] = {
            tile_name(tile_id): read_channel(self.platform, tile.channel, tile_name(tile_id))
            for tile_id, tile in tiles.items()
            if isinstance(tile.channel, str)
        }
        self.given.installation("probe", self.platform, {PRIMARY: primary, **channels})


def read_settings(**given: Any) -> Settings:
    """Check what the app passes to `nhagent.agent.Agent`, each part for itself.

    Args:
        given: the arguments of the agent that describe the device and how it is kept, by name.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    app = validation.checked_app_name(given["app"])
    backend = None if isinstance(given["hub"], str) else _backend(given)
    hub = validation.checked_hub_name(given["hub"]) if backend is None else backend.name
    platform = _platform(given["platform"], given["channel"])
    if given["style"] not in STYLES:
        raise ConfigurationError(
            f"style {validation.shown(given['style'])}: unknown", f'give "{INSTALLATION}" or "{REGISTRATION}"'
        )
    for flag in ("allow_full_access", "owns_tags", "first_run_list"):
        validation.check_flag(flag, given[flag])
    for call in ("on_registered", "on_error", "clock", "sleep", "random", "machine"):
        validation.check_callable(call, given[call])
    for duration in ("refresh_every", "startup_spread"):
        check_duration(duration, given[duration])
    _check_expiry(given["expires_after"])
    name_machine = machine_from(given["machine"])
    return Settings(
        app=app,
        hub=hub,
        backend=backend,
        platform=platform,
        **_source(platform, given["channel"]),
        given=_declared(platform, given),
        initial_tags=_initial_tags(given),
        style=given["style"],
        **_installation_id(given["installation_id"], name_machine, app, hub),
        expires_after=given["expires_after"],
        refresh_every=given["refresh_every"],
        owns_tags=given["owns_tags"],
        first_run_list=given["first_run_list"] and backend is None,
        startup_spread=given["startup_spread"],
        clock=clock_from(given["clock"]),
        sleep=given["sleep"] or sleep,
        wait=given["sleep"],
        random=random_from(given["random"]),
        machine=lambda: fingerprint_of(name_machine(), app, hub),
    )


def _backend(given: dict[str, Any]) -> Backend | None:
    """The backend that is given in the place of a hub's name; what it rules out is refused."""
    found = given["hub"]
    if "nhagent.hub.backend" not in sys.modules:  # whoever made one has imported it
        return None
    from nhagent.hub.backend import Backend
    from nhagent.registrars.backend import check_settings

    if not isinstance(found, Backend):
        return None
    check_settings(given)
    return found


def _platform(given: object, channel: object) -> Platform:
    """The app's platform, or that of a channel source which names its own; the two must not differ."""
    own = getattr(channel, "platform", None) if callable(channel) else None
    if given is None and own is None:
        raise ConfigurationError(
            "platform: is missing, and the channel's source names none", "give the platform's name"
        )
    platform = Platform.parse(own if given is None else given)
    if own is not None and Platform.parse(own) is not platform:
        raise ConfigurationError(
            f"platform {platform.value!r}: the channel's source is of platform {Platform.parse(own).value!r}",
            "leave platform out, or give that of the source",
        )
    return platform


def _source(platform: Platform, channel: Any) -> dict[str, Any]:
    """The source of the device's channel, and the channel itself where it was given as it is."""
    if callable(channel):
        validation.check_not_async(PRIMARY, channel)
        return {"source": channel, "fixed_channel": None}
    fixed = read_channel(platform, channel, PRIMARY)
    return {"source": lambda: fixed, "fixed_channel": fixed}


def named_user(user_id: str | Keep | None) -> str | None:
    """Give a user id as a `Declaration` has it: empty for nobody, None for whoever it was before."""
    if user_id is KEEP:
        return None
    return "" if user_id is None else user_id


def _declared(platform: Platform, given: Mapping[str, Any]) -> Declaration:
    parts = {name: given[name] for name in Declaration.names()}
    return Declaration.checked(platform, **{**parts, "user_id": named_user(parts["user_id"])})


def _initial_tags(given: Mapping[str, Any]) -> tuple[str, ...] | None:
    if given["initial_tags"] is None:
        return None
    if given["tags"] is not None:
        raise ConfigurationError(
            "initial_tags: there are tags beside them",
            "give tags where the app says them at every start, else initial_tags",
        )
    return validation.checked_tags("initial_tags", given["initial_tags"])


def check_duration(name: str, value: object) -> None:
    """Check a duration.

    Raises:
        ConfigurationError: not a timedelta, negative, or longer than can be reckoned with.
    """
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= LONGEST:
        raise ConfigurationError(
            f"{name} {validation.shown(value)}: is not such a duration",
            "give a timedelta from zero to a hundred years",
        )


def _check_expiry(expires_after: object) -> None:
    if expires_after is None:
        return
    check_duration("expires_after", expires_after)
    if not expires_after:
        raise ConfigurationError(
            "expires_after: zero; the hub would forget the device at once", "give a longer one, or None"
        )


def _installation_id(given: object, name_machine: MachineName, app: str, hub: str) -> dict[str, Any]:
    """The app's own id, or that of this machine and what the first edition made of its name alone."""
    if given != FROM_MACHINE:
        if given is not None:
            validation.check_installation_id(given)
        return {"installation_id": given}
    machine = name_machine()
    name = machine.name if isinstance(machine, Machine) else machine
    return {
        "installation_id": derived_installation_id(machine, app, hub),
        "derives_id": True,
        "first_derived_id": derived_installation_id(name, app, hub),
    }
