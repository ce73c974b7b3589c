"""The examples run as they stand, each in a process of its own, against the emulated hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS, happens

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run(notification_hub: Emulator, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / name)],
            env={
                **os.environ,
                "HUB": notification_hub.hub,
                "NHAGENT_CONNECTION_STRING": notification_hub.listen,
                "NHAGENT_STATE_DIR": str(tmp_path / "state"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=HANG_SECONDS,
        )

    return run


def test_every_example_is_run() -> None:
    source = Path(__file__).read_text()
    for folder in ("channels/unifiedpush", "fcm", "desktop"):  # what these need is not everywhere
        source += "".join(path.read_text() for path in (Path(__file__).parent / folder).glob("test_*.py"))
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in source


def test_raspberry_pi_is_registered_and_reached(notification_hub: Emulator, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HUB": notification_hub.hub,
        "VAPID_PUBLIC_KEY": notification_hub.vapid_public_key,
        "PUSH_SERVICE": notification_hub.push,
        "NHAGENT_CONNECTION_STRING": notification_hub.listen,
        "NHAGENT_STATE_DIR": str(tmp_path / "state"),
    }
    given = [sys.executable, "-W", "error", str(EXAMPLES / "raspberry_pi.py")]
    with subprocess.Popen(given, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert happens(lambda: notification_hub.contents()["installations"])
            [held] = notification_hub.contents()["installations"]
            assert notification_hub.send_push(held["installationId"], "switch on \x1b[2J").status == 201
            assert process.stdout.readline() == "received: 'switch on \\x1b[2J'\n"
        finally:
            process.kill()
    assert held["tags"] == ["attic"]


def test_raspberry_pi_without_code_is_the_same_device(tmp_path: Path) -> None:
    from nhagent.channels.encryption import new_pair
    from nhagent.commands.setup import read_setup

    text = (EXAMPLES / "raspberry_pi.toml").read_text().replace('"B…"', f'"{new_pair()[1]}"')
    (tmp_path / "config.toml").write_text(text)
    setup = read_setup(str(tmp_path / "config.toml"))
    assert "'raspberry-pi'" in repr(setup.agent)
    assert setup.platform == "browser"
    assert setup.receive is not None
    assert setup.receive.arguments == ("/usr/local/bin/on-message",)


@pytest.mark.slow
def test_fleet_simulation_gives_the_figures_of_every_policy(
    run_simulation: Callable[..., str],
) -> None:
    numbers = json.loads(run_simulation("--devices", "100000", "--json"))
    assert set(numbers) == {"nhagent", "dotnet", "java", "javascript", "android", "ios"}
    ours = numbers["nhagent"]
    assert ours["never_registered_pct"] == 0
    assert ours["requests_per_device"] <= 3
    assert ours["t999_vs_ideal"] <= 1.5
    for name in ("dotnet", "java", "javascript", "android"):
        assert numbers[name]["never_registered_pct"] > 80
        assert numbers[name]["t999_vs_ideal"] is None


@pytest.mark.slow
def test_fleet_whose_push_service_restarts_comes_back_spread_and_is_registered(
    run_simulation: Callable[..., str],
) -> None:
    numbers = json.loads(run_simulation("--devices", "100000", "--push", "--json"))
    assert list(numbers) == ["0 s", "30 s", "300 s", "3600 s"]
    for row in numbers.values():
        assert row["peak_vs_mean"] <= 2
        assert row["never_registered_pct"] == 0
        assert row["requests_per_device"] <= 2.5
    assert "away for" in run_simulation("--devices", "2000", "--push")


@pytest.mark.slow
def test_fleet_simulation_prints_a_table_for_any_fleet_and_hub(run_simulation: Callable[..., str]) -> None:
    for arguments in ((), ("--rate-divisor", "60"), ("--rate-divisor", "3000"), ("--retry-after", "10")):
        printed = run_simulation("--devices", "2000", *arguments)
        assert "a lone device whose packet was lost tries again after 0.5 to 1.5 s" in printed
        [row] = [line for line in printed.splitlines() if line.startswith("nhagent ")]
        assert row.split()[1] == "0"


@pytest.fixture
def run_simulation() -> Callable[..., str]:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-W", "error", str(EXAMPLES / "fleet_simulation.py"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=HANG_SECONDS
        ).stdout

    return run


def test_embedded_start_up_before_and_after_the_gateway_has_written_the_handle(
    run: Callable[..., subprocess.CompletedProcess[str]], notification_hub: Emulator, tmp_path: Path
) -> None:
    handle = tmp_path / "fcm-token"
    first = run("embedded_startup.py", HANDLE_FILE=str(handle))
    assert first.stdout.startswith("waiting: installation None, requests: 0")
    assert "not registered yet" in first.stderr
    handle.write_text("token-1\n")
    assert run("embedded_startup.py", HANDLE_FILE=str(handle)).stdout.startswith("registered")
    assert run("embedded_startup.py", HANDLE_FILE=str(handle)).stdout.startswith("unchanged")
    [held] = notification_hub.contents()["installations"]
    assert (held["platform"], held["pushChannel"], held["tags"]) == (
        "fcmv1", "token-1", ["greenhouse", "model:gs-2"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"NHAGENT_CONNECTION_STRING": ""}, "no connection string was found"),
        ({"NHAGENT_CONNECTION_STRING": "Endpoint=nonsense"}, "not registered: "),
        ({"HUB": "no such hub"}, "not registered: "),
    ],
    ids=["no key", "no connection string", "no hub"],
)
def test_embedded_device_does_its_work_whatever_is_wrong(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, mistake: dict[str, str], told: str
) -> None:
    (tmp_path / "token").write_text("token-1")
    ended = run("embedded_startup.py", HANDLE_FILE=str(tmp_path / "token"), **mistake)
    assert (ended.returncode, ended.stdout) == (0, "the device's own work\n")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_asyncio_app_follows_its_subscription(
    run: Callable[..., subprocess.CompletedProcess[str]], notification_hub: Emulator
) -> None:
    printed = run("asyncio_app.py").stdout.splitlines()
    assert printed == [
        "other work done",
        "registered while the loop went on, requests: 2",
        "new subscription: updated, requests: 1",
    ]
    [held] = notification_hub.contents()["installations"]
    assert held["pushChannel"]["endpoint"] == "https://push.example/subscription/2"


def test_desktop_app_registers_its_tiles_as_they_are_pinned(
    run: Callable[..., subprocess.CompletedProcess[str]], notification_hub: Emulator
) -> None:
    tiles = {"CHANNEL": "https://push.example/app", "TILE_WEATHER": "https://push.example/weather"}
    printed = run("desktop_tiles.py", **tiles).stdout
    assert "left out for now: tiles.traffic" in printed
    assert "with the tag: updated" in printed
    printed = run("desktop_tiles.py", **tiles, TILE_TRAFFIC="https://push.example/traffic").stdout
    assert "left out" not in printed
    assert "with the tag: unchanged" in printed
    [held] = notification_hub.contents()["installations"]
    assert set(held["secondaryTiles"]) == {"weather", "traffic"}
    assert held["secondaryTiles"]["weather"]["templates"]["w"]["headers"] == {"X-WNS-Type": "wns/tile"}
    assert held["tags"] == ["sports"]
    assert held["userId"] == "someone@example.com"


def test_kiosk_is_dropped_when_it_is_not_heard_of(
    run: Callable[..., subprocess.CompletedProcess[str]], notification_hub: Emulator
) -> None:
    assert run("kiosk.py", HANDLE="token-1").stdout.startswith("registered; written again at 2")
    [held] = notification_hub.contents()["installations"]
    ends = datetime.fromisoformat(held["expirationTime"])
    assert timedelta(days=13) < ends - datetime.now(UTC) <= timedelta(days=14, minutes=1)
    notification_hub.set_clock(15 * 86400)
    assert notification_hub.contents()["installations"] == []


def test_move_to_fcmv1_keeps_the_installation_and_leaves_no_row_behind(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    printed = run("gcm_to_fcmv1.py").stdout.splitlines()
    by_style = "\n".join(printed).partition("registration: registered")
    assert printed[0] == "installation: updated"
    assert by_style[0].count("  PUT ") == 1
    assert "the same installation: True" in by_style[0]
    assert by_style[2].count("  DELETE ") == by_style[2].count("  PUT ") == 2


@pytest.mark.slow
def test_tests_of_an_app_pass(tmp_path: Path) -> None:
    given = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / "test_my_app.py")]
    ended = subprocess.run(
        given, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert "4 passed" in ended.stdout, ended
