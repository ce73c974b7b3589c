"""One device in one flow: what is done to it, and the transcript of what came of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from nhagent import Agent, HubClient, Installation, Platform, Registration, Report, Verification
from nhagent.emulator import Emulator
from nhagent.errors import NhagentError
from tests.device_under_test import TOAST, Device

from .transcript import PUSH, drain


class Play:
    """A device, its hub, and the lines written so far.

    Attributes:
        device: what the world gives it.
        lines: what was done, each followed by the requests that it took.
        style: which kind of record it keeps, unless a start is told otherwise.
    """

    def __init__(
        self, request: pytest.FixtureRequest, device: Device, backend: HubClient, style: str
    ) -> None:
        self.device, self.hub, self.backend, self.style = device, device.hub, backend, style
        self.lines: list[str] = []
        self._request = request
        self._names: dict[str, str] = {}
        self._hubs: dict[str, Emulator] = {"": device.hub}

    # What is done.

    def agent(self, **changes: Any) -> Agent:
        usual = {"style": self.style, "first_run_list": True, "machine": lambda: "the board"}
        return self.device.agent(**{**usual, **changes})

    def start(self, timeout: float = 30, **changes: Any) -> None:
        self.act("start", lambda: self.agent(**changes).start(timeout=timeout))

    def registered(self, **changes: Any) -> None:
        """The device is known already; how that came about is not shown."""
        self.start(**changes)
        self.lines.clear()

    def unregister(self, timeout: float = 30) -> None:
        self.act("unregister", lambda: self.agent().unregister(timeout=timeout))

    def enable(self, timeout: float = 30) -> None:
        self.act("enable", lambda: self.agent().enable(timeout=timeout))

    def verify(self, **changes: Any) -> None:
        self.act("verify", lambda: self.agent(**changes).verify())

    def act(self, title: str, call: Callable[[], Report | Verification]) -> None:
        """Do something, and write down what it came to and what the hubs were asked."""
        try:
            came_to = _told(call())
        except NhagentError as error:
            came_to = f"raises {type(error).__name__}"
        self.lines.append(f"{title}: {came_to}")
        self._learn_names()
        for name, hub in self._hubs.items():
            self.lines += [f"  {name}{line}" for line in drain(hub, self._names)]

    # What the world does.

    def rotate(self, channel: str) -> None:
        self.device.channel = f"{PUSH}{channel}"

    def rotate_tile(self, channel: str) -> None:
        self.device.tile_channel = f"{PUSH}tile/{channel}"

    def later(self, **span: float) -> None:
        """Time passes, for the device and for its hub."""
        self.device.offset += timedelta(**span)
        self.hub.set_clock(self.device.offset.total_seconds())

    def wipe(self) -> None:
        shutil.rmtree(self.device.folder)

    def lose(self, *, gone: bool = False) -> None:
        """The hub forgets the installation, or the native registration."""
        if self.style == "installation":
            self.hub.forget(installation=self._id_of("ours"))
        else:
            self.hub.forget(registration=self._id_of("native"), gone=gone)

    def elsewhere(self) -> dict[str, Any]:
        """What an agent is given to go to another namespace."""
        there: Emulator = self._request.getfixturevalue("tls_notification_hub")
        self._hubs["elsewhere: "] = there
        return {"connection_string": there.listen, "ca_bundle": there.ca}

    def plant(
        self, name: str, tags: list[str], template_name: str | None = None, *, tile: str | None = None
    ) -> None:
        """A registration on the device's channel or its tile's that nobody remembers; ids in this order."""
        number = len(self._names) + 1
        key = f"{number:019}-{number:019}-1"
        self._names[key] = name
        self.backend.put_registration(
            key,
            Registration(
                Platform.WNS,
                self.device.tile_channel if tile else self.device.channel,
                tags,
                template=TOAST if template_name else None,
                template_name=template_name,
                secondary_tile_name=tile,
            ),
        )
        self.hub.clear_log()

    def plant_installation(self, name: str) -> None:
        self._names[name] = name
        self.backend.put_installation(Installation(name, Platform.WNS, self.device.channel))
        self.hub.clear_log()

    def backend_tags(self, *tags: str) -> None:
        """The app's backend gives the device tags of its own."""
        if self.style == "installation":
            operation = {"op": "replace", "path": "/tags", "value": list(tags)}
            self.backend.patch_installation(self._id_of("ours"), [operation])
        else:
            for key, name in self._names.items():
                if name != "ours":
                    self.backend.modify_registration(key, lambda row: _tagged(row, tags))
        self.hub.clear_log()

    def somebody_changes_the_record(self) -> None:
        """Somebody gives the device another channel and another tag."""
        if self.style == "installation":
            channel = {"op": "replace", "path": "/pushChannel", "value": f"{PUSH}stolen"}
            self.backend.patch_installation(self._id_of("ours"), [channel])
        else:
            self.backend.modify_registration(
                self._id_of("native"), lambda row: Registration(row.platform, f"{PUSH}stolen", row.tags)
            )
        self.hub.clear_log()

    def expire(self) -> None:
        """The platform's push service says that the channel is dead."""
        self.hub.expire(installation=self._id_of("ours"))

    # Names for ids, as the device's own files have them.

    def _learn_names(self) -> None:
        found = {"ours": self._file("identity.json").get("installation_id")}
        records = self._file("state.json").get("records", {})
        found |= {name: record.get("id") for name, record in records.items()}
        for name, key in found.items():
            if key and key not in self._names:
                taken = [other for other in self._names.values() if other.partition(" #")[0] == name]
                self._names[key] = f"{name} #{len(taken) + 1}" if taken else name

    def _file(self, name: str) -> dict[str, Any]:
        path = self.device.files.get(name)
        document: dict[str, Any] = {} if path is None else json.loads(path.read_text())
        return document

    def _id_of(self, name: str) -> str:
        return next(key for key, known in self._names.items() if known == name)


def _tagged(row: Registration, tags: tuple[str, ...]) -> Registration:
    return Registration(
        row.platform, row.channel, tags, template=row.template, template_name=row.template_name
    )


def _told(came: Report | Verification) -> str:
    """What something came to, in the fields that count; counted requests are those that the hub has seen."""
    if isinstance(came, Verification):
        told = ["in sync" if came.in_sync else "not in sync"]
        told += [f"drift in {drift.record} {drift.field}".rstrip() for drift in came.drift]
        told += [f"expired {name}" for name in came.expired]
    else:
        told = [str(came.outcome) if came.error is None else f"{came.outcome} ({type(came.error).__name__})"]
        told += [f"without {name}" for name in came.channel_errors if came.error is None]
    return ", ".join([*told, f"{came.requests} request{'' if came.requests == 1 else 's'}"])


Flow: TypeAlias = Callable[[Play], None]
FLOWS: dict[str, Flow] = {}


def flow(name: str) -> Callable[[Flow], Flow]:
    """Enter what follows as the flow of this name."""

    def enter(played: Flow) -> Flow:
        assert name not in FLOWS
        FLOWS[name] = played
        return played

    return enter
