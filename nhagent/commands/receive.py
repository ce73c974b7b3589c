"""``nhagent receive``: prints what arrives on the device's push channel, for as long as it runs."""

from __future__ import annotations

import signal
import sys
from base64 import b64encode
from threading import Event
from typing import TYPE_CHECKING, NoReturn

from nhagent.commands.output import as_json as json_line
from nhagent.commands.setup import read_setup
from nhagent.commands.stop import Stopped
from nhagent.logs import Log
from nhagent.reconcile.own_channel import received_by
from nhagent.visible import visible

if TYPE_CHECKING:
    from types import FrameType

    from nhagent.channels.messages import Message

_log = Log(__name__)


def receive(config: str | None, *, as_json: bool) -> None:
    """Keep the device fresh and print every message, one a line, until a signal ends it, or nobody reads.

    Args:
        config: the configuration file's path; None: the usual one.
        as_json: print one object a line.

    Raises:
        ConfigurationError: the configuration is wrong, or its channel receives nothing.
        StateLocked: another process receives for the same device.
        NhagentError: as `nhagent.agent.Agent.receive`.
    """
    setup = read_setup(config)
    received_by(next(iter(setup.sources.values())))
    has_no_reader = Event()
    output = sys.__stdout__ or sys.stdout

    def show(message: Message) -> None:
        text = _as_json(message) if as_json else _as_text(message, is_terminal=output.isatty())
        try:
            print(text, file=output, flush=True)
        except BrokenPipeError:
            has_no_reader.set()
            raise

    signal.signal(signal.SIGTERM, _stop)  # SIGINT is Python's own, and has an exit code of its own
    try:
        setup.agent.receive(show, has_no_reader)
    except Stopped:
        _log.info("stopping")


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise Stopped


def _as_json(message: Message) -> str:
    """Write a message as an object: its data in base64, and as text where it is any."""
    data = b64encode(message.data).decode()
    return json_line({"id": message.id, "data": data, "text": message.text})


def _as_text(message: Message, *, is_terminal: bool) -> str:
    """Write a message for people; a terminal must not obey what others have sent."""
    text = message.text
    if text is None:
        return f"({len(message.data)} bytes that are no text, message {message.id})"
    return visible(text) if is_terminal else text
