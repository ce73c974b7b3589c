"""``hub send`` and ``hub delete``."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime

from nhagent.commands.hub.opening import opened
from nhagent.commands.output import Result
from nhagent.errors import ConfigurationError, RecordNotFound, RegistrationGone
from nhagent.regular_files import read_regular
from nhagent.report import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Final

MAX_BODY_BYTES: Final = 64 * 1024
TEMPLATE: Final = "template"
"""The format of a send whose properties each device's own templates show."""
_REGISTRATION: Final = re.compile(r"\d{1,19}-\d{1,19}-\d{1,3}", re.ASCII)


def send(options: argparse.Namespace) -> Result:
    """Send a notification to those who are named."""
    body = _body(options)
    meant: dict[str, Any] = {
        "tags": options.tags,
        "installation": options.installation,
        "broadcast": options.broadcast,
        "headers": dict(_pair("--header", text, ":") for text in options.header),
    }
    with opened(options) as client:
        if options.test:
            outcome = client.send_test(options.format, body, **meant)
            results = [
                {"registration_id": each.registration_id, "platform": each.platform, "outcome": each.outcome}
                for each in outcome.results
            ]
            lines = [f"{outcome.success} taken, {outcome.failure} not" if results else "no device is meant"]
            lines += [
                f"  {each['registration_id']} ({each['platform']}): {each['outcome']}" for each in results
            ]
            document = {"success": outcome.success, "failure": outcome.failure, "results": results}
            return Result(0, document, "\n".join(lines))
        if options.at is not None:
            sent = client.schedule_send(options.format, body, at=_time(options.at), **meant)
            return _told(sent, "scheduled")
        return _told(client.send(options.format, body, **meant), "sent")


def delete(options: argparse.Namespace) -> Result:
    """Delete installations and registrations by their ids, after a question."""
    if not options.yes and not _is_meant(len(options.ids)):
        return Result(1, {"deleted": [], "unknown": []}, "nothing was deleted")
    deleted, unknown = [], []
    with opened(options) as client:
        for given in options.ids:
            try:
                if _REGISTRATION.fullmatch(given):
                    client.delete_registration(given, "*")
                else:
                    client.get_installation(given)  # the hub answers a deletion alike whether there was one
                    client.delete_installation(given)
                deleted.append(given)
            except (RecordNotFound, RegistrationGone):
                unknown.append(given)
    text = f"{counted(len(deleted), 'record')} deleted"
    text += f"; not there: {', '.join(unknown)}" if unknown else ""
    return Result(1 if unknown else 0, {"deleted": deleted, "unknown": unknown}, text)


def _told(notification_id: str | None, what: str) -> Result:
    shown = "" if notification_id is None else f" as {notification_id}"
    return Result(0, {"notification_id": notification_id}, f"{what}{shown}")


def _body(options: argparse.Namespace) -> Any:
    given = [options.body is not None, options.body_file is not None, bool(options.property)]
    if sum(given) != 1:
        raise ConfigurationError(
            "send: what is sent is not clear", "give one of --property, --body and --body-file"
        )
    if options.property and options.format != TEMPLATE:
        raise ConfigurationError(
            f"send: --property is for templates, and the format is {options.format}",
            "give what is sent as --body or --body-file, or leave --format out",
        )
    if options.property:
        return dict(_pair("--property", text, "=") for text in options.property)
    if options.body is not None:
        return options.body
    if options.body_file == "-":
        return sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
    try:
        return read_regular(options.body_file, MAX_BODY_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"--body-file {options.body_file}: {error.strerror}", "check the path"
        ) from None


def _pair(option: str, text: str, sign: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise ConfigurationError(f"{option} {text!r}: is no pair", f"write NAME{sign}VALUE")
    return name.strip(), value.strip() if sign == ":" else value


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--at {text!r}: is no time", "write 2030-01-31T18:00:00+00:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _is_meant(count: int) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError("delete: nobody is there to be asked", "give --yes")
    return input(f"Delete {counted(count, 'record')}? [y/N] ").strip().lower() in {"y", "yes"}
