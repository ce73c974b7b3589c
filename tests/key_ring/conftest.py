from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread

import pytest

from .machine import Machine

pytest.register_assert_rewrite("tests.key_ring.contract")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any key ring: no bus, no vault, and no package that brings one."""
    return Machine(tmp_path / "machine")


@pytest.fixture
def memory() -> Iterator[str]:
    """The port at which the key ring `backends.InMemory` keeps what it is given."""
    kept: dict[tuple[str, str], str] = {}

    def serve() -> None:
        while True:
            with listener.accept() as connection:
                match connection.recv():
                    case "get", service, user:
                        connection.send(kept.get((service, user)))
                    case "set", service, user, text:
                        connection.send(kept.update({(service, user): text}))
                    case "delete", service, user:
                        connection.send(kept.pop((service, user)) and None)
                    case _:
                        return

    with Listener(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve)
        server.start()
        yield str(listener.address[1])
        with Client(listener.address) as connection:
            connection.send("end")
        server.join()
