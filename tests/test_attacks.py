"""What once went wrong: stops between two files, damaged state, hostile replies, values out of place."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, SecondaryTile, Template
from nhagent.device.store import IDENTITY, STATE, Store
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, HubUnavailable, InvalidRequest, NhagentError
from nhagent.filesystem import Disk
from nhagent.places import Folder
from tests.device_under_test import Device
from tests.events import HANG_SECONDS, HELD_SECONDS, comes_back, happens
from tests.serving import saying, serving

OPEN: dict[str, Any] = {"tags": None, "templates": None, "secondary_tiles": None}


class Stop(BaseException):
    """The plug is pulled."""


class StoppingDisk(Disk):
    """A disk that stops its process at the save after these.

    Args:
        saves: how many times the identity or the state is saved before that.
    """

    def __init__(self, saves: int) -> None:
        self._saves_left = saves

    def replace(self, folder: Folder, name: str, by: str) -> None:
        if name in {IDENTITY, STATE}:
            if self._saves_left == 0:
                raise Stop
            self._saves_left -= 1
        super().replace(folder, name, by)


def stopped_after(device: Device, saves: int, act: Callable[[Any], object], **settings: Any) -> bool:
    """Let an agent act until so many saves are done; whether it was stopped."""
    try:
        act(device.agent(disk=StoppingDisk(saves), **settings))
    except Stop:
        return True
    return False


@pytest.mark.parametrize("saves", range(7))
@pytest.mark.parametrize("listing", [True, False], ids=["listing", "blind"])
def test_stop_between_two_saves_leaves_no_orphan_when_the_id_changes(
    device: Device, saves: int, listing: bool
) -> None:
    device.start()
    stopped_after(device, saves, lambda agent: agent.start(), installation_id="mine", first_run_list=listing)
    device.start(installation_id="mine")
    assert [held["installationId"] for held in device.held()] == ["mine"]
    assert device.start(installation_id="mine").requests == 0


@pytest.mark.parametrize("saves", range(5))
def test_stop_between_two_saves_leaves_no_orphan_when_a_device_is_enabled_again(
    device: Device, saves: int
) -> None:
    device.start()
    stopped_after(device, 1, lambda agent: agent.unregister())
    stopped_after(device, saves, lambda agent: agent.enable())
    device.agent().enable()
    device.start()
    assert len(device.held()) == 1


@pytest.mark.parametrize("saves", range(6))
def test_stop_between_two_saves_of_a_move_does_not_hide_the_device_from_its_new_hub(
    device: Device, saves: int
) -> None:
    device.start(installation_id="mine")
    with Emulator(device.hub.hub) as elsewhere:
        moved = Device(elsewhere, device.folder)
        stopped_after(moved, saves, lambda agent: agent.start(), installation_id="mine")
        moved.start(installation_id="mine")
        assert [held["installationId"] for held in moved.held()] == ["mine"]


def test_device_that_comes_back_from_a_wrong_endpoint_is_found_again(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    first = device.start(first_run_list=True)
    typo = device.hub.listen.replace("127.0.0.1", "127.0.0.2")
    assert device.agent(connection_string=typo, first_run_list=True).start(timeout=0).outcome == "waiting"
    assert "another namespace" in caplog.text
    report = device.start(first_run_list=True)
    assert report.installation_id == first.installation_id
    assert len(device.held()) == 1


def test_404_on_a_delete_counts_as_done(device: Device) -> None:
    device.start()
    detail = "Installation not found.TrackingId:a_G1,TimeStamp:1/2/2026 3:04:05 AM"
    device.hub.fail("DELETE", status=404, body=f"<Error><Code>404</Code><Detail>{detail}</Detail></Error>")
    assert device.agent().unregister().outcome == "disabled"
    assert device.start().requests == 0


@pytest.mark.slow
def test_wish_gets_to_disk_though_another_process_is_at_work(device: Device) -> None:
    device.hub.fail("PUT", delay=1.0)
    starter = threading.Thread(target=device.start)
    starter.start()
    assert happens(lambda: len(device.hub.log()) == 1), "it writes, and has the lock"
    device.agent(**OPEN, sleep=time.sleep).add_tags("later")
    starter.join()
    assert "later" in device.held()[0]["tags"]


@pytest.mark.parametrize("lost", ["identity.json", "state.json"])
def test_neither_files_loss_brings_an_unregistered_device_back(device: Device, lost: str) -> None:
    device.start()
    device.agent().unregister()
    device.files[lost].write_text("x")
    assert device.start().outcome == "disabled"
    assert device.held() == []


@pytest.mark.parametrize(
    "damage",
    [
        {"templates": {"alert": {"body": 5}}},
        {"templates": {"alert": {"body": "<t/>", "headers": {"X-WNS-Type": 5}}}},
        {"secondaryTiles": {"weather": {"tags": [[5]]}}},
        {"tags": [5]},
        {"tags": "abc"},
        {"userId": 5},
        {"pushVariables": {"a": 5}},
        {"templates": 7},
    ],
    ids=str,
)
def test_damaged_declaration_is_set_aside_and_the_hub_asked(device: Device, damage: dict[str, Any]) -> None:
    device.start()
    path = device.files["state.json"]
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "declaration": {**document["declaration"], **damage}}))
    before = device.held()
    assert device.start(**OPEN).error is None
    assert device.held() == before
    assert any(name.startswith("state.2") for name in device.files)


@pytest.mark.parametrize("wrong", ["https://push.example/1", 5, ""])
def test_update_with_a_channel_that_cannot_be_changes_nothing(device: Device, wrong: Any) -> None:
    agent = device.agent(channel="https://push.example/1")
    agent.start()
    with pytest.raises(ConfigurationError):
        agent.update(secondary_tiles={"x": SecondaryTile(channel=wrong)})
    assert agent.start().outcome == "unchanged"


def test_tags_declared_before_the_backend_took_over_are_not_sent_any_more(device: Device) -> None:
    first = device.start(templates={})
    owned = {"owns_tags": False, "tags": None, "templates": None}
    device.start(**owned)
    device.hub.forget(installation=str(first.installation_id))
    agent = device.agent(**owned)
    agent.refresh(force=True)
    assert "tags" not in device.held()[0]
    assert agent.update(user_id="ann").error is None


def test_expiry_that_is_no_longer_wanted_is_taken_off_before_it_runs_out(device: Device) -> None:
    device.start(expires_after=timedelta(hours=1))
    device.offset = timedelta(minutes=40)
    assert device.start().outcome == "updated"
    assert device.held()[0]["expirationTime"].startswith("9999")


def test_older_channel_does_not_overwrite_a_newer_one(device: Device) -> None:
    """One start asks its source, and waits for the lock while another, that asked later, writes."""
    device.start()
    given = iter(["https://push.example/old"])
    asked = threading.Event()

    def source() -> str:
        asked.set()
        return next(given, "https://push.example/new")

    slow = device.agent(channel=source, sleep=time.sleep)
    with Store(slow.state_folder).lock(1):
        starter = threading.Thread(target=slow.start)
        starter.start()
        asked.wait(HANG_SECONDS)
        memory = Store(slow.state_folder).load()
        Store(slow.state_folder).save_state(
            memory.state.__class__(**{**_fields(memory.state), "extra": {"a": 1}})
        )
    starter.join()
    assert device.held()[0]["pushChannel"] == "https://push.example/new"


def _fields(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in state.__dataclass_fields__}


def test_unregistering_with_an_id_of_its_own_and_a_lost_disk_still_deletes(device: Device) -> None:
    device.start(installation_id="mine")
    for path in device.files.values():
        path.unlink()
    assert device.agent(installation_id="mine").unregister().outcome == "disabled"
    assert device.held() == []


def test_channel_source_that_calls_its_agent_is_told_so(device: Device) -> None:
    agents: list[Any] = []
    agents.append(device.agent(channel=lambda: agents[0].add_tags("x")))
    report = agents[0].start()
    assert report.outcome == "waiting"
    assert "called its own agent" in str(report.error)


@pytest.mark.slow
def test_timeout_bounds_an_exchange(device: Device) -> None:
    device.hub.fail("PUT", delay=HELD_SECONDS)
    report = comes_back(lambda: device.agent().start(timeout=1))
    assert report.outcome == "waiting"
    within = re.search(r"no whole reply within ([\d.]+) s", str(report.error))
    assert within is not None
    assert float(within[1]) <= 5, "the least that an exchange is given"


def test_handle_that_the_hub_quotes_is_not_passed_on(notification_hub: Emulator) -> None:
    handle = "https://push.example/secret-handle"
    detail = f"The channel '{handle}' is wrong.TrackingId:a_G1,TimeStamp:1/2/2026 3:04:05 AM"
    for method in ("PUT", "PATCH"):
        notification_hub.fail(method, status=400, body=f"<Error><Detail>{detail}</Detail></Error>")
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        patch_of_it = [{"op": "replace", "path": "/pushChannel", "value": handle}]
        with pytest.raises(InvalidRequest, match="The channel '#") as put:
            client.put_installation(Installation("a", Platform.WNS, handle))
        with pytest.raises(InvalidRequest, match="The channel '#") as patch:
            client.patch_installation("a", patch_of_it)
    for caught in (put, patch):
        assert handle not in str(caught.value) + caught.value.detail


@contextmanager
def answering(reply: bytes) -> Iterator[HubClient]:
    """A server that answers every request with these bytes, and a client of it."""
    with serving(saying(reply)) as address:
        key = f"Endpoint={address};SharedAccessKeyName=a;SharedAccessKey=b"
        with HubClient(key, "hub", timeout=HANG_SECONDS) as client:
            yield client


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 301 M\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 M\r\nLocation: /\xff\xfe\r\nContent-Length: 0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        OK + b"Transfer-Encoding: chun",
        OK + b"Content-Length: abc\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\n",
        OK + b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nplease log in",
        OK + b"Content-Type: application/json\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
        b"garbage",
        b"HTTP/1.1 503 X\r\nRetry-After: Mon, 01 Jan 99999999999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 X\r\nDate: Fri, 31 Dec 9999 23:59:59 -2300\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=lambda reply: repr(reply[:40]),
)
def test_hostile_reply_is_no_answer_of_a_hub(reply: bytes) -> None:
    with answering(reply) as client, pytest.raises(HubUnavailable):
        client.get_installation("device")


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": 5}, {"endpoint": "sb://[::1"}, {"state_dir": 5}, {"state_dir": "/a\0b"},
        {"ca_bundle": "a\0b"},
        {"push_variables": 0}, {"user_id": 0}, {"app": "\ud800"}, {"channel": "\ud800"}, {"channel": None},
        {"push_variables": {"a": "\ud800"}}, {"installation_id": "\ud800"}, {"tags": 5}, {"templates": []},
        {"secondary_tiles": {"w": SecondaryTile(5)}},  # type: ignore[arg-type]
        {"refresh_every": 5}, {"refresh_every": timedelta(-1)}, {"expires_after": timedelta.max},
        {"expires_after": timedelta(0)}, {"style": 5}, {"style": "backend"}, {"platform": None}, {"app": ""},
        {"connection_string": 5}, {"connection_string": lambda: "x"},
        {"allow_full_access": "false"}, {"owns_tags": "no", "tags": None}, {"first_run_list": "no"},
        {"owns_tags": None}, {"machine": "serial A"}, {"clock": 5}, {"random": 0.5}, {"sleep": "x"},
        {"on_error": "x"}, {"on_registered": []},
    ],
    ids=lambda change: repr(change)[:40],
)  # fmt: skip
def test_value_out_of_place_is_a_configuration_error_and_changes_nothing(
    device: Device, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        device.agent(**change)
    assert device.files == {}


def _no_such_device() -> str:
    raise OSError("no such device")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"machine": _no_such_device}, "machine: failed (OSError"),
        ({"machine": lambda: 5}, "machine: gave a int"),
        ({"machine": lambda: b"serial"}, "machine: gave a bytes"),
        ({"clock": lambda: float("nan")}, "clock: must give an aware datetime"),
        ({"clock": lambda: 1e18}, "clock: must give"),
        ({"clock": lambda: datetime.max.replace(tzinfo=UTC)}, "clock: must give"),
        ({"clock": lambda: "now"}, "clock: must give"),
        ({"random": lambda: "x"}, "random: must give a number from 0 to 1"),
        ({"random": lambda: 2}, "random: must give a number from 0 to 1"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_call_of_the_app_that_gives_nonsense_is_a_configuration_error(
    device: Device, change: dict[str, Any], words: str
) -> None:
    device.hub.fail("*", status=503)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        device.start(**change)


@pytest.mark.parametrize(
    "act",
    [
        lambda agent: agent.start(timeout=None),
        lambda agent: agent.start(timeout="5"),
        lambda agent: agent.start(timeout=-1),
        lambda agent: agent.start(timeout=float("nan")),
        lambda agent: agent.add_tags(5),
        lambda agent: agent.add_tags(None),
        lambda agent: agent.remove_tags([5]),
        lambda agent: agent.update(tags="kitchen"),
    ],
)
def test_argument_out_of_place_is_a_configuration_error(device: Device, act: Callable[[Any], object]) -> None:
    with pytest.raises(ConfigurationError):
        act(device.agent())
    assert device.files == {}


@pytest.mark.parametrize(
    "make",
    [
        lambda: Installation("a", Platform.WNS, "c", expiration_time="2030"),  # type: ignore[arg-type]
        lambda: Installation(
            "a", Platform.WNS, "c", expiration_time=datetime(1, 1, 1, tzinfo=UTC) - timedelta(0)
        ),
        lambda: Installation("a", Platform.BROWSER, "[" * 100_000),
        lambda: Installation("a", Platform.GCM, "c", templates={"t": Template("[" * 100_000)}),
        lambda: HubClient("", "hub"),
        lambda: HubClient(None, "hub", endpoint="sb://x"),  # type: ignore[arg-type]
        lambda: HubClient("Endpoint=sb://[x;SharedAccessKeyName=a;SharedAccessKey=b", "hub"),
        lambda: HubClient(
            "Endpoint=sb://x;SharedAccessKeyName=a;SharedAccessKey=b", "hub", timeout=float("inf")
        ),
    ],
)
def test_value_of_the_client_out_of_place_is_an_error_of_ours(make: Callable[[], Any]) -> None:
    try:
        made = make()
    except NhagentError:
        return
    assert isinstance(made, Installation), "the first day of the calendar is a day"


def test_command_that_says_too_much_or_leaves_something_running(tmp_path: Path) -> None:
    from nhagent.channels import simple, source
    from nhagent.errors import ChannelError

    with pytest.raises(ChannelError, match="says more than"):
        source.ask(simple.from_command(["yes"], HELD_SECONDS), Platform.GCM, "channel")
    goes_on = tmp_path / "goes on"
    goes_on.touch()
    background = ["sh", "-c", f"while [ -e '{goes_on}' ]; do sleep 0.1; done & echo handle"]
    try:
        command = simple.from_command(background)
        assert source.ask(command, Platform.GCM, "channel") == "handle", "what goes on is not waited for"
    finally:
        goes_on.unlink()
