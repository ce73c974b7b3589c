"""Operations of the service that the emulator does not have, and says so: 501, after every other check."""

from __future__ import annotations

from collections.abc import Callable

from nhagent.emulator.http_messages import Refused, Reply
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.rest.call import Call


def not_built(what: str) -> Callable[[Hub, Call], Reply]:
    """Return an operation that refuses, and says what is not there.

    Args:
        what: names it in the plural, as ``Jobs``.
    """

    def refuse(_: Hub, __: Call) -> Reply:
        raise Refused(501, f"{what} are not part of this emulator")

    return refuse
