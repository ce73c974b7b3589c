"""The command line, and README's own commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import cannot
from tests.events import HANG_SECONDS, happens

from .running import Caller, RunningBackend

FOLDER = Path(__file__).parents[2] / "examples" / "backend"
README = (FOLDER / "README.md").read_text("utf-8")


def flask(backend: RunningBackend, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = backend.services.settings
    environment = {
        **os.environ,
        "HUB_NAME": settings.hub,
        "HUB_CONNECTION_STRING": settings.connection_string,
        "HUB_CA": settings.ca_bundle or "",
        "DATABASE_URL": settings.database_url,
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "flask", "--app", str(FOLDER), *arguments],
        capture_output=True, text=True, timeout=HANG_SECONDS, check=False, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_users_devices_and_tags_are_made_at_the_command_line(backend: RunningBackend) -> None:
    added = flask(backend, "add-user", "Anna")
    assert added.returncode == 0, added.stderr
    assert added.stderr == "device 1 of anna; its token is shown this once:\n"
    phone = Caller(backend, added.stdout.strip())
    assert phone.put("one").json["tags"] == ["username:anna"]
    again = flask(backend, "add-user", "ANNA")
    assert (again.returncode, again.stdout) == (1, "")
    assert "already" in again.stderr
    tablet = Caller(backend, flask(backend, "add-device", "anna").stdout.strip())
    assert tablet.put("two", pushChannel="https://push.example/2").json["tags"] == ["username:anna"]
    assert flask(backend, "grant-tag", "anna", "role:admin").returncode == 0
    assert phone.put("one", tags=["role:admin"]).status == 200
    assert flask(backend, "add-user", "bob").returncode == 0
    assert flask(backend, "sign-in", "1", "bob").returncode == 0
    assert backend.tags_of("one") == ["username:bob"]
    for mistake in (
        ("add-user", "a:b"), ("add-user", ""), ("add-user", "x" * 65), ("add-device", "carol"),
        ("grant-tag", "anna", "free"), ("grant-tag", "anna", "username:bob"), ("grant-tag", "carol", "a:b"),
        ("sign-in", "1", "carol"), ("sign-in", "9", "bob"),
    ):  # fmt: skip
        refused = flask(backend, *mistake)
        assert refused.returncode in {1, 2}, mistake
        assert "Error: " in refused.stderr and "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_settings_that_are_missing_are_named(backend: RunningBackend) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    ended = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(FOLDER), "add-user", "anna"],
        capture_output=True, text=True, timeout=HANG_SECONDS, check=False, env=bare,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "HUB_NAME, HUB_CONNECTION_STRING: set in the environment" in ended.stderr


@pytest.mark.slow
def test_what_the_readme_says_can_be_typed(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        cannot("curl is not installed")
    start, *requests = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "FLASK_RUN_PORT": str(port), "TMPDIR": str(tmp_path), "PATH": programs}
    with subprocess.Popen(
        ["sh", "-c", f"exec {start}"], cwd=FOLDER.parents[1], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            tokens = dict(process.stdout.readline().rstrip("\n").split("=", 1) for _ in range(2))
            assert tokens.keys() == {"ANNA", "BOB"}
            assert happens(lambda: _is_listening(port))
            answers = [_typed(request, port, {**environment, **tokens}) for request in requests]
        finally:
            process.terminate()
            process.communicate(timeout=HANG_SECONDS)
    put, forbidden, missing, topic, registration, token = answers
    assert put["tags"] == ["kitchen", "username:anna"]
    assert (forbidden["status"], forbidden["tags"]) == (403, ["username:bob"])
    assert missing["status"] == 404
    assert topic == {"tag": "topic:news", "devices": 1}
    assert registration["tags"] == ["username:bob"]
    assert str(token["token"]).startswith("SharedAccessSignature ")


def _typed(command: str, port: int, environment: dict[str, str]) -> dict[str, object]:
    ended = subprocess.run(
        ["sh", "-c", command.replace("127.0.0.1:5000", f"127.0.0.1:{port}").replace("curl ", "curl -sS ")],
        capture_output=True, timeout=HANG_SECONDS, check=True,
        env=environment | {"no_proxy": "*"},
    )  # fmt: skip
    answer = json.loads(ended.stdout)
    assert isinstance(answer, dict)
    return answer


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_readme_lists_every_module() -> None:
    section = README.split("## Where what is\n", 1)[1].split("\n## ", 1)[0]
    told = set(re.findall(r"`(\w+\.py)`", section))
    assert told == {path.name for path in FOLDER.glob("*.py")} - {"__init__.py"}
