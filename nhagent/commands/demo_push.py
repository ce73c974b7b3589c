"""The demo's last act: a headless device gets a push channel by itself, is registered, and is reached."""

from __future__ import annotations

from importlib.util import find_spec
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from nhagent.agent import Agent
from nhagent.channels.webpush import WebPushChannel

if TYPE_CHECKING:
    from nhagent.channels.messages import Message
    from nhagent.emulator import Emulator
    from nhagent.report import Report

NEEDED: Final = {"websocket": "webpush", "wsproto": "emulator"}
"""The modules of the extras that this needs."""
TEXT: Final = "somebody is at the door"
SECONDS: Final = 30.0
"""How long the message may take."""


def missing_extras() -> list[str]:
    """Give the extras that are not installed."""
    return [extra for module, extra in NEEDED.items() if find_spec(module) is None]


def play(hub: Emulator, folder: str) -> dict[str, Any]:
    """Let a headless device be registered, and send it something.

    Args:
        hub: where it is registered.
        folder: its state folder.

    Returns:
        What happened; ``left_out`` says what is missing where nothing did.
    """
    missing = missing_extras()
    if missing:
        return {"left_out": missing}
    channel = WebPushChannel(hub.vapid_public_key, server=hub.push, ca_bundle=hub.ca)
    agent = Agent(
        app="station",
        hub=hub.hub,
        channel=channel,
        tags=["attic"],
        connection_string=hub.listen,
        ca_bundle=hub.ca,
        state_dir=folder,
    )
    hub.clear_log()
    report = agent.start()
    requests = [{"method": entry.method, "path": entry.path, "status": entry.status} for entry in hub.log()]
    message = _received(hub, agent, report)
    return {
        "outcome": str(report.outcome),
        "installation_id": report.installation_id,
        "channel": report.channels.get("channel"),
        "requests": requests,
        "sent": TEXT,
        "received": None if message is None else message.text,
    }


def _received(hub: Emulator, agent: Agent, report: Report) -> Message | None:
    """Send the device a message, and give what it has received."""
    received: list[Message] = []
    stop = Event()

    def take(message: Message) -> None:
        received.append(message)
        stop.set()

    listener = Thread(target=agent.receive, args=(take, stop), daemon=True)
    listener.start()
    hub.send_push(str(report.installation_id), TEXT)
    stop.wait(SECONDS)
    stop.set()
    listener.join(SECONDS)
    return next(iter(received), None)


def lines_of(act: dict[str, Any], number: int, hub: str) -> list[str]:
    """Tell people what happened, in 80 columns."""
    if "left_out" in act:
        extras = ",".join(act["left_out"])
        return [
            f"{number}. a headless device gets a push channel by itself: left out",
            f"   It needs more: pip install 'nhagent[{extras}]'",
        ]
    lines = [
        f"{number}. a headless device gets a push channel by itself: {act['outcome']}",
        "   It asks a push service, also embedded here, for a Web Push subscription.",
    ]
    lines += [
        f"   {seen['method']:<6} {seen['status']} {_short(seen['path'], hub)}" for seen in act["requests"]
    ]
    return [
        *lines,
        f'   Somebody sends it "{act["sent"]}", encrypted for it alone.',
        f'   It has received "{act["received"]}".',
    ]


def _short(path: str, hub: str) -> str:
    """A path without the hub's name, which is always the same."""
    path = path.removeprefix(f"/{hub}")
    return f"{path}?$filter=…" if path == "/registrations" else path
