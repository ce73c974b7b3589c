"""Look up a host's addresses, with a timeout.

Nothing ends a look-up in the system's resolver, and while one lasts in the main thread no signal is handled:
where the name server is dead, a daemon would not stop and no deadline would hold. So a look-up has a thread
of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address
from itertools import zip_longest
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Final, TypeAlias

LOOK_SECONDS: Final = 0.1
"""Pause between two looks at whether the addresses are still wanted."""

Address: TypeAlias = tuple[Any, ...]
"""An address as `socket.getaddrinfo` gives it."""


def addresses_of(
    host: str, port: int, family: int, *, seconds: float, is_over: Callable[[], bool]
) -> list[Address]:
    """Look up a host's addresses.

    Args:
        host: its name, or an address, which is not looked up.
        port: where it is to be reached.
        family: which addresses are wanted; see `socket.getaddrinfo`.
        seconds: how long it may take.
        is_over: tells whether nobody wants them any more.

    Returns:
        The addresses, in the order in which they are to be tried.

    Raises:
        OSError: the host has none, or they are not known in time.
    """
    host = host.strip("[]")
    if _is_address(host):
        return _looked_up(host, port, family)
    found: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look() -> None:
        try:
            found.put(_looked_up(host, port, family))
        except (OSError, UnicodeError) as error:
            found.put(error if isinstance(error, OSError) else OSError(f"{host!r} is not the name of a host"))

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
    raise TimeoutError(f"the name server did not answer within {seconds:g} s")


def in_turn(found: list[Address], first: int | None = None) -> list[Address]:
    """Order addresses so that kinds of address take turns: where one kind leads nowhere, all of it does.

    Args:
        found: the addresses, those of one kind in the order in which they are to be tried.
        first: the kind that led there before.
    """
    kinds = sorted(dict.fromkeys(address[0] for address in found), key=lambda kind: kind != first)
    rows = [[address for address in found if address[0] == kind] for kind in kinds]
    return [address for turn in zip_longest(*rows) for address in turn if address is not None]


def _looked_up(host: str, port: int, family: int) -> list[Address]:
    return list(socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
