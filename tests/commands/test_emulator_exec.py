"""``nhagent emulator exec -- COMMAND``: a program's own tests with a hub beside them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent.commands.cli import main
from tests.events import HANG_SECONDS

if sys.platform == "win32":
    pytest.skip("Windows has no such signals", allow_module_level=True)

EXEC = [sys.executable, "-m", "nhagent", "emulator", "exec"]
SHOW = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if 'NOTIFICATION_HUB' in k}))"


def executed(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EXEC, *arguments], capture_output=True, text=True, input=text, timeout=HANG_SECONDS, check=False
    )


def shown(*options: str) -> dict[str, str]:
    done = executed(*options, "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_command_finds_the_hub_in_its_environment() -> None:
    found = shown("--hub", "my-hub")
    assert set(found) == {
        "NOTIFICATION_HUB",
        "NOTIFICATION_HUB_ENDPOINT",
        "NOTIFICATION_HUB_LISTEN",
        "NOTIFICATION_HUB_FULL",
    }
    assert found["NOTIFICATION_HUB"] == "my-hub"
    assert found["NOTIFICATION_HUB_LISTEN"].startswith(f"Endpoint={found['NOTIFICATION_HUB_ENDPOINT']}/;")
    assert "DefaultFullSharedAccessSignature" in found["NOTIFICATION_HUB_FULL"]


def test_options_count_before_exec_too_and_tls_names_the_authority() -> None:
    arguments = [*EXEC[:-1], "--tls", "--hub", "other", "exec", "--push-service", "--"]
    done = subprocess.run(
        [*arguments, sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_SECONDS,
    )
    found = json.loads(done.stdout)
    assert found["NOTIFICATION_HUB"] == "other"
    assert found["NOTIFICATION_HUB_ENDPOINT"].startswith("https://localhost:")
    assert found["NOTIFICATION_HUB_PUSH"].startswith("wss://localhost:")
    assert len(found["NOTIFICATION_HUB_VAPID_PUBLIC_KEY"]) == 87
    assert not os.path.exists(found["NOTIFICATION_HUB_CA"])


def test_the_command_uses_the_hub_and_its_input_and_arguments_are_its_own() -> None:
    program = """
import os, sys, urllib.request
with urllib.request.urlopen(os.environ["NOTIFICATION_HUB_ENDPOINT"] + "/_emulator/health") as reply:
    print(reply.status, sys.argv[1:], sys.stdin.read())
"""
    done = executed("--", sys.executable, "-c", program, "-v", "--", "--tls", text="typed")
    assert (done.returncode, done.stdout) == (0, "200 ['-v', '--', '--tls'] typed\n"), done.stderr


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_its_exit_code_is_the_commands(code: int) -> None:
    assert executed("--", sys.executable, "-c", f"raise SystemExit({code})").returncode == code


def test_a_command_that_a_signal_ends_is_told_as_shells_do() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert executed("--", sys.executable, "-c", program).returncode == 128 + signal.SIGKILL


def test_what_cannot_be_run_is_said_and_has_the_codes_of_shells(tmp_path: Path) -> None:
    done = executed("--", "no-such-command-here")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "nhagent: no-such-command-here: cannot be run: No such file or directory\n"
    plain = tmp_path / "plain"
    plain.write_text("no program")
    assert executed("--", str(plain)).returncode == 126


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_and_the_command_ends_as_it_likes(number: int) -> None:
    program = f"""
import signal, sys
signal.signal({int(number)}, lambda *_: (print("told", flush=True), sys.exit(9)))
print("ready", flush=True)
signal.pause()
"""
    with subprocess.Popen(
        [*EXEC, "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        rest, _ = process.communicate(timeout=HANG_SECONDS)
    assert (process.returncode, rest) == (9, "told\n")


def test_an_emulator_that_cannot_start_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text("no seed")
    marker = tmp_path / "ran"
    touch = f"open({str(marker)!r}, 'w')"
    assert main(["emulator", "exec", "--seed", str(seed), "--json", "--", sys.executable, "-c", touch]) == 78
    told = json.loads(capsys.readouterr().out)
    assert "is not a seed: Line 1 is not JSON" in told["error"]["message"]
    assert not marker.exists()


def test_without_a_command_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["emulator", "exec"])
    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def registers(*options: str) -> subprocess.CompletedProcess[str]:
    """A device registers with the hub of `exec`, in a folder of its own."""
    program = """
import os, tempfile
from nhagent import Agent
with tempfile.TemporaryDirectory() as folder:
    agent = Agent(app="a", hub=os.environ["NOTIFICATION_HUB"], platform="gcm", channel="SECRET-HANDLE",
                  connection_string=os.environ["NOTIFICATION_HUB_LISTEN"], state_dir=folder)
    agent.start()
"""
    return executed(*options, "--", sys.executable, "-c", program)


@pytest.mark.slow
def test_verbose_shows_a_line_for_each_request_without_handles() -> None:
    done = registers("-v")
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ")[2] for line in done.stderr.splitlines() if "DefaultListen" in line]
    assert [line.partition("/")[0].strip() for line in lines] == ["GET", "PUT"]
    assert all(line.endswith(" 200 DefaultListenSharedAccessSignature") for line in lines)
    assert "SECRET-HANDLE" not in done.stderr
    assert registers().stderr == ""


def test_seed_and_deliver_reach_the_emulator(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    record: dict[str, Any] = {"installationId": "i", "platform": "gcm", "pushChannel": "g"}
    seed.write_text(json.dumps(record) + "\n")
    program = """
import os, urllib.request
endpoint, hub = os.environ["NOTIFICATION_HUB_ENDPOINT"], os.environ["NOTIFICATION_HUB"]
print(urllib.request.urlopen(f"{endpoint}/_emulator/hubs/{hub}").read().decode())
"""
    done = executed("--seed", str(seed), "--deliver", "--", sys.executable, "-c", program)
    assert [each["installationId"] for each in json.loads(done.stdout)["installations"]] == ["i"]
