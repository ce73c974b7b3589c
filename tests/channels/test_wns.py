"""Channels of Windows: asked for as its API wants, kept while they live; in words where it gives none."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nhagent import SecondaryTile
from nhagent.channels import WnsChannel
from nhagent.channels.source import ask, expiry_of
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.models import Platform
from tests.device_under_test import PLAIN, Device

ROOT = Path(__file__).parents[2]
URI = "https://db5p.notify.windows.com/?token=AwYAAAB"


@dataclass
class Given:
    uri: str
    expiration_time: datetime


@dataclass
class Windows:
    """An API of the shape of winrt's; its attributes are what Windows does."""

    life: timedelta = timedelta(days=30)
    fails: BaseException | None = None
    hangs: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    asked: list[str] = field(default_factory=list)

    def create_push_notification_channel_for_application_async(self) -> Awaitable[Given]:
        return self._give("app")

    def create_push_notification_channel_for_secondary_tile_async(self, tile_id: str, /) -> Awaitable[Given]:
        return self._give(tile_id)

    async def _give(self, what: str) -> Given:
        self.asked.append(what)
        if self.hangs:
            await asyncio.sleep(600)
        if self.fails is not None:
            raise self.fails
        return Given(f"{URI}{what}{len(self.asked)}", self.clock() + self.life)


def hresult(number: int) -> OSError:
    """As winrt raises it: a signed number."""
    error = OSError(22, "Windows said no")
    setattr(error, "winerror", number - 2**32)  # noqa: B010 - only on Windows is it known
    return error


def test_app_and_tile_are_registered_with_channels_of_windows(device: Device) -> None:
    windows = Windows()
    given = {
        **PLAIN,
        "platform": None,
        "channel": WnsChannel(manager=lambda: windows),
        "secondary_tiles": {"weather": SecondaryTile(channel=WnsChannel("weather", manager=lambda: windows))},
    }
    assert device.start(**given).outcome == "registered"
    [held] = device.held()
    assert held["platform"] == "wns"
    assert held["pushChannel"] == f"{URI}app1"
    assert held["secondaryTiles"]["weather"]["pushChannel"] == f"{URI}weather2"
    assert device.start(**given).requests == 0
    assert windows.asked == ["app", "weather"]


def test_channel_is_asked_for_again_when_it_nears_its_end() -> None:
    windows = Windows()
    source = WnsChannel(manager=lambda: windows)
    assert source() == source() == f"{URI}app1"
    end = expiry_of(source)
    assert end is not None
    assert timedelta(days=29) < end - datetime.now(UTC) <= timedelta(days=30)
    windows.life = timedelta(microseconds=1)
    short = WnsChannel(manager=lambda: windows)
    assert short() != short()


def test_channel_that_still_lives_is_given_while_windows_is_offline() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    windows = Windows(clock=lambda: now[0])
    source = WnsChannel(manager=lambda: windows, clock=lambda: now[0])
    assert source() == f"{URI}app1"
    now[0] += timedelta(days=26)
    assert source() == f"{URI}app1"
    assert windows.asked == ["app"]
    now[0] += timedelta(days=1)  # a tenth of its life is left
    windows.fails = hresult(0x80072EE7)
    assert source() == f"{URI}app1"
    assert windows.asked == ["app"] * 2
    windows.fails = hresult(0x803E0109)  # somebody must act, which must not be hidden
    with pytest.raises(ChannelError, match="turned cloud notifications off"):
        source()
    windows.fails = hresult(0x80072EE7)
    now[0] += timedelta(days=3)
    with pytest.raises(ChannelError, match="cannot reach its push service") as caught:
        source()
    assert caught.value.pending
    windows.fails = None
    assert source() == f"{URI}app5"
    assert source.expires_at == now[0] + timedelta(days=30)


@pytest.mark.parametrize(
    ("error", "words", "pending"),
    [
        (hresult(0x880403E8), "is not connected to its push service (0x880403E8)", True),
        (hresult(0x880403E9), "is connecting to its push service again (0x880403E9)", True),
        (hresult(0x880403FE), "has trouble with its push service (0x880403FE)", True),
        (hresult(0x803E0103), "is at work on another request of this app (0x803E0103)", True),
        (hresult(0x80072EE7), "cannot reach its push service (0x80072EE7)", True),
        (hresult(0x8007274C), "cannot reach its push service (0x8007274C)", True),
        (hresult(0x803E0109), "has turned cloud notifications off (0x803E0109)", False),
        (hresult(0x803E0110), "finds no cloud notifications in the app's manifest (0x803E0110)", False),
        (hresult(0x80073D54), "belongs to no package (0x80073D54)", False),
        (hresult(0x80070005), "gave no channel (0x80070005)", False),
        (OSError("no number"), "gave no channel (0x00000000)", False),
    ],
    ids=str,
)
def test_number_of_windows_is_told_in_words(error: OSError, words: str, pending: bool) -> None:
    windows = Windows(fails=error)
    with pytest.raises(ChannelError) as caught:
        WnsChannel(manager=lambda: windows)()
    assert words in caught.value.fact
    assert caught.value.pending is pending


@pytest.mark.slow
def test_windows_that_does_not_answer_is_given_up() -> None:
    windows = Windows(hangs=True)
    source = WnsChannel(manager=lambda: windows)
    with pytest.raises(ChannelError, match="gave no channel within 2 s") as caught:
        ask(source, Platform.WNS, "channel", seconds=0.0)
    assert caught.value.pending


def test_fault_of_the_api_is_the_sources_failure() -> None:
    windows = Windows(fails=TypeError("an odd answer"))
    with pytest.raises(ChannelError, match="its source failed"):
        ask(WnsChannel(manager=lambda: windows), Platform.WNS, "channel")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has them")
def test_other_systems_say_what_to_take_instead() -> None:
    with pytest.raises(ChannelError, match=r"on Linux take nhagent\.channels\.WebPushChannel"):
        WnsChannel()()


def test_tile_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        WnsChannel("")


@pytest.mark.slow
def test_types_are_those_of_winrt_itself(tmp_path: Path) -> None:
    """mypy, as on Windows, over the real stubs, which pip can fetch anywhere."""
    packages = tmp_path / "lib" / "site-packages"
    wanted = ["winrt-Windows.Networking.PushNotifications", "winrt-Windows.Foundation"]
    options = ["--platform", "win_amd64", "--only-binary=:all:", "--target", str(packages), "-q"]
    fetched = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode:
        reason = f"winrt's stubs cannot be fetched: {fetched.stderr[-300:]}"
        if os.environ.get("NHAGENT_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    (packages / "typing_extensions.py").unlink(missing_ok=True)  # mypy has its own
    program = tmp_path / "program.py"
    program.write_text(
        "from winrt.windows.networking.pushnotifications import PushNotificationChannelManager\n"
        "from nhagent.channels.wns import Manager, WnsChannel\n"
        "manager: Manager | None = PushNotificationChannelManager.get_default()\n"
        "channel = WnsChannel('tile', manager=PushNotificationChannelManager.get_default)\n"
        "text: str = channel()\n"
        "manager.create_push_notification_channel_for_aplication_async()\n"
    )
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--platform",
            "win32",
            "--cache-dir",
            str(tmp_path / "c"),
            str(program),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": f"{packages}{os.pathsep}{ROOT}"},
        cwd=tmp_path,
        check=False,
    )
    told = [line for line in checked.stdout.splitlines() if line.startswith("program.py") and "error" in line]
    assert told, checked.stdout
    assert all(line.startswith("program.py:6:") for line in told), checked.stdout  # the misspelt name alone
    assert "aplication" in told[0]
