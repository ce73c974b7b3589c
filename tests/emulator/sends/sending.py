"""How a backend of the tests sends."""

from __future__ import annotations

from typing import Any

from tests.emulator.caller import Answer, Caller

APNS_TOKEN = "ABCDEF0123456789"
"""An Apple device token, short as the emulator allows."""
TARGET = "/my-hub/messages?api-version=2020-06"


def notify(
    backend: Caller,
    notification_format: str | None,
    body: Any,
    tags: str | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: str = "",
    path: str = "/my-hub/messages",
) -> Answer:
    """Send as clients do. ``notification_format``: None leaves the header out."""
    all_headers = dict(headers or {})
    if notification_format is not None:
        all_headers["ServiceBusNotification-Format"] = notification_format
    if tags is not None:
        all_headers["ServiceBusNotification-Tags"] = tags
    return backend.send("POST", f"{path}?api-version=2020-06{query}", body, headers=all_headers)


def toast_to(backend: Caller, tags: str | None = None, body: str = "<toast/>") -> Answer:
    """Send a native notification of Windows."""
    return notify(backend, "windows", body, tags, headers={"X-WNS-Type": "wns/toast"})


def device(installation_id: str, *tags: str, **members: Any) -> dict[str, Any]:
    return {
        "installationId": installation_id,
        "platform": "wns",
        "pushChannel": f"https://x.notify.windows.com/?t={installation_id}",
        "tags": list(tags),
        **members,
    }


def alert(body: str = "<toast><text>$(m)</text></toast>", **members: Any) -> dict[str, Any]:
    return {"body": body, "headers": {"X-WNS-Type": "wns/toast"}, **members}
