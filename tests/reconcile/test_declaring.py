"""What an app declares: stored, changed, left open, owned by the backend; and taken back by unregistering."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from nhagent import SecondaryTile, Template
from nhagent.errors import ConfigurationError, HubUnavailable, StateUnreadable, Unauthorized
from tests.device_under_test import TOAST, Device
from tests.events import HANG_SECONDS

TILE = {"weather": SecondaryTile(channel="https://push.example/tile/1", tags=["w"])}
OPEN: dict[str, Any] = {"tags": None, "templates": None, "secondary_tiles": None}


def test_parameters_left_open_mean_what_was_declared_before(device: Device) -> None:
    device.start(user_id="ann", push_variables={"name": "Ann"})
    before = device.held()
    assert device.start(**OPEN).outcome == "unchanged"
    assert device.agent(**OPEN).refresh(force=True).outcome == "updated"
    assert device.held() == before


def test_given_parameters_are_the_truth_at_every_start(device: Device) -> None:
    agent = device.agent()
    agent.start()
    agent.add_tags("ground-floor")
    assert set(device.held()[0]["tags"]) == {"kitchen", "ground-floor"}
    assert agent.start().requests == 0, "the same agent goes on with what it was told"
    assert device.start(**OPEN).requests == 0, "and so does the next that leaves it open"
    device.start()
    assert device.held()[0]["tags"] == ["kitchen"]


def test_empty_parameters_mean_nothing_of_it(device: Device) -> None:
    device.start(user_id="ann")
    device.start(tags=[], templates={}, secondary_tiles={}, user_id="")
    assert set(device.held()[0]) == {
        "installationId", "pushChannel", "pushChannelExpired", "platform", "expirationTime",
    }  # fmt: skip


def test_tags_change_by_single_adds_and_removals_by_value(device: Device) -> None:
    agent = device.agent(tags=["a", "b", "c"])
    agent.start()
    agent.add_tags("d")
    agent.add_tags(["e", "f"])
    agent.remove_tags("A", "e")
    patches = [json.loads(body) for body in device.hub.bodies()[1:]]
    assert patches == [
        [{"op": "add", "path": "/tags", "value": "d"}],
        [{"op": "add", "path": "/tags", "value": ["e", "f"]}],
        [{"op": "remove", "path": "/tags/a"}, {"op": "remove", "path": "/tags/e"}],
    ]
    assert device.held()[0]["tags"] == ["b", "c", "d", "f"]


def test_update_is_on_disk_before_anything_is_sent(device: Device) -> None:
    device.start()
    device.hub.fail("PATCH", cut_after=0)
    report = device.agent(**OPEN).update(tags=["attic"], timeout=0)
    assert report.outcome == "waiting"
    assert json.loads(device.files["state.json"].read_text())["declaration"]["tags"] == ["attic"]
    device.start(**OPEN)
    assert device.held()[0]["tags"] == ["attic"]


def test_update_before_the_first_start_is_kept(device: Device) -> None:
    device.channel = None
    assert device.agent(**OPEN).update(tags=["attic"]).outcome == "waiting"
    device.channel = "https://push.example/1"
    device.start(**OPEN)
    assert device.held()[0]["tags"] == ["attic"]


def test_wrong_update_changes_nothing(device: Device) -> None:
    device.start()
    before = device.files["state.json"].read_text()
    with pytest.raises(ConfigurationError, match=r"tags '\$own'"):
        device.agent().update(tags=["$own"])
    with pytest.raises(ConfigurationError, match=r"tags 'two words'"):
        device.agent().add_tags("two words")
    assert device.files["state.json"].read_text() == before


def test_agents_of_two_processes_do_not_undo_each_others_tags(device: Device) -> None:
    one, other = device.agent(**OPEN), device.agent(**OPEN)
    one.start()
    one.add_tags("one")
    other.add_tags("other")
    one.start()
    assert set(device.held()[0]["tags"]) == {"one", "other"}


def test_unregistered_device_stays_away_until_enabled(device: Device) -> None:
    first = device.start()
    report = device.agent().unregister()
    assert (report.outcome, device.held(), device.seen()) == ("disabled", [], ["PUT", "DELETE"])
    device.channel = "https://push.example/2"
    assert device.start().outcome == "disabled"
    assert device.agent().refresh(force=True).outcome == "disabled"
    assert device.agent().status().state == "DISABLED"
    assert device.seen() == []

    report = device.agent().enable()
    assert report.outcome == "registered"
    assert report.installation_id != first.installation_id, (
        "the service may ignore a deleted id that comes back"
    )
    assert len(device.held()) == 1


def test_enabled_device_with_an_id_of_its_own_keeps_it(device: Device) -> None:
    device.start(installation_id="sensor-7")
    device.agent(installation_id="sensor-7").unregister()
    assert device.agent(installation_id="sensor-7").enable().outcome == "registered"
    assert [held["installationId"] for held in device.held()] == ["sensor-7"]


def test_unregistering_offline_is_finished_by_the_next_start(device: Device) -> None:
    device.start()
    device.hub.fail("DELETE", status=503)
    report = device.agent().unregister(timeout=0)
    assert report.outcome == "waiting"
    assert isinstance(report.error, HubUnavailable)
    assert len(device.held()) == 1
    assert device.agent().status().to_delete == (report.installation_id,)
    assert device.start().outcome == "disabled"
    assert device.held() == []
    assert device.start().requests == 0


def test_unregistering_deletes_what_may_be_there_though_no_answer_came(device: Device) -> None:
    device.hub.fail("PUT", cut_after=0)
    device.agent().start(timeout=0)
    assert len(device.held()) == 1
    assert device.agent().unregister().outcome == "disabled"
    assert device.held() == []


def test_enabled_while_the_old_record_still_leaves(device: Device) -> None:
    device.start()
    device.hub.fail("DELETE", status=503)
    device.agent().unregister(timeout=0)
    report = device.agent().enable()
    assert device.seen() == ["PUT", "DELETE", "PUT", "DELETE"], "write first, delete after"
    assert [held["installationId"] for held in device.held()] == [report.installation_id]


def test_unregistering_a_device_that_never_registered_needs_no_hub(device: Device) -> None:
    assert device.agent().unregister().outcome == "disabled"
    assert device.start().outcome == "disabled"
    assert device.seen() == []


def backend_owned(device: Device, **changes: Any) -> dict[str, Any]:
    return {"owns_tags": False, "tags": None, "templates": {"alert": _untagged()}, **changes}


def _untagged() -> Template:
    return Template(body=TOAST.body, headers=dict(TOAST.headers))


def backend_writes_tags(device: Device) -> None:
    from nhagent import HubClient

    with HubClient(device.hub.full, device.hub.hub) as backend:
        backend.patch_installation(
            device.held()[0]["installationId"],
            [
                {"op": "add", "path": "/tags", "value": ["gold", "ann"]},
                {"op": "add", "path": "/secondaryTiles/weather/tags", "value": "rain"},
            ],
        )
    device.hub.clear_log()


def test_tags_that_the_backend_owns_outlive_rotation_refresh_and_new_tiles(device: Device) -> None:
    first = device.start(**backend_owned(device))
    assert (first.outcome, device.seen()) == ("registered", ["GET", "PUT"])
    backend_writes_tags(device)

    device.channel = "https://push.example/2"
    device.start(**backend_owned(device))
    assert device.seen() == ["PATCH"]
    assert device.agent(**backend_owned(device)).refresh(force=True).outcome == "unchanged"
    assert device.seen() == ["GET"]
    device.start(**backend_owned(device, push_variables={"name": "Ann"}))
    assert device.seen() == ["GET", "PUT"], "PATCH cannot say push variables"
    [held] = device.held()
    assert held["tags"] == ["gold", "ann"]
    assert held["secondaryTiles"]["weather"]["tags"] == ["rain"]
    assert held["pushVariables"] == {"name": "Ann"}
    assert held["pushChannel"] == "https://push.example/2"


def test_lost_reply_where_the_backend_owns_the_tags_is_healed_by_reading_first(device: Device) -> None:
    device.start(**backend_owned(device))
    backend_writes_tags(device)
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", cut_after=0)
    device.agent(**backend_owned(device)).start(timeout=0)
    device.channel = "https://push.example/1"
    device.hub.clear_log()
    device.start(**backend_owned(device))
    assert device.seen() == ["GET", "PATCH"]
    assert device.held()[0]["tags"] == ["gold", "ann"]
    assert device.held()[0]["pushChannel"] == "https://push.example/1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": ["mine"]},
        {"templates": {"alert": TOAST}},
        {"secondary_tiles": TILE},
        {"expires_after": timedelta(days=1)},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_would_overwrite_the_backends_tags_is_refused(device: Device, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="owns_tags"):
        device.agent(**{**backend_owned(device), **wrong})


def test_unreadable_state_is_set_aside_and_the_hub_asked_for_what_was_left_open(device: Device) -> None:
    first = device.start()
    device.files["state.json"].write_text("{ torn")
    assert device.agent(**OPEN).status().state == "UNVERIFIED"
    with pytest.raises(StateUnreadable):
        device.agent(**OPEN).add_tags("x")
    report = device.start(**OPEN)
    assert report.installation_id == first.installation_id
    assert device.seen() == ["PUT", "GET", "PUT"]
    assert device.held()[0]["tags"] == ["kitchen"]
    [aside] = [path for name, path in device.files.items() if name.startswith("state.2")]
    assert aside.read_text() == "{ torn"
    assert device.start(**OPEN).outcome == "unchanged"


def test_lost_identity_is_recovered_from_what_the_hub_accepted(device: Device) -> None:
    first = device.start()
    device.files["identity.json"].write_bytes(b"")
    assert device.start().installation_id == first.installation_id
    device.files["identity.json"].unlink()
    assert device.start().installation_id == first.installation_id
    assert len(device.held()) == 1


def test_lost_state_does_not_bring_an_unregistered_device_back(device: Device) -> None:
    device.start()
    device.agent().unregister()
    device.files["state.json"].write_text("[]")
    assert device.start().outcome == "disabled"
    assert device.held() == []


def test_newer_schema_is_carried_along_and_the_next_write_is_whole(device: Device) -> None:
    device.start()
    path = device.files["state.json"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 7, "mood": {"from": "the future"}}))
    assert device.start().requests == 0
    device.channel = "https://push.example/2"
    device.start()
    assert device.seen() == ["PUT", "PUT"]
    written = json.loads(path.read_text())
    assert (written["schema"], written["mood"]) == (7, {"from": "the future"})


def test_status_names_the_row_of_the_table(device: Device) -> None:
    assert device.agent().status().state == "NEW"
    device.hub.fail("PUT", status=503)
    assert device.agent().start(timeout=0).outcome == "waiting"
    assert device.agent().status().state == "IDENTIFIED"
    device.hub.fail("PUT", status=401)
    with pytest.raises(Unauthorized, match="401"):
        device.start()
    assert device.agent().status().state == "BLOCKED"
    device.start()
    status = device.agent().status()
    assert (status.state, status.namespace) == ("IN_SYNC", device.hub.endpoint.removeprefix("http://"))
    assert status.refresh_due is not None
    assert device.agent(tags=["attic"]).status().state == "DRIFTED"


def test_start_async_leaves_the_loop_free(device: Device) -> None:
    ticked = threading.Event()

    def source() -> str:
        assert ticked.wait(HANG_SECONDS), "the loop stands still while the source is asked"
        return "https://push.example/1"

    async def both() -> str:
        start = asyncio.create_task(device.agent(channel=source).start_async())
        for _ in range(6):
            await asyncio.sleep(0.02)
        assert not start.done()
        ticked.set()
        return str((await start).outcome)

    assert asyncio.run(both()) == "registered"


def test_threads_started_at_once_write_once(device: Device) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from time import sleep

    with ThreadPoolExecutor(8) as threads:
        reports = list(threads.map(lambda _: device.agent(sleep=sleep).start(), range(8)))
    assert {report.installation_id for report in reports} == {device.held()[0]["installationId"]}
    assert device.seen() == ["PUT"]
    assert sorted(report.outcome for report in reports) == ["registered", *["unchanged"] * 7]


@pytest.mark.parametrize("had_channel", [True, False], ids=["stored", "never"])
def test_tile_that_another_process_declared_fails_no_start(
    device: Device, caplog: pytest.LogCaptureFixture, had_channel: bool
) -> None:
    if not had_channel:
        device.tile_channel = None
    device.start()
    caplog.clear()
    told: list[object] = []
    report = device.start(**OPEN, on_error=told.append)
    assert (report.outcome, report.error, told) == ("unchanged", None, [])
    assert "declares no source for its push channel" in str(report.channel_errors["tiles.weather"])
    assert (report.channel_errors["tiles.weather"].pending, report.in_sync) == (True, True)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_source_that_has_no_channel_yet_is_no_failure(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    device.channel = None
    assert device.start(on_error=told.append).outcome == "waiting"
    assert (len(told), "old channel" in caplog.text) == (1, False)
