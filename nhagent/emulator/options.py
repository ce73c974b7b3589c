"""What an emulator may be made with."""

from __future__ import annotations

import re

CERTIFICATES = ("good", "expired", "early", "wrong-name", "self-signed")
"""The kinds of certificate that the emulator can show."""

_HUB_NAME = re.compile(r"[A-Za-z][-A-Za-z0-9._/]{0,259}")


def check_options(
    hub: str, certificate: str, *, tls: bool, rate: float | None, max_devices: int | None
) -> None:
    """Check them; see `nhagent.emulator.emulator.Emulator`.

    Raises:
        ValueError: one is out of range, or two contradict each other.
    """
    if not _HUB_NAME.fullmatch(hub) or "" in hub.split("/"):
        raise ValueError(f"{hub!r} is not a valid name for a hub.")
    if certificate not in CERTIFICATES:
        raise ValueError(f"The certificate is one of {', '.join(CERTIFICATES)}, not {certificate!r}.")
    if certificate != "good" and not tls:
        raise ValueError(f"The certificate {certificate!r} is shown with TLS only.")
    if rate is not None and not 0 < rate < float("inf"):
        raise ValueError(f"The rate is a number of requests a second above 0, not {rate}.")
    if max_devices is not None and max_devices < 0:
        raise ValueError(f"A hub holds 0 devices or more, not {max_devices}.")
