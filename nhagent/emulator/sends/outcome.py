"""What the service tells of a send, as XML: the outcome of a test send, the details of a notification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nhagent.emulator.atom.descriptions import COMPACT
from nhagent.emulator.atom.escaping import escaped
from nhagent.emulator.sends.delivery import Delivery, Match

_NAMESPACE = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_SENT = "The Notification was successfully sent to the Push Notification System"
# The element of each platform's counts, in the order of .NET's data contract; the last two are JavaScript's.
_COUNTS = {
    "apns": "Apns",
    "mpns": "Mpns",
    "wns": "Wns",
    "gcm": "Gcm",
    "adm": "Adm",
    "fcmv1": "FcmV1",
    "baidu": "Baidu",
    "browser": "Browser",
    "xiaomi": "Xiaomi",
}
_PLATFORMS = {"apns": "apple", "wns": "windows", "mpns": "windowsphone"}


def write_outcome(delivery: Delivery) -> str:
    """Write the ``NotificationOutcome`` with which a test send is answered."""
    failures = sum(not _is_sent(match) for match in delivery.matched)
    results = "".join(map(_result, delivery.matched))
    return (
        f'<NotificationOutcome xmlns="{_NAMESPACE}" xmlns:i="{_INSTANCE}">'
        f"<Success>{len(delivery.matched) - failures}</Success><Failure>{failures}</Failure>"
        f"<Results>{results}</Results></NotificationOutcome>"
    )


def write_details(
    notification_id: str,
    location: str,
    state: str,
    at: str,
    body: str,
    expression: str | None,
    matched: Iterable[Match] = (),
) -> str:
    """Write the ``NotificationDetails`` of a notification.

    Args:
        notification_id: its id.
        location: its address.
        state: ``Enqueued``, ``Completed``, ``NoTargetFound`` or ``Cancelled``.
        at: when it was or will be sent, ISO 8601.
        body: as the sender wrote it.
        expression: its tag expression, or None.
        matched: the messages that it came to.
    """
    counts = Counter((match.platform, _is_sent(match)) for match in matched)
    platforms = [_PLATFORMS.get(name, name) for name in _COUNTS if counts[name, True] + counts[name, False]]
    texts = {
        "NotificationId": notification_id,
        "Location": location,
        "State": state,
        "EnqueueTime": at,
        "StartTime": at if state in ("Completed", "NoTargetFound") else None,
        "EndTime": at if state in ("Completed", "NoTargetFound") else None,
        "NotificationBody": body,
        "Tags": expression,
        "TargetPlatforms": ", ".join(platforms) or None,
    }
    elements = [f"<{name}>{escaped(text)}</{name}>" for name, text in texts.items() if text is not None]
    for platform, name in _COUNTS.items():
        outcomes = "".join(
            f"<Outcome><Name>{words}</Name><Count>{counts[platform, is_sent]}</Count></Outcome>"
            for is_sent, words in ((True, "Success"), (False, "PnsError"))
            if counts[platform, is_sent]
        )
        if outcomes:
            elements.append(f"<{name}OutcomeCounts>{outcomes}</{name}OutcomeCounts>")
    return (
        f'<NotificationDetails xmlns="{_NAMESPACE}" xmlns:i="{_INSTANCE}">{"".join(elements)}'
        "</NotificationDetails>"
    )


def _result(match: Match) -> str:
    channel = match.channel if isinstance(match.channel, str) else COMPACT.encode(match.channel)
    outcome = _SENT if _is_sent(match) else f"The Push Notification System did not take it: {match.outcome}"
    texts = {
        "ApplicationPlatform": _PLATFORMS.get(match.platform, match.platform),
        "PnsHandle": channel,
        "RegistrationId": match.registration,
        "Outcome": outcome,
    }
    inner = "".join(f"<{name}>{escaped(text)}</{name}>" for name, text in texts.items())
    return f"<RegistrationResult>{inner}</RegistrationResult>"


def _is_sent(match: Match) -> bool:
    return match.outcome is None or match.outcome.startswith("delivered")
