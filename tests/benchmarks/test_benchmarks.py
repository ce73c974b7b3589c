"""What keeps the figures honest: no editable install is measured, and no contestant wins by doing nothing."""

from __future__ import annotations

import json
import socket
import sys
import threading
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.benchmarks import plain_environment
from tests.benchmarks.plain_environment import NotPlain
from tests.benchmarks.processes import clean_environment, cost_of
from tests.benchmarks.relay import Relay
from tests.benchmarks.tables import quartiles
from tests.benchmarks.trials import Trial, field_of

NOTHING = (sys.executable, "-c", "pass")


def interpreter(folder: Path, file: Path | None) -> str:
    """A program that answers as an interpreter whose nhagent is this file."""
    answer = {"file": None if file is None else str(file), "places": [str(folder / "site-packages")]}
    program = folder / "python"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site-packages" / "nhagent").mkdir(parents=True)
    return tmp_path / "site-packages"


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell's")
class TestEnvironments:
    def test_plain_install_is_taken(self, site: Path) -> None:
        python = interpreter(site.parent, site / "nhagent/__init__.py")
        assert plain_environment.check(python) == python

    def test_source_folder_is_refused(self, site: Path, tmp_path: Path) -> None:
        python = interpreter(site.parent, tmp_path / "clone/nhagent/__init__.py")
        with pytest.raises(NotPlain, match=r"editable install \(nhagent lies in .*clone/nhagent\)"):
            plain_environment.check(python)

    def test_editable_install_of_any_package_is_refused(self, site: Path) -> None:
        (site / "__editable___other_1_0_finder.py").touch()
        python = interpreter(site.parent, site / "nhagent/__init__.py")
        with pytest.raises(NotPlain, match="__editable___other_1_0_finder"):
            plain_environment.check(python)

    def test_environment_without_nhagent_is_refused(self, site: Path) -> None:
        with pytest.raises(NotPlain, match="has no nhagent"):
            plain_environment.check(interpreter(site.parent, None))

    def test_what_does_not_run_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(NotPlain, match="not an interpreter that runs"):
            plain_environment.check(str(tmp_path / "nothing"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted as Linux does")
class TestProcesses:
    def test_process_that_fails_has_no_cost(self) -> None:
        with pytest.raises(AssertionError, match="ended with 3: it is broken"):
            cost_of(
                (sys.executable, "-c", "import sys; print('it is broken', file=sys.stderr); sys.exit(3)"),
                clean_environment(),
            )

    def test_cost_is_that_of_the_process(self) -> None:
        cost = cost_of((sys.executable, "-c", "a = b'x' * 100_000_000"), clean_environment())
        assert cost.memory > 95
        assert cost.wall > 0 and cost.cpu > 0


def test_contestant_that_sends_nothing_fails() -> None:
    with field_of(Emulator("h")) as field, pytest.raises(AssertionError, match="instead of"):
        field.check(Trial(NOTHING, {}, ("PUT",), "handle"))


def test_relay_counts_connections_and_bytes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                assert client.recv(100) == b"ask"
                client.sendall(b"answer")

        threading.Thread(target=answer, daemon=True).start()
        with Relay(listener.getsockname()[1]) as relay:
            with socket.create_connection(("127.0.0.1", relay.port)) as client:
                client.sendall(b"ask")
                assert client.recv(100) == b"answer"
            assert relay.settled() == (1, 3, 6)
            assert relay.settled() == (0, 0, 0)


def test_quartiles() -> None:
    assert quartiles([1.0]) == (1.0, 1.0, 1.0)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0]) == (2.0, 3.0, 4.0)
