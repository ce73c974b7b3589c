"""What arrives on the device's push channel, handed to a program: one message at a time, beside the daemon.

The program gets a message on its standard input, and nothing of it among its arguments: what others have sent
is never read as a command.
"""

from __future__ import annotations

import logging
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from nhagent.channels import child
from nhagent.errors import ChannelError, NhagentError
from nhagent.reconcile.own_channel import received_by
from nhagent.redaction import in_prose

if TYPE_CHECKING:
    from nhagent.channels.messages import Message
    from nhagent.channels.source import ChannelSource
    from nhagent.commands.channel_tables import ReceiveCommand

MESSAGE_ID: Final = "NHAGENT_MESSAGE_ID"
"""The environment variable that holds the message's id."""
MAX_OUTPUT_BYTES: Final = 1024 * 1024
"""The most that the program may print; nobody reads it."""
RETRY_SECONDS: Final = 60.0
"""Pause after receiving has failed; it doubles each time."""
RETRY_LIMIT_SECONDS: Final = 900.0
STOP_SECONDS: Final = 2.0
"""How long the end of the thread is waited for."""

_log = logging.getLogger(__name__)


class Listening:
    """Hands messages to a program, in a thread of its own.

    Args:
        source: the channel's source, which receives.
        command: the program.
    """

    def __init__(self, source: ChannelSource, command: ReceiveCommand) -> None:
        self._receive = received_by(source)
        self._command = command
        self._stop = Event()
        self._thread = Thread(target=self._run, name="nhagent receive", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a message that the program has not taken by then comes again."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        pause = RETRY_SECONDS
        while not self._stop.is_set():
            try:
                self._receive(self._hand_on, self._stop)
            except NhagentError as error:
                _log.error("messages are not received: %s", error)
            except BaseException as fault:  # noqa: BLE001 - the daemon would go on deaf
                _log.error("messages are not received: a fault in nhagent (%s)", in_prose(fault))
            else:
                return
            self._stop.wait(pause)
            pause = min(2 * pause, RETRY_LIMIT_SECONDS)

    def _hand_on(self, message: Message) -> None:
        """Run the program with one message.

        Raises:
            ChannelError: it failed, or did not end in time; the message comes again.
        """
        name = f"receive command {self._command.arguments[0]!r}"
        environment = {**child.environment(self._command.variables), MESSAGE_ID: message.id}
        try:
            ended = child.run(
                self._command.arguments,
                input=message.data,
                seconds=self._command.seconds,
                cap=MAX_OUTPUT_BYTES,
                environment=environment,
            )
        except child.ChildFailed as error:
            raise ChannelError(f"{name}: {error.fact}", error.hint) from None
        if ended.status != 0:
            raise ChannelError(f"{name}: failed with status {ended.status}", "run it by hand to see why")
        _log.info("message %s: taken by %s", message.id, name)
