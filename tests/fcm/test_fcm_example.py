"""The Firebase example registers, receives, and lives on where its library gives up."""

from __future__ import annotations

import ast
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

import pytest

if sys.platform == "win32":
    pytest.skip("its files have modes", allow_module_level=True)
if os.environ.get("NHAGENT_CI") == "1":
    import firebase_messaging  # noqa: F401 - CI installs it
pytest.importorskip("firebase_messaging", reason="firebase-messaging is not installed: nhagent[examples]")

from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS, happens

from .google import MUTE, REFUSED, Google

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "fcm_channel.py"
# The addresses of the services are constants of the library.
PLACES = """
import os, runpy, sys
from pathlib import Path
from firebase_messaging import FcmRegisterConfig, fcmpushclient, fcmregister
web = "https://localhost:{web}/"
fcmregister.GCM_CHECKIN_URL = web + "checkin"
fcmregister.GCM_REGISTER_URL = web + "register3"
fcmregister.FCM_INSTALLATION = fcmregister.FCM_REGISTRATION = web
fcmpushclient.MCS_HOST, fcmpushclient.MCS_PORT = "localhost", {mcs}
"""
AS_IT_STANDS = f"runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')"
# An app of its own: it says what it is given, and then does what it is told to on its standard input.
OBEYING = f"""
example = runpy.run_path({str(EXAMPLE)!r})
path = Path(os.environ["NHAGENT_STATE_DIR"]) / "fcm-credentials.json"
channel = example["FcmChannel"](FcmRegisterConfig("project", "app", "key", "1234"), path, silence=3.0)
def take(message):
    print("received:", ascii(message.text), flush=True)
    if sys.stdin.readline() == "fail\\n":
        raise OSError("told to")
channel.receive(take)
"""


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    google = Google(tmp_path / "google")
    yield google
    google.close()


class Running:
    """The example in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._log = log
        self._input: IO[str] = process.stdin
        self._lines: SimpleQueue[str] = SimpleQueue()
        Thread(target=self._read, args=[process.stdout], daemon=True).start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            self._lines.put(line)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def message(self) -> str:
        """Wait for a message; give its text."""
        try:
            line = self._lines.get(timeout=HANG_SECONDS)
        except Empty:
            pytest.fail(f"no message comes: {self.log}")
        assert line.startswith("received: "), line
        return str(ast.literal_eval(line.removeprefix("received: ")))

    def content(self) -> Any:
        """Wait for a message; give what was sent, which was JSON."""
        return json.loads(self.message())

    def tell(self, what: str) -> None:
        """Let the app be done with a message, or fail at it."""
        self._input.write(f"{what}\n")
        self._input.flush()


@contextmanager
def running(
    google: Google, folder: Path, hub: Emulator | None = None, code: str = AS_IT_STANDS
) -> Iterator[Running]:
    environment = {
        **os.environ,
        "PROJECT_ID": "project",
        "APP_ID": "app",
        "API_KEY": "key",
        "SENDER_ID": "1234",
        "SSL_CERT_FILE": google.ca,
        "NHAGENT_STATE_DIR": str(folder / "state"),
    }
    if hub is not None:
        environment |= {"HUB": hub.hub, "NHAGENT_CONNECTION_STRING": hub.listen}
    program = PLACES.format(web=google.web_port, mcs=google.mcs_port) + code
    with (
        open(folder / "log", "a") as log,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Running(process, folder / "log")
        finally:
            process.kill()


def held_token(hub: Emulator) -> str | None:
    """The one token that the hub holds, or None."""
    installations = hub.contents()["installations"]
    assert len(installations) <= 1
    return installations[0]["pushChannel"] if installations else None


def test_token_is_registered_and_what_is_sent_arrives(
    google: Google, notification_hub: Emulator, tmp_path: Path
) -> None:
    with running(google, tmp_path, notification_hub) as example:
        assert google.wait_for_login(1), example.log
        assert happens(lambda: held_token(notification_hub) == google.token), example.log
        [held] = notification_hub.contents()["installations"]
        assert (held["platform"], held["tags"]) == ("fcmv1", ["linux"])
        google.push({"data": {"title": "first ☂ \x1b[2J"}}, "m-1")
        assert example.content() == {"data": {"title": "first ☂ \x1b[2J"}}
        google.push(b"no JSON at all", "m-2")
        assert example.message() == "no JSON at all"
    [path] = tmp_path.rglob("fcm-credentials.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "Warning" not in example.log, example.log


def test_restart_keeps_the_token_and_repeats_nothing(
    google: Google, notification_hub: Emulator, tmp_path: Path
) -> None:
    with running(google, tmp_path, notification_hub) as example:
        assert google.wait_for_login(1), example.log
        assert happens(lambda: held_token(notification_hub) == google.token)
        google.push({"data": "first"}, "m-1")
        assert example.content() == {"data": "first"}
        [path] = tmp_path.rglob("fcm-credentials.json")
        assert happens(lambda: json.loads(path.read_text())["waiting"] == [])
        assert happens(lambda: "m-1" in google.acknowledged)
    del google.asked[:]
    writes = len(notification_hub.log())
    with running(google, tmp_path, notification_hub) as example:
        assert google.wait_for_login(2), example.log
        google.push_again({"data": "first"}, "m-1")
        google.push({"data": "second"}, "m-2")
        assert example.content() == {"data": "second"}
    assert google.asked == ["checkin"]
    assert len(notification_hub.log()) == writes


@pytest.mark.parametrize(
    ("service", "times"),
    [("checkin", 3), ("register3", 2), ("installations", 1), ("registrations", 2)],
    ids=["no check-in", "PHONE_REGISTRATION_ERROR", "no installation", "no registration"],
)
def test_registration_that_the_library_gives_up_is_tried_again(
    google: Google, notification_hub: Emulator, tmp_path: Path, service: str, times: int
) -> None:
    google.failures[service] = times + 1  # the library gives up after so many, and once more
    with running(google, tmp_path, notification_hub) as example:
        assert google.wait_for_login(1), example.log
        assert happens(lambda: held_token(notification_hub) == google.token), example.log
        google.push({"data": "sent"}, "m-1")
        assert example.content() == {"data": "sent"}
    assert "tried again in" in example.log
    assert google.failures[service] == 0


def test_listener_that_dies_is_started_again_more_often_than_the_library_would(
    google: Google, tmp_path: Path
) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        for number in range(1, 6):
            assert google.wait_for_login(number), example.log
            google.push({"data": number}, f"m-{number}")
            assert example.content() == {"data": number}
            example.tell("done")
            google.cut()
    assert example.log.count("FCM's listener died") >= 4
    assert google.registered == 1
    assert google.asked.count("checkin") == 1


def test_messages_that_were_sent_meanwhile_come_once_and_in_order(google: Google, tmp_path: Path) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        google.cut()
        for number in range(3):
            google.push({"data": number}, f"m-{number}")
        for number in range(3):
            assert example.content() == {"data": number}
            example.tell("done")
        assert happens(lambda: google.acknowledged == ["m-0", "m-1", "m-2"])


@pytest.mark.parametrize("fate", [MUTE, REFUSED])
def test_login_that_is_not_answered_or_refused_is_tried_again(
    google: Google, tmp_path: Path, fate: str
) -> None:
    google.refusals = [fate]
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        google.push({"data": "sent"}, "m-1")
        assert example.content() == {"data": "sent"}
    assert {MUTE: "FCM is silent", REFUSED: "FCM refuses us"}[fate] in example.log
    assert google.registered == 1


def test_client_whose_logins_are_refused_gets_another_token_which_the_hub_learns(
    google: Google, notification_hub: Emulator, tmp_path: Path
) -> None:
    google.refusals = [REFUSED] * 3
    with running(google, tmp_path, notification_hub) as example:
        assert google.wait_for_login(1), example.log
        assert google.registered == 2
        assert happens(lambda: held_token(notification_hub) == google.token), example.log
        google.push({"data": "sent"}, "m-1")
        assert example.content() == {"data": "sent"}


def test_message_that_cannot_be_read_is_dropped_and_others_come(google: Google, tmp_path: Path) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        google.push({"data": "spoilt"}, "m-1", key="AAAAA")
        google.push({"data": "sent"}, "m-2")
        assert example.content() == {"data": "sent"}
        assert happens(lambda: google.acknowledged == ["m-1", "m-2"])
        assert google.logins == 1
    assert "cannot be read is dropped" in example.log


def test_message_that_the_app_was_killed_at_comes_again(google: Google, tmp_path: Path) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        google.push({"data": "sent"}, "m-1")
        assert example.content() == {"data": "sent"}
        assert happens(lambda: google.acknowledged == ["m-1"])
    with running(google, tmp_path, code=OBEYING) as example:
        assert example.content() == {"data": "sent"}
        example.tell("done")
        assert google.wait_for_login(2), example.log
        google.push({"data": "next"}, "m-2")
        assert example.content() == {"data": "next"}


def test_message_that_the_app_fails_at_comes_again_and_is_dropped_in_the_end(
    google: Google, tmp_path: Path
) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        google.push({"data": "bad"}, "m-1")
        google.push({"data": "good"}, "m-2")
        for _ in range(5):
            assert example.content() == {"data": "bad"}
            example.tell("fail")
        assert example.content() == {"data": "good"}


def test_what_the_app_has_no_room_for_stays_with_google(google: Google, tmp_path: Path) -> None:
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
        for number in range(105):
            google.push({"data": number}, f"m-{number}")
        assert happens(lambda: "too many messages wait" in example.log)
        assert happens(lambda: len(google.acknowledged) == 100)
        for number in range(105):
            assert example.content() == {"data": number}
            example.tell("done")
        assert happens(lambda: google.acknowledged == [f"m-{number}" for number in range(105)])


def test_file_that_cannot_be_read_is_set_aside(google: Google, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "fcm-credentials.json").write_text('{"credentials": ')
    with running(google, tmp_path, code=OBEYING) as example:
        assert google.wait_for_login(1), example.log
    assert (tmp_path / "state" / "fcm-credentials.json.unreadable").read_text() == '{"credentials": '
