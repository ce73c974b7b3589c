"""A place for a push channel that stands alone, without an agent: beside the devices of its app."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nhagent.device import paths
from nhagent.device.channel_store import DeviceChannelStore
from nhagent.device.machine import fingerprint_of, this_machine

if TYPE_CHECKING:
    import os

NO_HUB: Final = "web push"
"""Stands for the hub's name, and can be none."""


def world(app: str, state_dir: str | os.PathLike[str] | None) -> dict[str, Any]:
    """Make what such a channel needs, by the names that `nhagent.channels.store.Home` has for it.

    Args:
        app: the app's name; empty: it has none.
        state_dir: absolute path of the state folder; None: the usual one.

    Raises:
        ConfigurationError: the state folder's path is relative.
    """
    app = app or NO_HUB
    clock = partial(datetime.now, UTC)
    store = DeviceChannelStore(
        paths.device_folder(paths.state_folder(state_dir), app, NO_HUB),
        app,
        NO_HUB,
        machine=lambda: fingerprint_of(this_machine(), app, NO_HUB),
        clock=clock,
    )
    return {"store": store, "clock": clock, "lived": monotonic, "sleep": None, "random": random}
