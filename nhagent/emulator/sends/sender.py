"""Sends notifications to the devices that they are meant for, and keeps what was delivered."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime

from nhagent.emulator.clock import Clock, iso_time
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.sends.courier import Courier
from nhagent.emulator.sends.delivery import Deliveries, Delivery, Match, Why
from nhagent.emulator.sends.matching import expression_in, matches_of, reason_for, reasons_in
from nhagent.emulator.sends.send import Send, check_send
from nhagent.emulator.sends.tag_expressions import TagExpression

MOST_TESTED = 10
"""Devices that a test send reaches."""


class Sender:
    """Sends notifications.

    Args:
        hub: holds the devices.
        clock: the hub's.
        deliveries: where every send is kept.
        courier: passes messages on to push services.

    Attributes:
        deliveries: as given.
        courier: as given.
    """

    def __init__(self, hub: Hub, clock: Clock, deliveries: Deliveries, courier: Courier) -> None:
        self.deliveries = deliveries
        self.courier = courier
        self._hub = hub
        self._clock = clock

    def check(self, send: Send) -> TagExpression | None:
        """Check a send by the service's rules, without sending it; return its tag expression, if it has one.

        Raises:
            Refused: 400 or 413.
        """
        check_send(send)
        return expression_in(send)

    def send(self, send: Send, delivery_id: str | None = None) -> Delivery:
        """Send it now.

        Args:
            send: what is sent.
            delivery_id: the notification's id; None for a new one.

        Raises:
            Refused: 400 or 413.
        """
        expression = self.check(send)
        now = self._clock.now()
        self._hub.forget_expired(now)
        table = self._hub.table
        matched = matches_of(send, expression, table)
        if send.test:
            del matched[MOST_TESTED:]
        delivery = Delivery(
            id=delivery_id or new_id(now),
            at=iso_time(now),
            hub=self._hub.name,
            format=send.format,
            target=send.target,
            expression=send.expression,
            test=send.test,
            headers=dict(send.headers),
            sent_body=send.text,
            matched=tuple(matched),
            why=() if send.handles else tuple(reasons_in(send, expression, table, matched)),
        )
        self.deliveries.add(delivery, frozenset() if expression is None else expression.tags())
        self.courier.take(delivery, at_once=send.test)
        return self.deliveries.find(delivery.id) or delivery

    def reach(self, format: str, expression: str | None) -> list[Match]:  # noqa: A002 - the service's name
        """Return whom a send would reach now. The bodies are empty.

        Args:
            format: ``windows``, ``template``, …
            expression: a tag expression; None for everybody.

        Raises:
            Refused: 400, the format or the expression is not valid.
        """
        send = Send(format.lower(), b"{}", {"x-wns-type": "wns/toast"}, expression)
        parsed = self.check(send)
        self._hub.forget_expired(self._clock.now())
        return matches_of(send, parsed, self._hub.table)

    def why_not(self, delivery_id: str, installation: str) -> Why | None:
        """Return why an installation received nothing; None where it received something.

        Args:
            delivery_id: the notification's id.
            installation: the id of the installation, which is looked at as it is now.

        Raises:
            KeyError: there is no such delivery, or no such installation.
        """
        delivery = self.deliveries.find(delivery_id)
        if delivery is None:
            raise KeyError(f"There is no delivery '{delivery_id}'.")
        if any(match.installation == installation for match in delivery.matched):
            return None
        then = next((why for why in delivery.why if why.installation == installation), None)
        if then is not None:
            return then
        registrations = list(self._hub.table.of_installation(installation).values())
        if not registrations:
            raise KeyError(f"There is no installation '{installation}'.")
        if delivery.target == "direct":
            return Why(installation, None, "This was sent to handles that the sender named.", None)
        send = Send(delivery.format, delivery.sent_body.encode(), delivery.headers, delivery.expression)
        return reason_for(send, expression_in(send), registrations)


def new_id(now: float, joint: str = "-") -> str:
    """Return a new notification's id, in the form of the service's.

    Args:
        now: the hub's time, seconds since 1970.
        joint: what stands between its parts; ``_`` for a scheduled notification.
    """
    at = f"{datetime.fromtimestamp(int(now), UTC):%Y%m%d%H%M%S}"
    return joint.join([uuid.uuid4().hex, at, str(secrets.randbelow(100)), str(secrets.randbelow(10))])
