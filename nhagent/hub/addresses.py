"""A host's addresses, for as long as there is time.

Nothing ends a look-up in the system's resolver, and while one lasts in the main thread no signal is obeyed:
where the name server is dead, a daemon would not stop and no deadline hold. So it has a thread of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Final, TypeAlias

LOOK_SECONDS: Final = 0.1
"""Between two looks at whether it is still wanted."""

Address: TypeAlias = tuple[Any, ...]
"""As `socket.getaddrinfo` gives them."""


def addresses_of(
    host: str, port: int, family: int, *, seconds: float, is_over: Callable[[], bool]
) -> list[Address]:
    """Look a host up.

    Args:
        host: its name, or an address, which is not looked up.
        port: where it is to be reached.
        family: which addresses are wanted; see `socket.getaddrinfo`.
        seconds: how long it may take.
        is_over: whether nobody wants it any more.

    Raises:
        OSError: it has none, or that is not known in time.
    """
    host = host.strip("[]")
    if _is_address(host):
        return _looked_up(host, port, family)
    found: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look() -> None:
        try:
            found.put(_looked_up(host, port, family))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(f"{host!r} is no host's name"))

    Thread(target=look, name="nhagent look-up", daemon=True).start()
    ends = monotonic() + seconds
    while not is_over() and (left := ends - monotonic()) > 0:
        try:
            answer = found.get(timeout=min(left, LOOK_SECONDS))
        except Empty:
            continue
        if isinstance(answer, OSError):
            raise answer
        return answer
    raise TimeoutError(f"the name server did not say within {seconds:g} s where it is")


def _looked_up(host: str, port: int, family: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
