"""Calls on the session bus, and calls back, by jeepney, which keyring brings: all in time, in one thread.

jeepney reads messages of any length; here one has a cap.
"""

from __future__ import annotations

import os
from collections import deque
from select import select
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from nhagent.channels.losses import Cause, Lost
from nhagent.errors import ConfigurationError
from nhagent.values import Value

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

CALL_SECONDS: Final = 10.0
"""How long a reply may take."""
MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Longest message that is read; push messages have 4 KiB."""
MAX_WAITING: Final = 256
"""Most calls that are kept while a reply is waited for."""
BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_DO_NOT_QUEUE: Final = 4
_VARIANT: Final = 2
"""A variant is its signature and its value."""
_OWNED: Final = frozenset({1, 4})
"""What a bus answers where the name is ours: from now on, or already."""


class Incoming(Value):
    """A call or a signal from somebody on the bus.

    Attributes:
        sender: the unique name of who sent it, which nobody else can have.
        path: the object that is called, or that signals.
        interface: the interface.
        member: the method or the signal.
        body: what came with it.
        is_call: whether it is a call, which wants an answer.
        raw: the message itself.
    """

    sender: str
    path: str
    interface: str
    member: str
    body: tuple[Any, ...]
    is_call: bool
    raw: Any
    _hidden = frozenset({"body", "raw"})


class Refusal(Exception):
    """Whoever was called has answered with an error.

    Attributes:
        name: the error's name on the bus.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def check_installed() -> None:
    """Check that jeepney is there.

    Raises:
        ConfigurationError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("jeepney") is None:
        raise ConfigurationError("unified push: jeepney is not installed", 'run "pip install jeepney"')


class SessionBus:
    """A connection to the session bus.

    Args:
        wait: waits until a socket can be read, or so many seconds; tells which.

    Raises:
        ConfigurationError: jeepney is missing.
        Lost: there is no session bus here.
    """

    def __init__(self, wait: Callable[[socket.socket, float], bool]) -> None:
        check_installed()
        import jeepney
        from jeepney.io.blocking import open_dbus_connection

        self._library: Any = jeepney
        self._wait = wait
        self._waiting: deque[Incoming] = deque()
        if not os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
            raise Lost(Cause.UNREACHABLE, "there is no session bus: nobody is logged in to a desktop here")
        try:
            self._connection: Any = open_dbus_connection(bus="SESSION")
        except Exception as error:  # noqa: BLE001 - an address of any form, a bus that says anything
            raise Lost(
                Cause.UNREACHABLE, f"the session bus takes no connection ({type(error).__name__})"
            ) from None

    def close(self) -> None:
        """End the connection, whatever it waits for."""
        from nhagent.channels.dialing import cut

        cut(self._connection.sock)
        self._connection.close()

    def own(self, name: str) -> bool:
        """Take a name for this program; gives whether it is ours."""
        return self.ask_bus("RequestName", "su", (name, _DO_NOT_QUEUE))[0] in _OWNED

    def names(self) -> set[str]:
        """Give the names of all that are on the bus, or would be started when they are called."""
        found = [*self.ask_bus("ListNames")[0], *self.ask_bus("ListActivatableNames")[0]]
        return {str(name) for name in found}

    def owner_of(self, name: str) -> str | None:
        """Give the unique name of who has a name; None where nobody has it."""
        try:
            return str(self.ask_bus("GetNameOwner", "s", (name,))[0])
        except Refusal:
            return None

    def follow_owner_of(self, name: str) -> None:
        """Be told, by a signal of the bus, when a name gets another owner."""
        rule = f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{name}'"
        self.ask_bus("AddMatch", "s", (rule,))

    def start(self, name: str) -> None:
        """Start who has a name, if that is what the bus does for it."""
        try:
            self.ask_bus("StartServiceByName", "su", (name, 0))
        except Refusal:
            pass

    def ask_bus(self, member: str, signature: str = "", body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call a method of the bus itself."""
        return self.call(BUS, _BUS_PATH, BUS, member, signature, body)[0]

    def call(
        self, name: str, path: str, interface: str, member: str, signature: str, body: tuple[Any, ...]
    ) -> tuple[tuple[Any, ...], str]:
        """Call somebody, and give the answer, and the unique name of who gave it.

        Raises:
            Refusal: the answer is an error.
            Lost: there is no answer in time, or the bus is gone.
        """
        address = self._library.DBusAddress(path, bus_name=name, interface=interface)
        message = self._library.new_method_call(address, member, signature or None, body)
        serial = next(self._connection.outgoing_serial)
        self._send(message, serial)
        fields, kinds = self._library.HeaderFields, self._library.MessageType
        until = monotonic() + CALL_SECONDS
        while (left := until - monotonic()) > 0:
            answer = self._read(left, really=True)
            if answer is None:
                continue
            head = answer.header
            if head.fields.get(fields.reply_serial) == serial:
                if head.message_type is kinds.error:
                    raise Refusal(str(head.fields.get(fields.error_name)))
                return tuple(answer.body), str(head.fields.get(fields.sender))
            self._keep(answer)
        raise Lost(Cause.SILENT, f"{name} gave no answer to {member} within {CALL_SECONDS:g} s")

    def next_incoming(self, seconds: float) -> Incoming | None:
        """Give the next call or signal; None where none came in time.

        Raises:
            Lost: the bus is gone.
        """
        if not self._waiting:
            message = self._read(seconds)
            if message is not None:
                self._keep(message)
        return self._waiting.popleft() if self._waiting else None

    def answer(self, incoming: Incoming, values: Mapping[str, Any]) -> None:
        """Answer a call with a mapping of variants."""
        self._send(self._library.new_method_return(incoming.raw, "a{sv}", (dict(values),)), None)

    def refuse(self, incoming: Incoming, name: str, why: str) -> None:
        """Answer a call with an error."""
        self._send(self._library.new_error(incoming.raw, name, "s", (why,)), None)

    def _keep(self, message: Any) -> None:
        head, fields = message.header, self._library.HeaderFields
        kinds = self._library.MessageType
        if head.message_type not in {kinds.method_call, kinds.signal} or len(self._waiting) >= MAX_WAITING:
            return
        sender, path, interface, member = (
            str(head.fields.get(field, ""))
            for field in (fields.sender, fields.path, fields.interface, fields.member)
        )
        is_call = head.message_type is kinds.method_call
        self._waiting.append(Incoming(sender, path, interface, member, tuple(message.body), is_call, message))

    def _send(self, message: Any, serial: int | None) -> None:
        try:
            self._connection.send(message, serial=serial)
        except (OSError, ValueError) as error:
            raise Lost(Cause.UNREACHABLE, f"the session bus is gone ({type(error).__name__})") from None

    def _read(self, seconds: float, *, really: bool = False) -> Any:
        """Read a message; None where none is whole in time."""
        parser, opened = self._connection.parser, self._connection.sock
        try:
            message = parser.get_next_message()
            if message is not None:
                return message
            is_too_long = parser.bytes_desired() > MAX_MESSAGE_BYTES
            is_there = bool(select([opened], [], [], seconds)[0]) if really else self._wait(opened, seconds)
            if not is_there:
                return None
            data = b"" if is_too_long else opened.recv(4096)
        except Exception as error:  # noqa: BLE001 - what cannot be parsed ends in anything
            raise Lost(Cause.UNREACHABLE, f"the session bus is gone ({type(error).__name__})") from None
        if is_too_long:
            raise Lost(Cause.ENDED, f"a message on the session bus is longer than {MAX_MESSAGE_BYTES} bytes")
        if not data:
            raise Lost(Cause.UNREACHABLE, "the session bus is gone")
        parser.add_data(data, [])
        return parser.get_next_message()


def values_in(body: tuple[Any, ...]) -> dict[str, Any]:
    """Give the values of a mapping of variants, the first thing in a body; what is none holds nothing."""
    given = body[0] if body else {}
    if not isinstance(given, dict):
        return {}
    return {
        str(name): item[1]
        for name, item in given.items()
        if isinstance(item, tuple) and len(item) == _VARIANT
    }
