"""What an agent holds for true beside what it remembers, and whether that fits together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.models import Platform, PushChannel
from nhagent.reconcile.declaration import PRIMARY, Declaration, tile_name
from nhagent.registrars import REGISTRATION

LONGEST: Final = timedelta(days=36500)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agent holds for true, beside what it remembers.

    Attributes:
        platform: the device's platform.
        given: what the app declared this time.
        installation_id: the id that the app wants, or None for one of our making.
        expires_after, refresh_every, owns_tags: see `nhagent.registrars.Desired`.
        first_run_list: whether a first run asks the hub what it holds for the device's channels.
        startup_spread: over how long after their boot a fleet's first requests are spread.
    """

    platform: Platform
    given: Declaration
    installation_id: str | None
    expires_after: timedelta | None
    refresh_every: timedelta
    owns_tags: bool
    first_run_list: bool = True
    startup_spread: timedelta = timedelta()

    @property
    def refreshed_in_background_every(self) -> timedelta:
        """As `refresh_every`; where that is every start, one that goes on is refreshed daily."""
        return self.refresh_every or timedelta(days=1)


def check_terms(terms: Terms, style: str, fixed_channel: PushChannel | None) -> None:
    """Check that an agent's terms fit together, and its style, and a channel that is given as it is.

    Raises:
        ConfigurationError: they do not.
    """
    _check_ownership(terms)
    if style == REGISTRATION:
        _check_registration(terms)
    if fixed_channel is not None:
        _check_channels(terms, fixed_channel)


def _check_ownership(terms: Terms) -> None:
    """Refuse terms under which somebody's tags or expiry would be overwritten."""
    if terms.owns_tags:
        return
    given = terms.given
    tiles = (given.secondary_tiles or {}).values()
    templates = [*(given.templates or {}).values(), *(t for tile in tiles for t in tile.templates.values())]
    if given.tags or any(tile.tags for tile in tiles) or any(template.tags for template in templates):
        raise ConfigurationError(
            "owns_tags=False: the backend owns the tags, so that none can be declared here"
        )
    if terms.expires_after is not None:
        raise ConfigurationError(
            "expires_after: needs whole writes, which owns_tags=False forbids; drop one of the two"
        )


def _check_channels(terms: Terms, primary: PushChannel) -> None:
    """Refuse equal channels as soon as they are given as they are, before any source is asked."""
    tiles = terms.given.secondary_tiles or {}
    channels: dict[str, PushChannel] = {
        tile_name(tile_id): tile.channel for tile_id, tile in tiles.items() if isinstance(tile.channel, str)
    }
    terms.given.installation("probe", terms.platform, {PRIMARY: primary, **channels})


def _check_registration(terms: Terms) -> None:
    """Refuse what registrations cannot carry."""
    for name, given in (("user_id", terms.given.user_id), ("expires_after", terms.expires_after)):
        if given:
            raise ConfigurationError(
                f'{name}: style "{REGISTRATION}" has none: a registration carries neither a user id nor '
                'an expiry of our choice; drop it, or take style "installation"'
            )


def check_duration(name: str, value: object) -> None:
    """Check a duration.

    Raises:
        ConfigurationError: it is none, negative, or longer than can be reckoned with.
    """
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= LONGEST:
        raise ConfigurationError(
            f"{name} {validation.shown(value)}: give a timedelta from zero to a hundred years"
        )
