"""One error tree, branched by who must act.

Every error says what is so, about which object (``fact``), and what to do next (``hint``). Whether waiting
can help is written on the class: ``retryable`` says so, and ``curve`` says how `nhagent.retry.backoff` spaces
the attempts.
"""

from __future__ import annotations

from nhagent.curves import Curve
from nhagent.visible import in_one_line, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, ClassVar, Self

__all__ = [
    "ChannelError",
    "ConcurrencyConflict",
    "ConfigurationError",
    "CredentialError",
    "Forbidden",
    "HeldBack",
    "HubError",
    "HubNotFound",
    "HubUnavailable",
    "InvalidRequest",
    "KeyringLocked",
    "NhagentError",
    "QuotaExceeded",
    "RecordNotFound",
    "RegistrationGone",
    "StateError",
    "StateLocked",
    "StateUnreadable",
    "StateUnwritable",
    "Throttled",
    "Unauthorized",
]


class NhagentError(Exception):
    """The root of everything that nhagent raises on purpose.

    Args:
        fact: what is so, about which object.
        hint: what to do next.

    Attributes:
        fact: as given, in one line, its control characters visible.
        hint: likewise; empty where whoever raised the error gave none.
    """

    retryable: ClassVar[bool] = False
    curve: ClassVar[Curve] = Curve.BLOCKED
    fact: str = ""
    hint: str = ""

    def __init__(self, fact: object = "", hint: object = "") -> None:
        # An app may raise one with anything in it, and in ways of its own.
        self.fact, self.hint = str(fact), str(hint)
        if not (self.fact.isprintable() and self.hint.isprintable()):
            self.fact, self.hint = in_one_line(self.fact), in_one_line(self.hint)
        super().__init__(self.fact, self.hint)

    def __str__(self) -> str:
        return f"{self.fact}; {self.hint}" if self.hint else self.fact

    def __eq__(self, other: object) -> bool:
        """Whether two errors say the same of the same: a report with one is equal to its copy."""
        if type(other) is not type(self):
            return NotImplemented
        return (self.args, vars(self)) == (other.args, vars(other))

    def __hash__(self) -> int:
        return hash((type(self), self.args))

    def at(self, place: str) -> Self:
        """Give the same error with the place where it was found in front of its fact."""
        from copy import copy

        placed = copy(self)
        placed.fact = in_one_line(f"{place}: {self.fact}")
        placed.args = (placed.fact, self.hint)
        return placed


class ConfigurationError(NhagentError):
    """Settings, a declaration, tags or templates are wrong; a person must change them."""


class CredentialError(NhagentError):
    """No connection string was found, or it may not be used; a person must provide one."""


class KeyringLocked(CredentialError):
    """The key ring is there but locked; it may be unlocked later."""

    retryable = True
    curve = Curve.LOCAL


class StateError(NhagentError):
    """What this device remembers could not be read, locked or written."""


class StateUnreadable(StateError):
    """A state file is there and is corrupt."""


class StateLocked(StateError):
    """Another process is using the state."""

    retryable = True
    curve = Curve.FAULT


class StateUnwritable(StateError):
    """The state folder cannot be made or written: full, read-only or not ours."""

    retryable = True
    curve = Curve.LOCAL


class ChannelError(NhagentError):
    """A channel source failed, gave nothing, or gave what is no push channel.

    Attributes:
        pending: the source works, and has no push channel to give yet.
    """

    retryable = True
    curve = Curve.LOCAL

    pending: bool = False

    def __init__(self, fact: object = "", hint: object = "", *, pending: bool = False) -> None:
        super().__init__(fact, hint)
        self.pending = pending


class HubError(NhagentError):
    """The hub, or the way to it, did not do what was asked.

    Attributes:
        status: the HTTP status, or None where no reply came.
        detail: the service's own words, as it sent them.
        tracking_id: the service's id of this exchange, for a support request.
        retry_after: seconds that the hub asked to wait, or None.
        server_time: the hub's ``Date``, or None.
        code: what a backend calls the reason; empty where it gives none.
        tags: the tags that are the reason, as a backend names them.
    """

    status: int | None = None
    detail: str = ""
    tracking_id: str | None = None
    retry_after: float | None = None
    server_time: datetime | None = None
    code: str = ""
    tags: tuple[str, ...] = ()

    def __init__(
        self,
        fact: object = "",
        hint: object = "",
        *,
        status: int | None = None,
        detail: str = "",
        tracking_id: str | None = None,
        retry_after: float | None = None,
        server_time: datetime | None = None,
    ) -> None:
        super().__init__(fact, hint)
        self.status = status
        self.detail = visible(detail)
        self.tracking_id = None if tracking_id is None else visible(tracking_id)
        self.retry_after = retry_after
        self.server_time = server_time


class InvalidRequest(HubError):
    """400, 411, 413, 414 and the other 4xx: the hub, or its front end, will never accept this request."""


class Unauthorized(HubError):
    """401: the token is wrong, expired or missing."""


class Forbidden(HubError):
    """403 without Retry-After: the key lacks the right that the error names: Listen, Send or Manage."""


class QuotaExceeded(Forbidden):
    """403 in words of quota: the namespace holds as many devices as it may."""


class HubNotFound(HubError):
    """404 of the hub itself, or a 404 in words that we do not know."""


class RecordNotFound(HubError):
    """404 of one installation or registration: the hub does not hold it."""


class RegistrationGone(HubError):
    """410: this registration id can never be used again."""


class ConcurrencyConflict(HubError):
    """412: somebody else changed the record since it was read, or the ETag that was sent is invalid."""


class Throttled(HubError):
    """429, a 403 with Retry-After, or a 409 on a registration write: too many requests."""

    retryable = True
    curve = Curve.THROTTLE


class HeldBack(Throttled):
    """Nothing was sent: the time that the hub, or ``startup_spread``, asked for is not over yet.

    Attributes:
        not_before: when the next request may be sent, by this device's clock, aware; None where unknown.
    """

    not_before: datetime | None = None

    def __init__(
        self, fact: object = "", hint: object = "", *, not_before: datetime | None = None, **facts: Any
    ) -> None:
        super().__init__(fact, hint, **facts)
        self.not_before = not_before


class HubUnavailable(HubError):
    """No reply that can be used: 408, 5xx, a redirect, a portal's HTML, a timeout, DNS or TLS."""

    retryable = True
    curve = Curve.FAULT


def refuses_key(error: BaseException) -> bool:
    """Whether by this error the hub has refused the key, so that another one may help."""
    return isinstance(error, Unauthorized | Forbidden) and not isinstance(error, QuotaExceeded)


def is_failure(error: BaseException) -> bool:
    """Whether by this error code of the app's own has failed, rather than somebody is ending the program.

    ``sys.exit`` and a cancelled task's error are failures too: who calls back has nothing to end with them.
    """
    names = (kind.__name__ for kind in type(error).__mro__)  # asyncio is not imported for one name
    return isinstance(error, Exception | SystemExit) or "CancelledError" in names
