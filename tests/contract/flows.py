"""Flows of a device that is well: its first run, and whatever the app declares or the platform gives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from nhagent import SecondaryTile
from tests.device_under_test import PLAIN, TOAST

from .play import Play, flow
from .transcript import BADGE, LOUD

OPEN: Final[dict[str, Any]] = {"tags": None, "templates": None}

# The first run.


@flow("first start, then unchanged")
def _(play: Play) -> None:
    play.start()
    play.start()


@flow("first start with first_run_list=False")
def _(play: Play) -> None:
    play.start(first_run_list=False)


@flow("first start without a channel")
def _(play: Play) -> None:
    play.device.channel = None
    play.start()


@flow("first start with a clock a day behind")
def _(play: Play) -> None:
    play.device.offset = -timedelta(days=1)
    play.start()


@flow("first start, one tile's source fails")
def _(play: Play) -> None:
    play.device.tile_channel = OSError("the platform is away")
    play.start()


@flow("disk wiped: adoption")
def _(play: Play) -> None:
    play.registered()
    play.wipe()
    play.start()
    play.start()


@flow("disk wiped, tags and templates left open: learnt from the hub")
def _(play: Play) -> None:
    play.registered()
    play.wipe()
    play.start(**OPEN)
    play.start(**OPEN)


@flow("stale duplicates are removed")
def _(play: Play) -> None:
    for number in (1, 2):
        play.plant(f"stale {number}", ["stale"])
        play.plant(f"stale template {number}", ["stale"], "alert")
        play.plant(f"stale tile {number}", ["stale"], tile="weather")
    play.plant("old template", ["stale"], "old")
    play.start()
    play.start()


@flow("stale installations are removed")
def _(play: Play) -> None:
    for name in ("c", "a", "b"):
        play.plant_installation(name)
    play.start()
    play.start()


# Changes.


@flow("rotated channel")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.start()
    play.start()


@flow("rotated tile")
def _(play: Play) -> None:
    play.registered()
    play.rotate_tile("2")
    play.start()


@flow("channel and tile rotated at once")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.rotate_tile("2")
    play.start()


@flow("source fails: the old channel stays")
def _(play: Play) -> None:
    play.registered()
    play.device.channel = OSError("the platform is away")
    play.start()


@flow("tag added, then removed")
def _(play: Play) -> None:
    play.registered()
    play.start(tags=["kitchen", "hall"])
    play.start(tags=["hall"])
    play.start(tags=[])


@flow("add_tags, remove_tags, update")
def _(play: Play) -> None:
    play.registered(tags=None)
    play.act("add_tags", lambda: play.agent(tags=None).add_tags("a", ["b"]))
    play.act("remove_tags", lambda: play.agent(tags=None).remove_tags("a"))
    play.act("update", lambda: play.agent(tags=None).update(tags=["c"]))
    play.start(tags=None)


@flow("template added, changed, removed")
def _(play: Play) -> None:
    play.registered()
    play.start(templates={"alert": TOAST, "badge": BADGE})
    play.start(templates={"alert": LOUD, "badge": BADGE})
    play.start(templates={"badge": BADGE})


@flow("tile added, changed, removed")
def _(play: Play) -> None:
    play.registered(secondary_tiles={})
    play.start()
    tile = SecondaryTile(lambda: play.device.tile_channel, ["w"], {"front": TOAST})
    play.start(secondary_tiles={"weather": tile})
    play.start(secondary_tiles={})


@flow("user id")
def _(play: Play) -> None:
    play.registered()
    play.start(user_id="ann")
    play.start(user_id="")


@flow("push variables")
def _(play: Play) -> None:
    play.registered()
    play.start(push_variables={"name": "Ann"})
    play.start(push_variables={"name": "Bob", "n": "1"})
    play.start(push_variables={})


@flow("expires_after")
def _(play: Play) -> None:
    keep: dict[str, Any] = {"expires_after": timedelta(hours=10), "refresh_every": timedelta(days=30)}
    play.start(**keep)
    play.rotate("2")
    play.start(**keep)
    play.later(hours=4)
    play.start(**keep)
    play.later(hours=2)
    play.start(**keep)


@flow("platform changed")
def _(play: Play) -> None:
    play.registered(**PLAIN)
    play.device.channel = "token"
    play.start(platform="fcmv1", **PLAIN)


@flow("installation_id given")
def _(play: Play) -> None:
    play.registered()
    play.start(installation_id="mine")


@flow("style changed both ways")
def _(play: Play) -> None:
    play.registered()
    other = {"installation": "registration", "registration": "installation"}[play.style]
    play.start(style=other)
    play.start(style=other)
    play.start()


@flow("moved to another namespace")
def _(play: Play) -> None:
    play.registered()
    there = play.elsewhere()
    play.start(**there)
    play.start(**there)


@flow("cloned machine")
def _(play: Play) -> None:
    play.registered()
    play.start(machine=lambda: "another board", timeout=0)
    play.rotate("mine")
    play.rotate_tile("mine")
    play.start(machine=lambda: "another board")
    play.start(machine=lambda: "another board")
