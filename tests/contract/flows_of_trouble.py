"""Flows in which something was lost, refused or is in doubt, and those in which somebody else has a say."""

from __future__ import annotations

from typing import Any, Final

from tests.device_under_test import PLAIN

from .play import Play, flow
from .transcript import BADGE, ZERO

BACKENDS_TAGS: Final[dict[str, Any]] = {"owns_tags": False, "tags": None, **PLAIN}

# Refreshes, and what the hub has lost.


@flow("refresh(force=True)")
def _(play: Play) -> None:
    play.registered()
    play.act("refresh", lambda: play.agent().refresh())
    play.act("refresh by force", lambda: play.agent().refresh(force=True))


@flow("refresh due by age")
def _(play: Play) -> None:
    play.registered()
    play.later(hours=23)
    play.start()
    play.rotate("2")
    play.start()
    play.later(hours=2)
    play.start()


@flow("record lost at the hub, then rotated channel")
def _(play: Play) -> None:
    play.registered()
    play.lose()
    play.rotate("2")
    play.start()
    play.start()


@flow("record answered with 404")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    words = "<Error><Code>404</Code><Detail>.TrackingId:g_G1,TimeStamp:1/2/2026 3:04:05 AM</Detail></Error>"
    play.hub.fail("*", status=404, body=words)
    play.start()


@flow("registration gone (410), then rotated channel")
def _(play: Play) -> None:
    play.registered()
    play.lose(gone=True)
    play.rotate("2")
    play.start()


@flow("files lost")
def _(play: Play) -> None:
    play.registered()
    play.device.files["state.json"].unlink()
    play.start()
    play.device.files["identity.json"].unlink()
    play.start()
    play.device.files["state.json"].write_text("{ torn")
    play.start()


# Bad networks.


@flow("429 with Retry-After, then the next starts")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", status=429, headers={"Retry-After": "300"})
    play.start(timeout=0)
    play.start(timeout=0)
    play.later(seconds=600)
    play.start()


@flow("500 three times, then well")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", status=500, times=3)
    play.start()


@flow("400 for the change")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", status=400)
    play.start()


@flow("401 for the change, then well")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", status=401)
    play.start()
    play.start()


@flow("answer lost, then the next start")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", reset="after")
    play.start(timeout=0)
    play.start()


@flow("request lost, then the channel is as before")
def _(play: Play) -> None:
    play.registered()
    play.rotate("2")
    play.hub.fail("*", reset="before")
    play.start(timeout=0)
    play.rotate("1")
    play.start()


# Off, and on again.


@flow("unregister, start, enable, start")
def _(play: Play) -> None:
    play.registered()
    play.unregister()
    play.start()
    play.enable()


@flow("unregister while the hub is down")
def _(play: Play) -> None:
    play.registered()
    play.hub.fail("*", status=503, times=99)
    play.unregister(timeout=0)
    play.hub.clear_faults()
    play.start()
    play.start()


@flow("unregister before the first start")
def _(play: Play) -> None:
    play.unregister()
    play.start()


# Looking at what the hub holds.


@flow("verify: in sync")
def _(play: Play) -> None:
    play.registered()
    play.verify()


@flow("verify: before the first start")
def _(play: Play) -> None:
    play.verify()


@flow("verify: drift, then a start")
def _(play: Play) -> None:
    play.registered()
    play.somebody_changes_the_record()
    play.verify()
    play.start()
    play.verify()


@flow("verify: lost, then a start")
def _(play: Play) -> None:
    play.registered()
    play.lose()
    play.verify()
    play.start()


@flow("verify: expired channel, then another")
def _(play: Play) -> None:
    play.registered()
    play.expire()
    play.verify()
    play.start()
    play.rotate("2")
    play.start()


@flow("verify: unregistered")
def _(play: Play) -> None:
    play.registered()
    play.unregister()
    play.verify()


# Where the backend owns the tags.


@flow("owns_tags=False: first start, rotated channel, refresh")
def _(play: Play) -> None:
    play.start(**BACKENDS_TAGS)
    play.backend_tags("gold")
    play.rotate("2")
    play.start(**BACKENDS_TAGS)
    play.act("refresh by force", lambda: play.agent(**BACKENDS_TAGS).refresh(force=True))


@flow("owns_tags=False: template added and changed")
def _(play: Play) -> None:
    play.registered(**BACKENDS_TAGS)
    play.backend_tags("gold")
    play.start(**{**BACKENDS_TAGS, "templates": {"badge": BADGE}})
    play.start(**{**BACKENDS_TAGS, "templates": {"badge": ZERO}})


@flow("owns_tags=False: answer lost, then the next start")
def _(play: Play) -> None:
    play.registered(**BACKENDS_TAGS)
    play.rotate("2")
    play.hub.fail("PATCH" if play.style == "installation" else "PUT", reset="after")
    play.start(timeout=0, **BACKENDS_TAGS)
    play.start(**BACKENDS_TAGS)


@flow("owns_tags=False: somebody else was first (412)")
def _(play: Play) -> None:
    play.registered(**BACKENDS_TAGS)
    play.rotate("2")
    play.hub.fail("PUT", status=412)
    play.start(**BACKENDS_TAGS)
