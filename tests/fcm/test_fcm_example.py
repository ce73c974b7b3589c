"""The Firebase example registers, receives, and lives on where its library gives up."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("its files have modes", allow_module_level=True)
if os.environ.get("NHAGENT_CI") == "1":
    import firebase_messaging  # noqa: F401 - CI installs it
pytest.importorskip("firebase_messaging", reason="firebase-messaging is not installed: nhagent[examples]")

from nhagent.emulator import Emulator
from tests.events import happens

from .google import TOKEN, Google

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "fcm_channel.py"
# The addresses of the services are constants of the library.
PROGRAM = """
import runpy
from firebase_messaging import fcmpushclient, fcmregister
web = "https://localhost:{web}/"
fcmregister.GCM_CHECKIN_URL = web + "checkin"
fcmregister.GCM_REGISTER_URL = web + "register3"
fcmregister.FCM_INSTALLATION = fcmregister.FCM_REGISTRATION = web
fcmpushclient.MCS_HOST, fcmpushclient.MCS_PORT = "localhost", {mcs}
runpy.run_path({example!r}, run_name="__main__")
"""


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    google = Google(tmp_path / "google")
    yield google
    google.close()


@contextmanager
def running(google: Google, hub: Emulator, folder: Path) -> Iterator[subprocess.Popen[str]]:
    program = PROGRAM.format(web=google.web_port, mcs=google.mcs_port, example=str(EXAMPLE))
    environment = {
        **os.environ,
        "HUB": hub.hub,
        "PROJECT_ID": "project",
        "APP_ID": "app",
        "API_KEY": "key",
        "SENDER_ID": "1234",
        "SSL_CERT_FILE": google.ca,
        "NHAGENT_CONNECTION_STRING": hub.listen,
        "NHAGENT_STATE_DIR": str(folder / "state"),
    }
    with (
        open(folder / "log", "a") as log,
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def test_token_is_registered_though_google_refuses_at_first_and_messages_arrive_after_every_end(
    google: Google, notification_hub: Emulator, tmp_path: Path
) -> None:
    google.refuses = 3  # the library gives up after two
    with running(google, notification_hub, tmp_path) as process:
        assert process.stdout is not None
        assert google.wait_for_login(1), (tmp_path / "log").read_text()
        assert happens(lambda: notification_hub.contents()["installations"])
        [held] = notification_hub.contents()["installations"]
        assert (held["platform"], held["pushChannel"]) == ("fcmv1", TOKEN)
        google.push({"data": {"title": "first"}}, "m-1")
        assert json.loads(process.stdout.readline().removeprefix("received: ")) == {
            "data": {"title": "first"}
        }
        for number in range(2, 6):  # more ends in a row than the library bears
            google.cut()
            assert google.wait_for_login(number), (tmp_path / "log").read_text()
        google.push({"data": {"title": "last"}}, "m-2")
        assert "last" in process.stdout.readline()
    [path] = tmp_path.rglob("fcm-credentials.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    asked = len(google.asked)
    with running(google, notification_hub, tmp_path) as process:
        assert process.stdout is not None
        assert google.wait_for_login(6)
        google.push({"data": {"title": "first"}}, "m-1")  # seen before
        google.push({"data": {"title": "after a restart"}}, "m-3")
        assert "after a restart" in process.stdout.readline()
    assert set(google.asked[asked:]) == {"checkin"}
