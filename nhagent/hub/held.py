"""Registrations as a hub holds them, and lists of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nhagent.errors import ConfigurationError
from nhagent.hub.checked import is_continuation
from nhagent.hub.texts import owner_in
from nhagent.models import Registration
from nhagent.secret import NO_LOCALS
from nhagent.validation import shown
from nhagent.values import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime


class HeldRegistration(Registration):
    """A registration as the hub holds it, which is not judged by our rules.

    With ``dataclasses.replace`` it becomes what an update takes: the ETag of what was read goes along.

    Attributes:
        platform, channel, tags, push_variables, template, template_name, secondary_tile_name: as in a
            `nhagent.models.Registration`.
        registration_id: the hub's name for it.
        etag: the bare counter of its ETag; empty where the hub gave none.
        expiration_time: when the hub forgets it, aware; None: never, or it does not say.

    Raises:
        ConfigurationError: its tags are not a list of text.
    """

    registration_id: str = ""
    etag: str = ""
    expiration_time: datetime | None = None

    @property
    def installation_id(self) -> str | None:
        """The installation that it belongs to, by the tag of the service; None: it belongs to none."""
        return owner_in(self.tags)

    def _validate(self) -> None:
        if isinstance(self.tags, str) or not all(isinstance(tag, str) for tag in self.tags):
            raise ConfigurationError(f"tags {shown(self.tags)}: not a list of text", "give a list of tags")
        self.__dict__["tags"] = tuple(self.tags)


class Page(Frozen):
    """A part of a list.

    Attributes:
        items: the registrations, in the hub's order.
        token: with what to ask for the part after it; None: there is none.
    """

    items: tuple[HeldRegistration, ...]
    token: str | None = None


class Registrations:
    """A list of registrations. It is asked for page by page, again each time that it is iterated over.

    Args:
        ask: gives the page after a token; None: the first.
        endless: makes the error of a list without end.
        max_pages: pages after which a list counts as one.
    """

    def __init__(
        self, ask: Callable[[str | None], Page], endless: Callable[[], Exception], max_pages: int
    ) -> None:
        self._ask = ask
        self._endless = endless
        self._max_pages = max_pages

    def __iter__(self) -> Iterator[HeldRegistration]:
        for page in self.pages():
            yield from page.items

    def __repr__(self) -> str:
        return "<list of registrations>"

    def pages(self, token: str | None = None) -> Iterator[Page]:
        """Ask for the list page by page; one is held at a time.

        Args:
            token: that of the last `Page` that was seen, to go on after it; None: from the beginning.

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
            ConfigurationError: it is no token of a page.
        """
        if token is not None and not is_continuation(token):
            raise ConfigurationError(f"token {shown(token)}: not that of a page", "give Page.token")
        return self._pages_after(token)

    def _pages_after(self, token: str | None) -> Iterator[Page]:
        seen = {token}
        for _ in range(self._max_pages):
            with NO_LOCALS:
                page = self._ask(token)
            yield page
            token = page.token
            if token is None:
                return
            if token in seen:
                break
            seen.add(token)
        raise self._endless()
