"""What a send came to: what each device would receive, and why others would not."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from nhagent.emulator.changes import Changes

KEPT = 1000
"""Deliveries kept; older ones are dropped."""
KEPT_MATCHES = 250_000
"""Messages to devices kept, all deliveries together; the oldest deliveries above it are dropped."""


@dataclass(frozen=True, slots=True)
class Match:
    """One message to one device.

    Attributes:
        installation: the installation's id; None for a registration that a client made.
        registration: the registration's id; empty for a handle that no registration has (a direct send).
        platform: ``wns``, ``apns``, …
        channel: the PNS handle; a browser's is an object. Not in the ``repr``.
        body: what the push service would get.
        headers: what it would get beside it.
        template: the template's name; None for a native message, or a template without a name.
        tile: the secondary tile's id; None for the device's own channel.
        outcome: what a push service answered, where the message was passed on; None: it was not, or not yet.
    """

    installation: str | None
    registration: str
    platform: str
    channel: str | dict[str, str] = field(repr=False)
    body: str = field(repr=False)
    headers: dict[str, str]
    template: str | None = None
    tile: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """Why a device receives nothing.

    Attributes:
        installation: the installation's id; None for a registration that a client made.
        registration: the id of a registration that a client made; None for an installation.
        reason: in words.
        term: the part of the tag expression that is not true of it; None where tags are not the reason.
    """

    installation: str | None
    registration: str | None
    reason: str
    term: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One send, and what it came to.

    Attributes:
        id: the notification's id.
        at: when it was sent, by the hub's clock: ISO 8601, UTC.
        hub: the hub's name.
        format: ``windows``, ``apple``, ``template``, …
        target: ``broadcast``, ``tags``, or ``direct`` for handles that the sender named.
        expression: the tag expression; None for other targets.
        test: whether it was a test send.
        headers: what the sender said to the push service. Names are in lower case.
        sent_body: what the sender sent. Not in the ``repr``.
        matched: what each device would receive.
        why: why others would not, for the first 50 of them; see `Emulator.why_not` for others.
    """

    id: str
    at: str
    hub: str
    format: str
    target: str
    expression: str | None
    test: bool
    headers: dict[str, str]
    sent_body: str = field(repr=False)
    matched: tuple[Match, ...]
    why: tuple[Why, ...]


@dataclass(slots=True)
class _Kept:
    delivery: Delivery
    tags: frozenset[str]
    outcomes: dict[int, str]

    def with_outcomes(self) -> Delivery:
        if not self.outcomes:
            return self.delivery
        matched = list(self.delivery.matched)
        for place, outcome in self.outcomes.items():
            matched[place] = replace(matched[place], outcome=outcome)
        return replace(self.delivery, matched=tuple(matched))


class Deliveries:
    """The deliveries so far, which many threads add to and read.

    Args:
        changes: told of every one.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._kept: deque[_Kept] = deque()
        self._matches = 0

    def add(self, delivery: Delivery, tags: frozenset[str]) -> None:
        """Append a delivery.

        Args:
            delivery: what was sent.
            tags: the tags in its expression, in lower case.
        """
        with self._lock:
            self._kept.append(_Kept(delivery, tags, {}))
            self._matches += len(delivery.matched)
            while len(self._kept) > KEPT or (self._matches > KEPT_MATCHES and len(self._kept) > 1):
                self._matches -= len(self._kept.popleft().delivery.matched)
        self._changes.note("deliveries")

    def note_outcome(self, delivery_id: str, place: int, outcome: str) -> None:
        """Note what a push service answered to one message of a delivery.

        Args:
            delivery_id: the notification's id; no-op for one that is no longer kept.
            place: the message's place among those matched.
            outcome: in words.
        """
        with self._lock:
            for kept in reversed(self._kept):
                if kept.delivery.id == delivery_id:
                    kept.outcomes[place] = outcome
                    break
        self._changes.note("deliveries")

    def entries(self, *, tag: str | None = None, installation: str | None = None) -> list[Delivery]:
        """Return the deliveries, oldest first.

        Args:
            tag: only those whose expression names this tag.
            installation: only those that reached this installation.
        """
        with self._lock:
            return [
                kept.with_outcomes()
                for kept in self._kept
                if (tag is None or tag.lower() in kept.tags)
                and (
                    installation is None
                    or any(match.installation == installation for match in kept.delivery.matched)
                )
            ]

    def find(self, delivery_id: str) -> Delivery | None:
        """Return one delivery; None when there is none of this id, or it is no longer kept."""
        with self._lock:
            for kept in reversed(self._kept):
                if kept.delivery.id == delivery_id:
                    return kept.with_outcomes()
        return None

    def clear(self) -> None:
        """Remove every delivery."""
        with self._lock:
            self._kept.clear()
            self._matches = 0
        self._changes.note("deliveries")


def as_json(delivery: Delivery) -> dict[str, Any]:
    """Write a delivery as the control routes give it."""
    return asdict(delivery)
