"""A device that has secrets in every place, and a check of all that is shown of it."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nhagent import (
    Agent,
    SecondaryTile,
    errors,
)
from nhagent.emulator import Emulator
from nhagent.report import to_plain
from tests.device_under_test import TOAST

from .frames import texts_in_frames
from .marks import HANDLES, TILE, TOKEN, Secrets, key_of, quoting

STYLES = ["installation", "registration"]
WNS = HANDLES["wns"]


class Cursed(Exception):
    """The app's own exception, with all that it knows in its text."""

    def __init__(self) -> None:
        super().__init__(f"no channel for {WNS} ({HANDLES['gcm']!r}) with {TOKEN}")


@dataclass
class World:
    """A hub, a device with marked channels, and all that was shown of it."""

    hub: Emulator
    folder: Path
    caplog: pytest.LogCaptureFixture
    style: str = "installation"
    secrets: Secrets = field(init=False)
    channel: Any = WNS
    others: tuple[str, ...] = (WNS, TILE)

    def __post_init__(self) -> None:
        self.secrets = Secrets((key_of(self.hub.listen), key_of(self.hub.full)))

    def agent(self, **changes: Any) -> Agent:
        settings: dict[str, Any] = {
            "app": "thermostat",
            "hub": self.hub.hub,
            "platform": "wns",
            "channel": lambda: self.channel,
            "tags": ["kitchen"],
            "templates": {"alert": TOAST},
            "secondary_tiles": {"weather": SecondaryTile(channel=TILE)},
            "style": self.style,
            "connection_string": self.hub.listen,
            "state_dir": self.folder,
            "sleep": lambda _: None,
            "random": lambda: 0.5,
        }
        return Agent(**{**settings, **changes})

    def start(self, **changes: Any) -> errors.NhagentError:
        """Start once; what comes of it is an error."""
        agent = self.agent(**changes)
        self.check(repr(agent), "an agent")
        try:
            report = agent.start(timeout=0)
        except errors.NhagentError as error:
            return error
        self.check(f"{report!r} {json.dumps(to_plain(report))}", "a report")
        assert report.error is not None
        return report.error

    def fail(self, status: int, match: str = "*", says: str | None = None, **headers: str) -> None:
        """Let the hub refuse, and quote all that it was sent."""
        words = f"{says or ''} {self.quoted()}"
        body = f"<Error><Code>{status}</Code><Detail>{words}.TrackingId:a_G1,TimeStamp:1</Detail></Error>"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.hub.fail(match, status=status, body=body, headers=named, times=50)

    def quoted(self) -> str:
        """All that this hub was sent, in every form."""
        raw, listen = self.channel, self.hub.listen
        parts = [raw] if isinstance(raw, str) else [raw["endpoint"], *raw["keys"].values()]
        return quoting(listen, key_of(listen), *parts, *self.others)

    def check(self, text: str, where: str) -> None:
        self.secrets.check(text, where)

    def check_error(self, error: BaseException) -> None:
        """All that is ever shown of an error."""
        shown = f"{error} {error!r} {error.args!r} {vars(error)!r}"
        self.check(shown, type(error).__name__)
        self.check("".join(traceback.format_exception(error)), f"the traceback of {type(error).__name__}")
        for where, text in texts_in_frames(error):
            self.check(text, where)
        if isinstance(error, errors.NhagentError):
            self.check(json.dumps(to_plain(error)), "--json")

    def check_rest(self) -> None:
        """The logs of everybody, and what is on disk."""
        logging.getLogger("test").debug("the log is on")
        assert "the log is on" in self.caplog.text
        self.check(self.caplog.text, "a log")
        for path in self.folder.rglob("*.json"):
            if path.name != "vault.json":
                self.secrets.check_state(path.read_text(), str(path))


def raised(act: Callable[[], object]) -> errors.NhagentError:
    with pytest.raises(errors.NhagentError) as caught:
        act()
    return caught.value


def raising(error: BaseException) -> Callable[[], Any]:
    def source() -> Any:
        raise error

    return source
