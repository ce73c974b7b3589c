"""The operations that send: from HTTP to the outbox and back."""

from __future__ import annotations

from nhagent.emulator.http_messages import Refused, Reply
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.rest.call import Call
from nhagent.emulator.rest.replies import XML
from nhagent.emulator.sends.outcome import write_details, write_outcome
from nhagent.emulator.sends.reading import read_batch, read_send, read_time


def send(hub: Hub, call: Call) -> Reply:
    delivery = call.outbox.sender.send(read_send(call.request))
    body = write_outcome(delivery).encode() if delivery.test else b""
    return _created(hub, call, "messages", delivery.id, body)


def send_batch(hub: Hub, call: Call) -> Reply:
    delivery = call.outbox.sender.send(read_batch(call.request))
    return _created(hub, call, "messages", delivery.id)


def schedule(hub: Hub, call: Call) -> Reply:
    scheduled = call.outbox.schedule.add(read_send(call.request), read_time(call.request))
    return _created(hub, call, "schedulednotifications", scheduled)


def cancel(hub: Hub, call: Call) -> Reply:
    del hub
    call.outbox.schedule.cancel(call.arguments[0])
    return Reply(200, {"Content-Type": XML})


def get_notification(hub: Hub, call: Call) -> Reply:
    (notification,) = call.arguments
    location = f"{call.origin}/{hub.name}/messages/{notification}{call.query}"
    delivery = call.outbox.sender.deliveries.find(notification)
    if delivery is not None:
        state = "Completed" if delivery.matched else "NoTargetFound"
        details = write_details(
            notification,
            location,
            state,
            delivery.at,
            delivery.sent_body,
            delivery.expression,
            delivery.matched,
        )
        return Reply(200, {"Content-Type": XML}, details.encode())
    found = call.outbox.schedule.find(notification)
    if found is None:
        raise Refused(404, "There is no notification of this id.")
    state, at, what = found
    details = write_details(notification, location, state, at, what.text, what.expression)
    return Reply(200, {"Content-Type": XML}, details.encode())


def _created(hub: Hub, call: Call, collection: str, notification: str, body: bytes = b"") -> Reply:
    location = f"{call.origin}/{hub.name}/{collection}/{notification}{call.query}"
    return Reply(201, {"Content-Type": XML, "Location": location}, body)
