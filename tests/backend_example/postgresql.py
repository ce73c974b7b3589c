"""A PostgreSQL server of the tests' own, on a socket file, run by a user without rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.children import cannot
from tests.events import HANG_SECONDS

ACCOUNT = "postgres"
"""Debian's account of the server, which does not run as root."""
OPTIONS = "-c listen_addresses= -c fsync=off -c unix_socket_directories={folder}"


def require_server() -> None:
    """Skip the test when there is no server to run; under `NHAGENT_CI=1` fail it."""
    if find_spec("psycopg") is None:
        cannot("psycopg is not installed: nhagent[examples]")
    if _program("initdb") is None:
        cannot("PostgreSQL is not installed")


@contextmanager
def server() -> Iterator[str]:
    """Run a server until the block ends.

    Yields:
        The folder of its socket.
    """
    # The name of a socket has a hundred characters at most, and other users may not enter pytest's folders.
    folder = tempfile.mkdtemp(prefix="nhagent-pg-")
    if _is_root():
        shutil.chown(folder, ACCOUNT, ACCOUNT)
    data = f"{folder}/data"
    try:
        _run("initdb", "--pgdata", data, "--username", ACCOUNT, "--auth", "trust", "--no-sync")
        options = OPTIONS.format(folder=folder)
        _run("pg_ctl", "--pgdata", data, "--wait", "--log", f"{folder}/log", "--options", options, "start")
        try:
            yield folder
        finally:
            _run("pg_ctl", "--pgdata", data, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def new_database(folder: str, name: str) -> str:
    """Make an empty database.

    Returns:
        Its URL for SQLAlchemy.
    """
    import psycopg

    with psycopg.connect(f"host={folder} user={ACCOUNT} dbname=postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"postgresql+psycopg://{ACCOUNT}@/{name}?host={folder}"


def _run(program: str, *arguments: str) -> None:
    path = _program(program)
    assert path is not None
    as_user: dict[str, Any] = {}
    if _is_root():
        as_user = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}
    # The server inherits what its starter has: a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as said:
        ended = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            cwd="/", timeout=HANG_SECONDS, check=False, **as_user,
        )  # fmt: skip
        said.seek(0)
        assert ended.returncode == 0, said.read().decode(errors="replace")


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _program(name: str) -> str | None:
    """Find a program of the newest version: Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)
