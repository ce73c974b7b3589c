"""What the page's forms ask for."""

from __future__ import annotations

from collections.abc import Callable
from email import policy
from email.parser import BytesParser
from http import HTTPStatus
from urllib.parse import parse_qs

from nhagent.emulator.control.state_routes import reset, restore
from nhagent.emulator.faults import Fault
from nhagent.emulator.http_messages import Refused, Request
from nhagent.emulator.json_text import read_json
from nhagent.emulator.page.faults_view import PRESETS
from nhagent.emulator.parts import Parts
from nhagent.emulator.sends.send import Send

_MOST_FIELDS = 20


class Problem(Exception):
    """What was asked for was not done; the text says why."""


def fields_of(request: Request) -> dict[str, str]:
    """Return a form's fields.

    Raises:
        Problem: they cannot be read.
    """
    try:
        found = parse_qs(
            request.body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, strict_parsing=False
        )
    except ValueError as error:
        raise Problem("The form cannot be read.") from error
    return {name: values[0] for name, values in found.items()}


def perform(parts: Parts, fields: dict[str, str]) -> str:
    """Do what a form asks for.

    Args:
        parts: of the emulator.
        fields: the form's.

    Returns:
        The query of the view to return to; mostly none.

    Raises:
        Problem: it cannot be done.
    """
    action = fields.get("action", "")
    if action not in _ACTIONS:
        raise Problem(f"There is no action '{action}'.")
    try:
        return _ACTIONS[action](parts, fields) or ""
    except KeyError as error:
        raise Problem(f"There is no {error}.") from error
    except ValueError as error:
        raise Problem(str(error)) from error
    except Refused as refused:
        raise Problem(refused.detail or "There is nothing of that id.") from refused


def put_back(parts: Parts, request: Request) -> None:
    """Restore the snapshot that a form has uploaded.

    Raises:
        Problem: it is not a snapshot.
    """
    kind = (request.headers.get("Content-Type") or "").encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(
        b"Content-Type: " + kind.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n" + request.body
    )
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        if part.get_param("name", header="content-disposition") == "snapshot" and isinstance(content, bytes):
            try:
                restore(parts, read_json(content))
            except ValueError as error:
                raise Problem(f"This is no snapshot: {error}") from error
            return
    raise Problem("No file was sent.")


def _reset(parts: Parts, _: dict[str, str]) -> None:
    reset(parts)


def _clear_deliveries(parts: Parts, _: dict[str, str]) -> None:
    parts.sender.deliveries.clear()


def _clear_log(parts: Parts, _: dict[str, str]) -> None:
    parts.log.clear()


def _clear_faults(parts: Parts, _: dict[str, str]) -> None:
    parts.faults.clear()


def _order_fault(parts: Parts, fields: dict[str, str]) -> None:
    parts.faults.add(Fault(**PRESETS[fields["preset"]][1]))


def _set_clock(parts: Parts, fields: dict[str, str]) -> None:
    parts.move_clock(float(fields["offset"]))


def _expire(parts: Parts, fields: dict[str, str]) -> None:
    hub = parts.present_hub()
    if "installation" in fields:
        hub.installations.expire(fields["installation"])
    else:
        hub.expire_registration(fields["registration"])


def _forget(parts: Parts, fields: dict[str, str]) -> None:
    hub = parts.present_hub()
    if "installation" in fields:
        hub.installations.delete(fields["installation"])
    else:
        hub.registrations.forget(fields["registration"], gone=False)


def _make_gone(parts: Parts, fields: dict[str, str]) -> None:
    """A registration answers 410 from now on; the service has no such word for an installation: once 404."""
    if "installation" in fields:
        parts.faults.add(Fault(f"* /installations/{fields['installation']}", HTTPStatus.NOT_FOUND))
    else:
        parts.present_hub().registrations.forget(fields["registration"], gone=True)


def _send(parts: Parts, fields: dict[str, str]) -> str:
    kind = fields.get("format", "template")
    headers = {"x-wns-type": "wns/toast"} if kind == "windows" else {}
    expression = fields.get("tags", "").strip() or None
    send = Send(kind, fields.get("body", "").encode(), headers, expression)
    return f"delivery={parts.sender.send(send).id}"


_ACTIONS: dict[str, Callable[[Parts, dict[str, str]], str | None]] = {
    "reset": _reset,
    "clear-deliveries": _clear_deliveries,
    "clear-log": _clear_log,
    "clear-faults": _clear_faults,
    "fault": _order_fault,
    "clock": _set_clock,
    "expire": _expire,
    "forget": _forget,
    "gone": _make_gone,
    "send": _send,
}
