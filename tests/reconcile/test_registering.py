"""A device becomes an installation on a hub, and stays one: the requests counted at the hub."""

from __future__ import annotations

import json
import logging
import stat
from datetime import timedelta

import pytest

from nhagent import SecondaryTile, Template
from nhagent.emulator import Emulator
from nhagent.errors import (
    ChannelError,
    ConfigurationError,
    HubNotFound,
    HubUnavailable,
    InvalidRequest,
    StateUnwritable,
    Throttled,
    Unauthorized,
)
from tests.device_under_test import TOAST, Device


def test_first_start_sends_one_put_and_the_second_nothing(device: Device) -> None:
    first = device.start()
    assert (first.outcome, first.requests) == ("registered", 1)
    assert device.seen() == ["PUT"]

    second = device.start()
    assert (second.outcome, second.requests, second.installation_id) == (
        "unchanged",
        0,
        first.installation_id,
    )
    assert device.seen() == []
    [held] = device.held()
    assert held["installationId"] == first.installation_id
    assert held["tags"] == ["kitchen"]
    assert held["templates"]["alert"]["headers"] == {"X-WNS-Type": "wns/toast"}
    assert held["secondaryTiles"]["weather"]["pushChannel"] == "https://push.example/tile/1"


def test_unchanged_start_writes_nothing_and_takes_no_lock(device: Device) -> None:
    device.start()
    device.files["lock"].unlink()
    before = {name: path.stat().st_mtime_ns for name, path in device.files.items()}
    device.start()
    assert {name: path.stat().st_mtime_ns for name, path in device.files.items()} == before


def test_rotated_channels_are_one_patch_of_both(device: Device) -> None:
    device.start()
    device.channel, device.tile_channel = "https://push.example/2", "https://push.example/tile/2"
    report = device.start()
    assert (report.outcome, report.requests) == ("updated", 1)
    assert device.seen() == ["PUT", "PATCH"]
    [held] = device.held()
    assert held["pushChannel"] == "https://push.example/2"
    assert held["secondaryTiles"]["weather"]["pushChannel"] == "https://push.example/tile/2"
    assert held["templates"] == {"alert": {**held["templates"]["alert"]}}


def test_lost_at_the_hub_is_recreated_under_the_same_id(device: Device) -> None:
    first = device.start()
    device.hub.forget(installation=str(first.installation_id))
    device.channel = "https://push.example/2"
    report = device.start()
    assert (report.outcome, report.requests, report.installation_id) == (
        "recreated",
        2,
        first.installation_id,
    )
    assert device.seen() == ["PUT", "PATCH", "PUT"]
    assert [held["installationId"] for held in device.held()] == [first.installation_id]
    assert device.start().outcome == "unchanged"
    status = device.agent().status()
    assert (status.writes, status.losses) == (2, 1)


def test_change_whose_reply_was_lost_then_taken_back_is_healed_by_the_next_start(device: Device) -> None:
    device.start()
    device.hub.fail("PATCH", cut_after=0)
    device.channel = "https://push.example/2"
    report = device.agent().start(timeout=0)
    assert report.outcome == "waiting"
    assert isinstance(report.error, HubUnavailable)
    assert device.held()[0]["pushChannel"] == "https://push.example/2", "the hub has taken it"
    assert json.loads(device.files["state.json"].read_text())["in_doubt"] == ["installation"]

    device.channel = "https://push.example/1"
    device.hub.clear_log()
    assert device.start().outcome == "updated"
    assert device.seen() == ["PUT"], "what is in doubt is written whole"
    assert device.held()[0]["pushChannel"] == "https://push.example/1"
    assert device.start().requests == 0


def test_refused_change_leaves_no_doubt(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", status=401, times=1)
    with pytest.raises(Unauthorized):
        device.start()
    assert json.loads(device.files["state.json"].read_text())["in_doubt"] == []
    device.channel = "https://push.example/1"
    assert device.start().outcome == "unchanged"


def test_refused_patch_is_followed_by_the_whole(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", status=400)
    assert device.start().outcome == "updated"
    assert device.seen() == ["PUT", "PATCH", "PUT"]
    assert device.held()[0]["pushChannel"] == "https://push.example/2"


def test_refused_put_is_raised_with_the_services_words(device: Device) -> None:
    device.hub.fail(
        "PUT", status=400, body="<Error><Code>400</Code><Detail>line one\r\nline two.TrackingId:g_G1,"
        "TimeStamp:1/2/2026 3:04:05 AM</Detail></Error>",
    )  # fmt: skip
    with pytest.raises(InvalidRequest, match=r"line one \| line two") as caught:
        device.start()
    assert (caught.value.status, caught.value.detail) == (400, "line one\nline two")
    assert caught.value.tracking_id
    assert caught.value.tracking_id in str(caught.value)


def test_lost_packet_is_tried_again_soon_and_within_the_deadline(device: Device) -> None:
    device.hub.fail("PUT", cut_after=0, times=2)
    report = device.agent().start(timeout=30)
    assert (report.outcome, report.requests) == ("registered", 3)
    assert device.slept == [1.0, 2.0]
    assert len(device.held()) == 1


def test_hub_that_stays_away_leaves_a_truthful_report(device: Device) -> None:
    device.hub.fail("PUT", status=503, times=99)
    report = device.agent().start(timeout=30)
    assert report.outcome == "waiting"
    assert isinstance(report.error, HubUnavailable)
    assert report.next_attempt is not None
    assert sum(device.slept) <= 30
    assert report.requests == len(device.slept) + 1 == len(device.seen())


def test_throttled_start_obeys_retry_after(device: Device) -> None:
    device.hub.fail("PUT", status=429, headers={"Retry-After": "5"})
    assert device.start().outcome == "registered"
    assert device.slept == [5.5]


def test_throttling_without_retry_after_is_not_met_within_seconds(device: Device) -> None:
    device.hub.fail("PUT", status=429)
    report = device.agent().start(timeout=30)
    assert report.outcome == "waiting"
    assert isinstance(report.error, Throttled)
    assert device.slept == []


def test_no_channel_yet_means_no_request_and_no_identity(device: Device) -> None:
    device.channel = None
    report = device.start()
    assert report.outcome == "waiting"
    assert isinstance(report.error, ChannelError)
    assert (report.requests, report.installation_id, device.files, device.seen()) == (0, None, {}, [])


def test_failing_source_leaves_the_old_channel_in_place_and_renewals_go_on(device: Device) -> None:
    device.start()
    device.channel = OSError("the push service is away")
    report = device.agent().refresh(force=True)
    assert (report.outcome, device.seen()) == ("updated", ["PUT", "PUT"])
    assert "the push service is away" in str(report.channel_errors["channel"])
    assert device.held()[0]["pushChannel"] == "https://push.example/1"


def test_one_tiles_failing_source_does_not_stop_the_others(device: Device) -> None:
    tiles = {
        "weather": SecondaryTile(channel=lambda: device.tile_channel),
        "traffic": SecondaryTile(channel=lambda: device._given(ValueError("not pinned"))),
    }
    report = device.start(secondary_tiles=tiles)
    assert report.outcome == "registered"
    assert list(device.held()[0]["secondaryTiles"]) == ["weather"]
    assert list(report.channel_errors) == ["tiles.traffic"]
    assert device.start(secondary_tiles=tiles).requests == 0


def test_tile_that_was_seen_keeps_its_channel_while_its_source_fails(device: Device) -> None:
    device.start()
    device.tile_channel = None
    device.channel = "https://push.example/2"
    device.start()
    assert device.held()[0]["secondaryTiles"]["weather"]["pushChannel"] == "https://push.example/tile/1"


def test_channel_seen_before_a_lost_reply_outlives_its_source(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", cut_after=0)
    device.agent().start(timeout=0)
    device.channel = None
    device.start()
    assert device.held()[0]["pushChannel"] == "https://push.example/2"


def test_dropped_tile_and_template_leave_the_installation(device: Device) -> None:
    device.start()
    device.start(secondary_tiles={}, templates={})
    [held] = device.held()
    assert "secondaryTiles" not in held
    assert "templates" not in held


def test_platform_change_is_a_whole_put_under_the_same_id(device: Device) -> None:
    first = device.start(secondary_tiles={}, templates={})
    device.channel = "fcm-token"
    report = device.start(platform="fcmv1", secondary_tiles={}, templates={})
    assert report.installation_id == first.installation_id
    assert device.seen() == ["PUT", "PUT"]
    assert [(held["platform"], held["pushChannel"]) for held in device.held()] == [("fcmv1", "fcm-token")]


def test_platform_change_does_not_take_the_other_platforms_channel_along(device: Device) -> None:
    device.start(secondary_tiles={}, templates={})
    device.channel = None
    report = device.start(platform="fcmv1", secondary_tiles={}, templates={})
    assert report.outcome == "waiting"


def test_refresh_by_age_is_a_full_put(device: Device) -> None:
    device.start()
    device.offset = timedelta(hours=23)
    assert device.start().requests == 0
    device.offset = timedelta(hours=25)
    assert device.start().outcome == "updated"
    assert device.seen() == ["PUT", "PUT"]


def test_patches_do_not_put_off_the_full_refresh(device: Device) -> None:
    device.start()
    device.offset = timedelta(hours=23)
    device.hub.set_clock(23 * 3600)
    device.channel = "https://push.example/2"
    device.start()
    device.offset = timedelta(hours=25)
    device.start()
    assert device.seen() == ["PUT", "PATCH", "PUT"]


def test_refresh_every_zero_sends_at_every_start(device: Device) -> None:
    for _ in range(2):
        device.start(refresh_every=timedelta(0))
    assert device.seen() == ["PUT", "PUT"]


def test_acceptance_in_the_future_sends_nothing_for_that_reason(device: Device) -> None:
    device.start()
    device.offset = -timedelta(days=365)
    assert device.start().outcome == "unchanged"


def test_expiry_is_renewed_at_half_its_life_and_by_no_patch(device: Device) -> None:
    keep = {"expires_after": timedelta(hours=10), "refresh_every": timedelta(days=30)}
    device.start(**keep)
    expiry = device.held()[0]["expirationTime"]
    assert not expiry.startswith("9999")
    device.channel = "https://push.example/2"
    device.start(**keep)
    device.offset = timedelta(hours=6)
    device.hub.set_clock(device.offset.total_seconds())
    device.start(**keep)
    assert device.seen() == ["PUT", "PUT", "PUT"]
    assert device.held()[0]["expirationTime"] > expiry


def test_equal_channels_of_device_and_tile_are_refused(device: Device) -> None:
    device.tile_channel = device.channel
    with pytest.raises(ConfigurationError, match="push channel of the device too"):
        device.start()
    with pytest.raises(ConfigurationError, match="push channel of the device too"):
        device.agent(channel="https://x", secondary_tiles={"weather": SecondaryTile(channel="https://X/")})
    assert (device.seen(), device.files) == ([], {})


def test_state_folder_that_cannot_be_written_means_no_request(device: Device, unwritable: object) -> None:
    report = device.start(state_dir=unwritable)
    assert report.outcome == "waiting"
    assert isinstance(report.error, StateUnwritable)
    assert (report.requests, device.seen(), device.slept) == (0, [], [])


def test_hub_that_does_not_exist_discards_nothing(device: Device) -> None:
    first = device.start()
    # The same app and hub name, at a namespace where that hub has been removed.
    device.channel = "https://push.example/2"
    device.hub.fail(
        "PATCH", status=404, body="<Error><Code>404</Code><Detail>No service is hosted at the specified "
        "address..TrackingId:g_G1,TimeStamp:1/2/2026 3:04:05 AM</Detail></Error>",
    )  # fmt: skip
    with pytest.raises(HubNotFound):
        device.start()
    assert device.start().installation_id == first.installation_id


def test_files_are_private(device: Device) -> None:
    device.start()
    for path in device.files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_over_tls_with_the_emulators_authority(tls_notification_hub: Emulator, device: Device) -> None:
    secure = Device(tls_notification_hub, device.folder)
    assert secure.start().outcome == "registered"
    assert secure.start(ca_bundle=None, tags=["other"]).outcome == "waiting", "no trust, no request"
    assert secure.seen() == ["PUT"]


def test_another_namespace_inherits_nothing(device: Device) -> None:
    first = device.start()
    with Emulator(device.hub.hub) as elsewhere:
        moved = Device(elsewhere, device.folder)
        report = moved.start()
        assert (report.outcome, moved.seen()) == ("registered", ["PUT"])
        assert report.installation_id != first.installation_id
    assert device.seen() == ["PUT"], "the former namespace is not asked"


def test_another_key_of_the_same_hub_changes_nothing(device: Device) -> None:
    device.start()
    report = device.start(connection_string=device.hub.full, allow_full_access=True)
    assert report.outcome == "unchanged"


def test_installation_id_of_the_apps_own_is_used_and_a_former_one_leaves(device: Device) -> None:
    device.start()
    report = device.start(installation_id="a b/../../other?x=1")
    assert report.installation_id == "a b/../../other?x=1"
    assert [entry.path.rsplit("/", 1)[1] for entry in device.hub.log()[1:]] == [
        "a%20b%2F..%2F..%2Fother%3Fx%3D1",
        device.hub.log()[0].path.rsplit("/", 1)[1],
    ]
    assert device.seen() == ["PUT", "PUT", "DELETE"]
    assert [held["installationId"] for held in device.held()] == ["a b/../../other?x=1"]


def test_plan_tells_what_a_start_would_do_and_changes_nothing(device: Device) -> None:
    assert [str(step) for step in device.agent().plan()] == ["PUT installation (new): not at the hub yet"]
    assert (device.seen(), device.files) == ([], {})
    device.start()
    assert not device.agent().plan()
    assert str(device.agent().plan()) == "nothing to do: the hub holds what is true"
    device.channel = "https://push.example/2"
    [step] = device.agent().plan()
    assert step.method == "PATCH"
    assert device.channel not in str(step)
    assert device.channel not in repr(step)
    assert step.fields == ("pushChannel",)
    device.channel = None
    plan = device.agent(state_dir=device.folder / "other").plan()
    assert (len(plan), bool(plan), plan.channel_errors["channel"].pending) == (0, False, True)
    assert "nothing is sent while a push channel is missing" in str(plan)


def test_callbacks_hear_of_news_and_cannot_stop_the_agent(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[object] = []

    def registered(report: object) -> None:
        heard.append(report)
        raise RuntimeError("the app's own fault")

    report = device.start(on_registered=registered, on_error=heard.append)
    assert heard == [report]
    assert "the app's own fault" in caplog.text
    device.start(on_registered=registered, on_error=heard.append)
    assert len(heard) == 1, "nothing was new"
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", status=401)
    with pytest.raises(Unauthorized):
        device.start(on_registered=registered, on_error=heard.append)
    assert isinstance(heard[1], Unauthorized)


def test_clock_skew_is_reported(device: Device) -> None:
    device.hub.set_clock(120)
    report = device.start()
    assert report.clock_skew == pytest.approx(120, abs=2)


def test_no_handle_and_no_key_in_logs_reports_or_plans(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = device.hub.listen.rpartition("SharedAccessKey=")[2]
    agent = device.agent()
    shown = [repr(agent), repr(agent.start()), repr(agent.status())]
    device.channel = "https://push.example/2"
    device.hub.fail("PATCH", status=401)
    with pytest.raises(Unauthorized) as caught:
        agent.start()
    shown += [repr(caught.value), str(caught.value), repr(agent.plan()), caplog.text]
    for text in shown:
        assert key not in text
        assert "sig=" not in text
        assert "push.example" not in text
    assert key not in device.files["state.json"].read_text()


def test_template_from_the_toast_fixture_is_what_the_service_would_take(device: Device) -> None:
    device.start(templates={"alert": TOAST, "raw": Template(body="$(x)", headers={"x-wns-type": "wns/raw"})})
    assert set(device.held()[0]["templates"]) == {"alert", "raw"}
