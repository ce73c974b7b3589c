"""The commands ``demo`` and ``emulator``: what they print, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from nhagent import HubClient, errors
from nhagent.commands.cli import main
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS


@pytest.mark.slow
def test_demo_tells_the_story_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for number, heading in enumerate(
        (
            "first start: registered",
            "second start: unchanged",
            "both channels rotated: updated",
            "lost at the hub: recreated",
            "the disk was wiped: updated",
            "registrations, first start: updated",
            "registration gone: recreated",
            "a headless device gets a push channel by itself: registered",
        ),
        start=1,
    ):
        assert f"{number}. {heading}\n" in text
    began = time.monotonic()
    assert main(["demo", "--json"]) == 0
    took = time.monotonic() - began
    story = json.loads(capsys.readouterr().out)
    seen = [[request["method"] for request in step["requests"]] for step in story["steps"]]
    assert seen[:5] == [["GET", "GET", "PUT"], [], ["PATCH"], ["PATCH", "PUT"], ["GET", "GET", "PUT"]]
    assert seen[5:] == [["GET", "PUT", "POST", "PUT", "DELETE", "DELETE"], ["PUT", "POST", "PUT", "PUT"]]
    assert len({step["installation_id"] for step in story["steps"] if step["style"] == "installation"}) == 1
    [held] = story["holds"]["installations"]
    assert held["pushChannel"].endswith("/3")
    rows = story["holds"]["registrations"]
    assert sorted(row.get("templateName", "native") for row in rows) == ["alert", "native"]
    assert 0 < story["elapsed"] <= took
    push = story["push"]
    assert [request["method"] for request in push["requests"]] == ["GET", "PUT"]
    assert push["received"] == push["sent"] == "somebody is at the door"


@pytest.mark.slow
def test_demo_without_the_extras_says_what_it_left_out() -> None:
    program = """
import sys
sys.modules["websocket"] = sys.modules["wsproto"] = None
from nhagent.commands.cli import main
sys.exit(main(["demo"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "8. a headless device gets a push channel by itself: left out\n" in done.stdout
    assert "pip install 'nhagent[webpush,emulator]'" in done.stdout


def test_emulator_with_a_push_service_says_where_devices_connect() -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--push-service", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert list(ready) == [
            "schema",
            "endpoint",
            "hub",
            "listen",
            "full",
            "ca",
            "ui",
            "push",
            "vapid_public_key",
        ]
        with urlopen(Request(f"{ready['endpoint']}/_emulator/push-service")) as reply:
            assert json.load(reply) == {"users": {}, "connections": [], "posts": 0}
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0
    assert ready["push"].startswith("ws://127.0.0.1:")
    assert len(ready["vapid_public_key"]) == 87


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_emulator_says_in_one_line_how_to_reach_it_and_ends_on_sigterm(tls: bool) -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--json", "--hub", "my-hub", *(["--tls"] * tls)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert list(ready) == ["schema", "endpoint", "hub", "listen", "full", "ca", "ui"]
        assert ready["ui"] == f"{ready['endpoint']}/_emulator/ui/"
        assert ready["hub"] == "my-hub"
        if tls:
            assert ready["endpoint"].startswith("https://localhost:")
            assert ready["listen"].startswith("Endpoint=sb://localhost:")
            assert Path(ready["ca"]).read_text().startswith("-----BEGIN CERTIFICATE")
        else:
            assert ready["ca"] is None
            assert ready["listen"].startswith(
                f"Endpoint={ready['endpoint']}/;SharedAccessKeyName=DefaultListen"
            )
            with urlopen(Request(f"{ready['endpoint']}/_emulator/log")) as reply:
                assert json.load(reply) == []
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=HANG_SECONDS)
    assert (process.returncode, rest) == (0, "")
    if tls:
        assert not os.path.exists(ready["ca"])


def test_emulator_that_others_cannot_use_without_tls_says_so() -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--host", "0.0.0.0", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline())["ui"] is None
        assert "is plain http, which nhagent takes to loopback alone" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)


def test_emulator_shows_every_certificate_that_it_has() -> None:
    from nhagent.commands.parser import make_parser
    from nhagent.emulator.options import CERTIFICATES

    for kind in CERTIFICATES:
        assert make_parser().parse_args(["emulator", "--certificate", kind]).certificate == kind
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--json", "--tls", "--certificate", "expired"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with (
            HubClient(ready["listen"], ready["hub"], ca_bundle=ready["ca"]) as client,
            pytest.raises(errors.HubUnavailable, match="has expired"),
        ):
            client.get_installation("device")
        process.send_signal(signal.SIGTERM)


def test_emulator_without_tls_has_no_certificate_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--certificate", "early", "--json"]) == 78
    assert "with TLS only" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_emulator_that_cannot_listen_says_so(
    capsys: pytest.CaptureFixture[str], notification_hub: Emulator
) -> None:
    port = notification_hub.endpoint.rsplit(":", 1)[1]
    assert main(["emulator", "--port", port, "--json"]) == 78
    told = json.loads(capsys.readouterr().out)["error"]
    assert told["type"] == "ConfigurationError"
    assert f"another program listens on port {port}" in told["message"]
    assert "--port 0 takes any that is free" in told["message"]


def test_emulator_for_an_address_of_another_machine_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--host", "192.0.2.1", "--json"]) == 78
    assert "'192.0.2.1' is not an address of this machine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--seed", "/missing/seed"],
            "emulator: cannot be started: /missing/seed: No such file or directory;",
        ),
        (["--data", "/missing/hub.sqlite"], "emulator: cannot be started: /missing/hub.sqlite: "),
        (["--hub", ""], "emulator: cannot be started: '' is not a valid name for a hub; correct"),
    ],
)
def test_emulator_that_cannot_start_says_which_option_it_is(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["emulator", *options]) == 78
    assert told in capsys.readouterr().err
