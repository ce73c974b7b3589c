"""A device of each platform at a hub over TLS, for clients that others have written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from nhagent.emulator import Emulator

KEYS = {"endpoint": "https://push.example/1", "p256dh": "p", "auth": "a"}
"""A browser's subscription."""
DEVICES: dict[str, dict[str, Any]] = {
    "apns": {"pushChannel": "AB12"},
    "gcm": {"pushChannel": "gcm-1"},
    "fcmv1": {"pushChannel": "fcm-1", "templates": {"t": {"body": '{"m":"$(m)"}'}}},
    "wns": {"pushChannel": "https://db5.notify.windows.com/?token=1"},
    "mpns": {"pushChannel": "https://mpns.example/1"},
    "adm": {"pushChannel": "adm-1"},
    "baidu": {"pushChannel": "user-channel"},
    "xiaomi": {"pushChannel": "mi-1"},
    "browser": {"pushChannel": KEYS},
}
"""Installations, each named after its platform and with the tag ``home``."""


@contextmanager
def hub_with(platforms: Iterable[str], **changes: dict[str, Any]) -> Iterator[Emulator]:
    """Run a hub that holds a device of each of these platforms; ``changes`` are members, by platform."""
    devices = [
        {
            "installationId": platform,
            "platform": platform,
            "tags": ["home"],
            **DEVICES[platform],
            **changes.get(platform, {}),
        }
        for platform in platforms
    ]
    with Emulator("my-hub", tls=True) as running:
        running.restore({"installations": devices})
        yield running
