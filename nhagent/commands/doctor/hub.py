"""Checks of the hub itself: its clock beside ours, and whether it accepts the key and holds the device."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from nhagent.commands.doctor.findings import WAIT, Unchecked, Wrong, hint_of, shown_time
from nhagent.commands.doctor.network import proxy_in_use
from nhagent.errors import HubUnavailable, NhagentError, StateError, Throttled
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.report import StartState

if TYPE_CHECKING:
    from nhagent.commands.doctor.findings import Findings
    from nhagent.commands.setup import Answer
    from nhagent.report import Status

ANSWER_SECONDS: Final = 15.0
"""How long one exchange with the hub may take."""

SET_THE_CLOCK: Final = "set this device's clock; with systemd: timedatectl set-ntp true"


def check_clock(findings: Findings) -> str:
    """See how far this device's clock is from the hub's; without the hub, from its last acceptance."""
    skew = _answer(findings).clock_skew
    if skew is None:
        status = findings.known_status
        accepted_at = None if status is None else status.accepted_at
        now = datetime.now(UTC)
        if accepted_at is not None and (accepted_at - now).total_seconds() > CLOCK_TOLERANCE_SECONDS:
            raise Wrong(
                f"it is before {shown_time(accepted_at)}, when the hub last accepted something",
                SET_THE_CLOCK,
            )
        raise Unchecked("no hub has told the time")
    side = "behind" if skew > 0 else "ahead of"
    fact = f"{abs(skew):.0f} s {side} the hub's"
    if abs(skew) > CLOCK_TOLERANCE_SECONDS:
        raise Wrong(fact, SET_THE_CLOCK)
    return fact


def check_hub(findings: Findings) -> str:
    """See whether the hub accepts the key, and holds what the device remembers."""
    answer = _answer(findings)
    if answer.error is not None:
        raise Wrong(answer.error.fact, _hint_of(answer.error, has_proxy=proxy_in_use(findings) is not None))
    _strike_out_refusal(findings)
    if answer.refused is not None:
        raise Wrong(
            f"refuses the key of {answer.refused}; that of {answer.accepted} stands in for it",
            f"put the hub's present connection string into {answer.refused}",
        )
    status = findings.known_status
    if status is not None and not findings.has_moved:
        _check_what_it_holds(findings, status, is_held=bool(answer.is_held))
    if answer.is_held:
        return "accepts the key and holds this device"
    is_known = status is not None and status.state is StartState.IN_SYNC
    return f"accepts the key{', and does not hold this device' if is_known else ''}"


def _strike_out_refusal(findings: Findings) -> None:
    """A key that is good is good everywhere: "nhagent status" must not say otherwise after this."""
    with suppress(StateError):  # its own checks tell
        findings.setup.memory.forget_refusal()


def check_key(findings: Findings) -> str:
    """Ask the hub for what only a key with the Manage right may see; the Send right cannot be seen so."""
    answer, setup = _answer(findings), findings.setup
    if setup.at_backend:
        return "none: the backend holds the hub's key"
    if answer.error is not None or answer.refused is not None:
        raise Unchecked("cannot be checked before hub is in order")
    credential = setup.hub.find_credential()
    shown = "the key" if credential.key_name is None else f"key {credential.key_name!r}"
    try:
        may_manage = setup.hub.may_manage(ANSWER_SECONDS)
    except NhagentError as error:
        raise Unchecked(f"the hub did not say what {shown} may do ({error.fact})") from None
    if not may_manage:
        return f"{shown} has no Manage right"
    if setup.allow_full_access:
        return f"{shown} has the Manage right, as allow_full_access lets it"
    raise Wrong(
        f"{shown} has the Manage right, whatever its name says, and would be lost with the device",
        "take a policy with the Listen right alone",
    )


def _check_what_it_holds(findings: Findings, status: Status, *, is_held: bool) -> None:
    """Refuse a device that the hub has lost, and one that it still has to forget."""
    if status.state is StartState.DISABLED:
        if status.to_delete:
            raise Wrong(
                f"has not forgotten the unregistered device yet: {' and '.join(status.to_delete)}",
                "run nhagent register, which goes on with that as the daemon does; it registers nothing",
            )
        if is_held:
            raise Wrong(
                f"still holds the unregistered device as installation {status.installation_id}",
                "wait some minutes, since a hub deletes later than it says; if it stays so, run nhagent "
                "enable and nhagent unregister",
            )
    elif not is_held and findings.setup.memory.has_record():
        rows = findings.setup.memory.registrations()
        what = "all of this device's registrations" if rows else f"installation {status.installation_id}"
        raise Wrong(
            f"does not hold {what}, which it accepted at {shown_time(status.accepted_at)}",
            "if that was minutes ago, look again in some minutes, since a hub writes later than it says; "
            "else run nhagent verify, which marks it as lost, and nhagent register, which writes it again",
        )


def _answer(findings: Findings) -> Answer:
    """Ask the hub for the device, once for all checks."""
    findings.need("credentials", "dns", "tcp", "tls")
    if findings.answer is None:
        setup, status = findings.setup, findings.known_status
        findings.answer = setup.hub.ask_for_device(
            None if status is None else status.installation_id,
            [] if status is None else setup.memory.registrations(),
            [] if status is None else setup.memory.channels(),
            ANSWER_SECONDS,
        )
    return findings.answer


def _hint_of(error: NhagentError, *, has_proxy: bool) -> str:
    """What to do about the hub's error: wait, where it is the hub that does not serve.

    Through a proxy TLS was not checked: there an exchange without a reply may have failed because of it.
    """
    if isinstance(error, HubUnavailable):
        status = error.status
        if status is None:
            does_not_serve = not has_proxy
        else:
            does_not_serve = (
                status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            )
        return WAIT if does_not_serve else hint_of(error)
    return WAIT if isinstance(error, Throttled) else hint_of(error)
