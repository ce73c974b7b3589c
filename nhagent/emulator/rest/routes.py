"""Which request is which operation of the hub. A new operation is one function and one line in `ROUTES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nhagent.emulator.http_messages import Refused, Reply, Request
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.rest import installation_operations as installations
from nhagent.emulator.rest import registration_operations as registrations
from nhagent.emulator.rest import send_operations as sends
from nhagent.emulator.rest.address import segments, within_hub
from nhagent.emulator.rest.call import Call
from nhagent.emulator.rest.not_built import not_built
from nhagent.emulator.sends.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the hub.

    Attributes:
        right: ``Listen``, ``Send`` or ``Manage``, or a function that says which of them a request needs.
        perform: carries it out; raises `Refused`.
        manages: whether it manages hubs: who lacks the right is then told so in words.
        writes: whether it writes an installation or a registration.
    """

    right: str | Callable[[Request], str]
    perform: Callable[[Hub, Call], Reply]
    manages: bool = False
    writes: bool = False

    @property
    def sends(self) -> bool:
        """Whether it sends, plans to, or reads what was sent."""
        return self.right == "Send"

    def right_for(self, request: Request) -> str:
        """Return the right that a request needs."""
        return self.right if isinstance(self.right, str) else self.right(request)


_ALL_HUBS = ["$resources", "notificationhubs"]
ANY = None
"""A path segment whose text is an argument of the operation."""

_JOBS = Operation("Manage", not_built("Jobs"), manages=True)
_FEEDBACK = Operation("Manage", not_built("Feedback containers"), manages=True)
_HUBS = Operation("Manage", not_built("Operations that manage hubs"), manages=True)

ROUTES: dict[tuple[str | None, ...], dict[str, Operation]] = {
    ("installations", ANY): {
        "PUT": Operation("Listen", installations.put_installation, writes=True),
        "GET": Operation("Listen", installations.get_installation),
        "PATCH": Operation("Listen", installations.patch_installation, writes=True),
        "DELETE": Operation("Listen", installations.delete_installation, writes=True),
    },
    ("registrationids",): {"POST": Operation("Listen", registrations.create_registration_id)},
    ("registrations",): {
        "POST": Operation("Listen", registrations.create_registration, writes=True),
        "GET": Operation(registrations.right_to_list, registrations.list_registrations),
    },
    ("registrations", ANY): {
        "PUT": Operation("Listen", registrations.put_registration, writes=True),
        "GET": Operation("Listen", registrations.get_registration),
        "DELETE": Operation("Listen", registrations.delete_registration, writes=True),
    },
    ("tags", ANY, "registrations"): {"GET": Operation("Manage", registrations.list_registrations_by_tag)},
    ("messages",): {"POST": Operation("Send", sends.send)},
    ("messages", "$batch"): {"POST": Operation("Send", sends.send_batch)},
    ("messages", ANY): {"GET": Operation("Send", sends.get_notification)},
    ("schedulednotifications",): {"POST": Operation("Send", sends.schedule)},
    ("schedulednotifications", ANY): {"DELETE": Operation("Send", sends.cancel)},
    ("jobs",): {"POST": _JOBS, "GET": _JOBS},
    ("jobs", ANY): {"GET": _JOBS},
    ("feedbackcontainer",): {"GET": _FEEDBACK},
    (): {"GET": _HUBS, "PUT": _HUBS, "DELETE": _HUBS},
}
"""Operations by method, by the path segments after the hub's name (lower case)."""


def find(request: Request, hub: str, now: float, outbox: Outbox) -> tuple[Operation, Call]:
    """Find the operation that a request asks for.

    Args:
        request: the request.
        hub: the hub's name.
        now: the emulator's time, seconds since 1970.
        outbox: sends notifications.

    Raises:
        Refused: 404 for another hub or an unknown address, 405 for a method that the address does not have.
    """
    found = segments(request.path)
    if [segment.lower() for segment in found] == _ALL_HUBS and request.method == "GET":
        return _HUBS, Call(request, (), now, outbox)
    rest = within_hub(found, hub)
    if rest is None:
        raise Refused(404, "No service is hosted at the specified address.")
    for pattern, operations in ROUTES.items():
        if _matches(pattern, rest):
            operation = operations.get(request.method)
            if operation is None:
                allowed = {"Allow": ", ".join(operations)}
                raise Refused(405, f"The specified HTTP verb ({request.method}) is not valid.", allowed)
            arguments = tuple(text for fixed, text in zip(pattern, rest, strict=True) if fixed is ANY)
            return operation, Call(request, arguments, now, outbox)
    raise Refused(404, "The requested resource does not exist.")


def _matches(pattern: tuple[str | None, ...], found: list[str]) -> bool:
    return len(pattern) == len(found) and all(
        text != "" if fixed is ANY else text.lower() == fixed
        for fixed, text in zip(pattern, found, strict=True)
    )
