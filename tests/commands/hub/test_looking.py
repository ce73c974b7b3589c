"""``hub list``, ``hub show`` and ``hub export``: what the hub holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator, LogEntry
from tests.commands.hub.conftest import INSTALLATIONS, REGISTRATIONS, Tool, many, start
from tests.events import HANG_SECONDS


def rows(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--tag", "hall"), {"10-10-1", "20-20-1", "two"}),
        (("--platform", "gcm", "--channel", "handle-a"), {"10-10-1", "20-20-1", "30-30-1"}),
        (("--tag", "hall", "--platform", "gcm"), {"10-10-1", "20-20-1"}),
        (("--platform", "fcmv1"), {"40-40-1", "two"}),
        (("--tag", "Kitchen", "--platform", "gcm", "--channel", "handle-a"), {"10-10-1"}),
        (("--tag", "nobody"), set()),
    ],
    ids=["tag", "channel", "tag of a platform", "platform", "all three", "none"],
)
def test_a_list_is_of_a_tag_a_platform_or_a_channel(
    tool: Tool, options: tuple[str, ...], found: set[str]
) -> None:
    code, printed = tool("list", "--hub", "hub", *options, "--json")
    assert (code, tool.errors) == (0, "")
    assert {row.get("installationId") or row["registrationId"] for row in rows(printed)} == found


def test_a_list_shows_fingerprints_in_the_place_of_push_channels(tool: Tool) -> None:
    code, printed = tool("list", "--hub", "hub", "--json")
    assert code == 0
    found = rows(printed)
    # Five registrations, and those of the installations: themselves, a template, a tile.
    assert len(found) == 9
    assert {row["schema"] for row in found} == {1}
    [template] = [row for row in found if row["kind"] == "GcmTemplate"]
    assert template["bodyTemplate"] == '{"m":"$(message)"}'
    assert "handle-" not in printed
    assert "push.example" not in printed


def test_a_list_is_a_table_for_people(tool: Tool) -> None:
    code, printed = tool("list", "--hub", "hub", "--tag", "kitchen")
    assert code == 0
    heading, *lines = printed.splitlines()
    assert heading.split() == ["REGISTRATION", "KIND", "CHANNEL", "INSTALLATION", "TAGS"]
    [own] = [line.split() for line in lines if line.startswith("10-10-1")]
    assert own[1] == "Gcm"
    assert own[3:] == ["-", "hall,", "kitchen"]
    assert "$InstallationId" not in printed
    assert tool("list", "--hub", "hub", "--tag", "nobody") == (0, "no registration\n")
    owned = [line for line in lines if " one " in line]
    assert {line.split()[1] for line in owned} == {"Windows", "WindowsTemplate"}


def test_a_list_is_printed_page_by_page(tool: Tool, hub: Emulator) -> None:
    hub.restore({"registrations": many(250)})
    hub.clear_log()
    code, printed = tool("list", "--hub", "hub", "--json")
    assert code == 0
    assert len({row["registrationId"] for row in rows(printed)}) == 250
    assert [entry.method for entry in hub.log()] == ["GET"] * 3


@pytest.mark.slow
def test_a_hub_that_asks_for_time_is_asked_again(tool: Tool, hub: Emulator) -> None:
    hub.fail("GET", status=503, times=1, headers={"Retry-After": "0"})
    code, printed = tool("list", "--hub", "hub", "--json")
    assert (code, tool.errors) == (0, "")
    assert len(rows(printed)) == 9


def test_a_channel_without_its_platform_is_refused(tool: Tool, hub: Emulator) -> None:
    code, _ = tool("list", "--hub", "hub", "--channel", "handle-a")
    assert code == 78
    assert "--channel: of which platform is not said; give --platform too" in tool.errors
    assert hub.log() == []


def test_an_installation_is_shown_without_its_push_channels(tool: Tool) -> None:
    code, printed = tool("show", "--hub", "hub", "one", "--json")
    assert code == 0
    document = json.loads(printed)
    assert document["schema"] == 1
    found = document["found"]
    assert found["tags"] == ["kitchen"]
    assert found["templates"]["alert"]["tags"] == ["alerts"]
    assert found["pushChannel"].startswith("#")
    assert found["secondaryTiles"]["weather"]["pushChannel"].startswith("#")
    assert "push.example" not in printed


def test_a_registration_is_shown(tool: Tool) -> None:
    code, printed = tool("show", "--hub", "hub", "20-20-1")
    assert code == 0
    assert json.loads(printed)["tags"] == ["hall"]


def test_an_unknown_id_is_told_by_the_exit_code(tool: Tool) -> None:
    assert tool("show", "--hub", "hub", "nobody", "--json") == (1, '{"schema": 1, "found": null}\n')
    code, printed = tool("show", "--hub", "hub", "99-99-1")
    assert code == 1
    assert printed == "the hub holds neither an installation nor a registration 99-99-1\n"


def everything(hub: Emulator) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a hub holds, but for what an export cannot carry."""
    contents = hub.contents()
    registrations = {each["registrationId"]: each for each in contents["registrations"]}
    installations = {each["installationId"]: each for each in contents["installations"]}
    for each in (*registrations.values(), *installations.values()):
        for name in ("etag", "expirationTime", "lastUpdate", "lastActiveOn", "expires"):
            each.pop(name, None)
    return installations, registrations


def test_an_export_fills_an_emulator(tool: Tool, hub: Emulator, tmp_path: Path) -> None:
    hub.expire(installation="two")
    code, printed = tool("export", "--hub", "hub")
    assert (code, tool.errors) == (0, "")
    assert len(printed.splitlines()) == 7
    seed = tmp_path / "everything.jsonl"
    seed.write_text(printed)
    with Emulator("copy", seed=str(seed)) as copy:
        installations, registrations = everything(copy)
        assert (installations, registrations) == everything(hub)
    assert installations["two"]["pushChannelExpired"]


def test_a_masked_export_fills_an_emulator_and_has_no_push_channel(
    tool: Tool, hub: Emulator, tmp_path: Path
) -> None:
    browser = {"endpoint": "https://push.example/browser", "p256dh": "BPUB", "auth": "secret"}
    hub.restore(
        {
            "installations": [],
            "registrations": [
                {"registrationId": f"{n}-1-1", "kind": kind, "channel": channel}
                for n, (kind, channel) in enumerate(
                    [
                        ("Windows", "https://push.example/1"),
                        ("Mpns", "https://push.example/2"),
                        ("Apple", "A" * 64),
                        ("Gcm", "push.example-1"),
                        ("Gcm", "push.example-1"),
                        ("FcmV1", "push.example-2"),
                        ("Adm", "push.example-3"),
                        ("Baidu", "push.example-user-12345"),
                        ("Browser", browser),
                    ],
                    start=1,
                )
            ],
        }
    )
    code, printed = tool("export", "--hub", "hub", "--mask")
    assert code == 0
    assert "push.example" not in printed
    assert "A" * 64 not in printed
    found = {row["registrationId"]: row for row in rows(printed)}
    assert len(found) == 9
    assert found["4-1-1"]["channel"] == found["5-1-1"]["channel"]  # duplicates stay duplicates
    seed = tmp_path / "everything.jsonl"
    seed.write_text(printed)
    with Emulator("copy", seed=str(seed)) as copy:
        assert len(copy.contents()["registrations"]) == 9


def test_an_installation_that_vanishes_meanwhile_is_left_out(
    tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(entry: LogEntry) -> None:
        if "/registrations" in entry.path:
            hub.forget(installation="two")

    with Emulator("hub", on_request=vanish) as hub:
        hub.restore({"installations": INSTALLATIONS, "registrations": REGISTRATIONS})
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", hub.full)
        code, printed = tool("export", "--hub", "hub")
    assert (code, tool.errors) == (0, "")
    assert {row.get("registrationId") or row["installationId"] for row in rows(printed)} == {
        "10-10-1",
        "20-20-1",
        "30-30-1",
        "40-40-1",
        "50-50-1",
        "one",
    }


@pytest.mark.parametrize("name", ["list", "export"])
def test_a_reader_that_has_read_enough_is_no_fault(hub: Emulator, name: str) -> None:
    hub.restore({"registrations": many(400, channel="c" * 900)})
    running = start(hub, name, "--hub", "hub", "--json")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.stderr is not None
    assert running.stderr.read() == ""
    running.stderr.close()
    assert running.wait(timeout=HANG_SECONDS) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_an_export_that_finds_no_room_does_not_pass_for_whole(hub: Emulator) -> None:
    with open("/dev/full", "w") as full:
        running = start(hub, "export", "--hub", "hub", stdout=full)
    assert running.communicate(timeout=HANG_SECONDS)[1].startswith("nhagent: stdout cannot be written")
    assert running.returncode == 75
