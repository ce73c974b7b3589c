"""``nhagent vapid``: makes the pair of keys by which a push service knows who may send to a device."""

from __future__ import annotations

from typing import Any

from nhagent.channels.encryption import new_pair


def make_pair() -> tuple[dict[str, Any], str]:
    """Make a pair. It is kept nowhere.

    Returns:
        The object for ``--json``, and the text for people.
    """
    private, public = new_pair()
    text = "\n".join(
        [
            "The public key, for the hub and for every device (vapid_public_key):",
            "",
            f"  {public}",
            "",
            "The private key, for the hub alone. It is shown once, and kept nowhere:",
            "",
            f"  {private}",
            "",
            "In the portal, the hub's page Browser (Web Push) asks for three things: a subject (a mailto: or",
            "https: address at which the push service can reach you), the public and the private key.",
        ]
    )
    return {"vapid_public_key": public, "vapid_private_key": private, "error": None}, text
