"""The registration style: one row for each template and tile, nothing made twice, nothing held up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, Registration, SecondaryTile, Template
from nhagent.errors import ConfigurationError, HubNotFound, InvalidRequest, RegistrationGone
from tests.device_under_test import PLAIN, TOAST, Device, first_run, plant, register
from tests.events import HELD_SECONDS


def test_first_start_lists_takes_an_id_and_writes_and_the_second_sends_nothing(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    report = register(device, **PLAIN)
    assert (report.outcome, report.requests, device.seen()) == ("registered", 3, ["GET", "POST", "PUT"])
    assert dict(report.registration_ids) == {"native": rows()["native"]["registrationId"]}
    assert register(device, **PLAIN).requests == 0


def test_adoptable_row_is_taken_over(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    stale = backend.create_registration(Registration(Platform.WNS, device.channel, ["stale"]))
    device.seen()
    report = register(device, **PLAIN)
    assert (report.requests, device.seen()) == (2, ["GET", "PUT"])
    assert rows()["native"]["registrationId"] == stale.registration_id
    assert rows()["native"]["tags"] == ["kitchen"]


def test_device_is_a_native_row_and_one_for_each_template_for_itself_and_each_tile(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    tile = SecondaryTile(lambda: device.tile_channel, ["w"], {"front": TOAST})
    report = register(device, secondary_tiles={"weather": tile}, push_variables={"name": "Ann"})
    assert set(report.registration_ids) == {
        "native", "template:alert", "tile:weather/native", "tile:weather/template:front",
    }  # fmt: skip
    held = rows()
    assert {name: set(row.get("tags", [])) for name, row in held.items()} == {
        "native": {"kitchen"},
        "alert": {"kitchen", "alerts"},
        "weather/native": {"w"},
        "weather/front": {"w", "alerts"},
    }
    assert held["alert"]["bodyTemplate"] == TOAST.body
    assert held["alert"]["headers"] == {"X-WNS-Type": "wns/toast"}
    assert held["weather/front"]["channel"] == device.tile_channel
    assert held["native"]["pushVariables"] == {"name": "Ann"}


def test_rotated_channels_keep_their_ids(device: Device, rows: Callable[[], dict[str, Any]]) -> None:
    first = register(device)
    device.seen()
    device.channel, device.tile_channel = "https://push.example/2", "https://push.example/tile/2"
    report = register(device)
    assert (report.outcome, device.seen()) == ("updated", ["PUT"] * 3)
    assert report.registration_ids == first.registration_ids
    assert {row["channel"] for row in rows().values()} == {device.channel, device.tile_channel}


def test_dropped_template_and_tile_take_their_rows_along_and_write_comes_first(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    register(device)
    device.seen()
    device.channel = "https://push.example/2"
    register(device, **PLAIN)
    assert device.seen() == ["PUT", "DELETE", "DELETE"]
    assert list(rows()) == ["native"]


def test_another_platform_takes_new_ids_and_the_old_ones_leave(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    first = register(device, **PLAIN)
    device.seen()
    device.channel = "fcm-token"
    report = register(device, platform="fcmv1", **PLAIN)
    assert device.seen() == ["POST", "PUT", "DELETE"]
    assert report.registration_ids != first.registration_ids
    assert rows()["native"]["platform"] == "fcmv1"


@pytest.mark.parametrize("gone", [True, False], ids=["410", "404-on-update"])
def test_gone_registration_gets_a_new_id_at_once(
    device: Device, rows: Callable[[], dict[str, Any]], gone: bool
) -> None:
    first = register(device, **PLAIN)
    device.seen()
    device.hub.forget(registration=first.registration_ids["native"], gone=gone)
    device.channel = "https://push.example/2"
    report = register(device, **PLAIN)
    if gone:
        assert (report.outcome, report.requests, device.seen()) == ("recreated", 3, ["PUT", "POST", "PUT"])
        assert report.registration_ids != first.registration_ids
    else:  # a PUT under an id that was only forgotten makes it again
        assert (report.outcome, device.seen()) == ("updated", ["PUT"])
    assert rows()["native"]["channel"] == device.channel
    assert register(device, **PLAIN).requests == 0
    status = device.agent(style="registration").status()
    assert (status.writes, status.losses) == (2, int(gone))


def test_record_that_is_not_found_gets_a_new_id_and_the_others_keep_theirs(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    first = register(device)
    device.seen()
    device.channel = "https://push.example/2"
    lost = first.registration_ids["template:alert"]
    device.hub.fail(f"PUT {lost}", status=404, body="<Error><Code>404</Code><Detail>.TrackingId:g_G1,"
                    "TimeStamp:1/2/2026 3:04:05 AM</Detail></Error>")  # fmt: skip
    report = register(device)
    assert report.outcome == "recreated"
    assert device.seen() == ["PUT", "PUT", "POST", "PUT"]
    kept = {name for name, key in report.registration_ids.items() if first.registration_ids[name] == key}
    assert kept == {"native", "tile:weather/native"}
    device.hub.forget(registration=lost)
    assert len(rows()) == 3


def test_hub_that_ends_every_id_is_not_filled_with_ids(device: Device) -> None:
    register(device, **PLAIN)
    device.seen()
    device.channel = "https://push.example/2"
    device.hub.fail("PUT", status=410, times=99)
    with pytest.raises(RegistrationGone):
        register(device, **PLAIN)
    assert device.seen() == ["PUT", "POST", "PUT"]
    with pytest.raises(RegistrationGone):
        register(device, **PLAIN)
    assert device.seen().count("POST") <= 1, "not again within ten minutes"
    device.hub.clear_faults()
    assert register(device, **PLAIN).outcome in {"recreated", "updated", "registered"}


def test_hub_that_is_gone_itself_discards_no_id(device: Device) -> None:
    first = register(device, **PLAIN)
    device.channel = "https://push.example/2"
    detail = "No service is hosted at the specified address..TrackingId:g_G1,TimeStamp:1/2/2026 3:04:05 AM"
    device.hub.fail("PUT", status=404, body=f"<Error><Code>404</Code><Detail>{detail}</Detail></Error>")
    with pytest.raises(HubNotFound):
        register(device, **PLAIN)
    assert register(device, **PLAIN).registration_ids == first.registration_ids


def test_refresh_by_age_writes_every_row(device: Device) -> None:
    register(device)
    device.seen()
    device.offset = timedelta(hours=25)
    assert register(device).outcome == "updated"
    assert device.seen() == ["PUT"] * 3


def test_tags_of_the_backend_go_back_as_they_were_read(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    owned = {"owns_tags": False, "tags": None, **PLAIN}
    first = register(device, **owned)
    key = first.registration_ids["native"]
    backend.modify_registration(key, lambda row: Registration(row.platform, row.channel, ["gold"]))
    device.seen()
    device.channel = "https://push.example/2"
    register(device, **owned)
    assert device.seen() == ["GET", "PUT"]
    assert (rows()["native"]["tags"], rows()["native"]["channel"]) == (["gold"], device.channel)

    device.channel = "https://push.example/3"
    device.hub.fail("PUT", status=412)
    register(device, **owned)
    assert device.seen() == ["GET", "PUT", "GET", "PUT"]


@pytest.mark.parametrize("wrong", [{"user_id": "ann"}, {"expires_after": timedelta(days=9)}])
def test_what_a_registration_cannot_carry_is_refused(device: Device, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        register(device, **wrong)


def test_unregistered_rows_leave(device: Device, rows: Callable[[], dict[str, Any]]) -> None:
    register(device)
    device.seen()
    report = device.agent(style="registration").unregister()
    assert (report.outcome, device.seen(), rows()) == ("disabled", ["DELETE"] * 3, {})


def test_stale_duplicates_leave_after_the_write(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    plant(backend, device.channel, 3)
    backend.create_registration(Registration(Platform.WNS, "https://push.example/other", ["other"]))
    device.seen()
    assert register(device, secondary_tiles={}).outcome == "updated"
    assert device.seen() == ["GET", "PUT", "PUT", *["DELETE"] * 7]
    device.hub.contents()
    assert len(device.hub.contents()["registrations"]) == 3, "the other channel is not touched"
    assert register(device, secondary_tiles={}).requests == 0


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_thousand_registrations_over_many_pages_end_as_one_for_each_name(
    device: Device, backend: HubClient, style: str
) -> None:
    plant(backend, device.channel, 334)
    for number in range(3):
        backend.create_registration(Registration(Platform.MPNS, device.channel, [f"phone-{number}"]))
    own = Installation("ours", Platform.WNS, device.channel, ["old"], templates={"alert": TOAST})
    backend.put_installation(own)
    backend.create_registration(Registration(Platform.WNS, "https://push.example/other"))
    device.seen()
    device.agent(style=style, first_run_list=True, secondary_tiles={}).start(timeout=HELD_SECONDS)
    methods = device.seen()
    left = device.hub.contents()
    rows = sorted(row.get("templateName", "native") for row in left["registrations"])
    assert [held["installationId"] for held in left["installations"]] == ["ours"]
    assert methods.count("DELETE") == (1003 if style == "registration" else 1005)
    if style == "registration":
        assert methods.count("GET") == 11, "1,007 rows in pages of 100"
        assert rows == ["alert", "native", "native"], "one for each name, and that of the other channel"
    else:
        assert methods.count("GET") == 12, "and the installation is read, since not all of it is declared"
        assert rows == ["native"], "that of the other channel"
        in_step = list(backend.registrations_by_channel(device.channel))
        assert {row.template_name for row in in_step} == {None, "alert"}
        assert all({"kitchen", "$InstallationId:{ours}"} <= set(row.tags) for row in in_step)


def test_tiles_channel_is_cleared_of_its_own_duplicates(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    for number in range(3):
        backend.create_registration(
            Registration(Platform.WNS, device.tile_channel, [f"t{number}"], secondary_tile_name="weather")
        )
    backend.create_registration(Registration(Platform.WNS, device.tile_channel, ["no-tile"]))
    device.seen()
    register(device, templates={})
    assert device.seen() == ["GET", "GET", "POST", "PUT", "PUT", *["DELETE"] * 3]
    assert set(rows()) == {"native", "weather/native"}


def test_row_that_somebody_touches_in_between_is_left_to_them(device: Device, backend: HubClient) -> None:
    plant(backend, device.channel)
    device.hub.fail("DELETE", status=412)
    assert register(device, secondary_tiles={}).outcome == "updated"
    assert len(device.hub.contents()["registrations"]) == 3
    assert register(device, secondary_tiles={}).requests == 0


# What once went wrong.


def test_rows_of_another_channel_are_not_ours_whatever_the_hub_lists(
    device: Device, backend: HubClient
) -> None:
    """A hub may read a handle's percent code, and a proxy may drop the filter."""
    device.channel = "https://push.example/?t=a%2Fb"
    backend.put_installation(Installation("another", Platform.WNS, "https://push.example/?t=a/b"))
    backend.create_registration(Registration(Platform.WNS, "https://push.example/?t=a/b", ["another"]))
    before = device.hub.contents()
    assert first_run(device, secondary_tiles={}).installation_id != "another"
    register(device, **PLAIN)
    after = device.hub.contents()
    assert [held for held in after["installations"] if held["installationId"] == "another"] == before[
        "installations"
    ]
    assert before["registrations"][0] in after["registrations"]


def test_backend_owned_row_that_was_never_written_keeps_its_id(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    owned = {"owns_tags": False, "tags": None, **PLAIN}
    device.hub.fail("PUT", status=503, times=3)
    for _ in range(3):
        device.agent(style="registration", first_run_list=True, **owned).start(timeout=0)
    report = register(device, **owned)
    assert report.registration_ids == {"native": rows()["native"]["registrationId"]}
    assert device.seen().count("POST") == 1


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("status", [410, 412])
def test_surplus_that_cannot_be_deleted_does_not_block_what_comes_after(
    device: Device, backend: HubClient, style: str, status: int
) -> None:
    plant(backend, device.channel)
    device.hub.fail("DELETE", status=status)
    report = device.start(style=style, first_run_list=True, secondary_tiles={})
    assert report.outcome == ("updated" if style == "registration" else "registered"), "what the hub knew"
    assert device.start(style=style, first_run_list=True, secondary_tiles={}).requests == 0


def test_tags_that_were_read_for_the_backend_are_not_taken_for_ours_later(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    owned = {"owns_tags": False, "tags": None, **PLAIN}
    key = register(device, **owned).registration_ids["native"]
    backend.modify_registration(key, lambda row: Registration(row.platform, row.channel, ["gold"]))
    device.channel = "https://push.example/2"
    device.hub.fail("PUT", status=503)
    device.agent(style="registration", first_run_list=True, **owned).start(timeout=0)
    register(device, tags=["mine"], **PLAIN)
    assert rows()["native"]["tags"] == ["mine"]


def test_adopted_installation_leaves_if_the_device_does_before_it_was_written(
    device: Device, backend: HubClient
) -> None:
    backend.put_installation(Installation("a", Platform.WNS, device.channel))
    device.hub.fail("PUT", status=503)
    complete = {"secondary_tiles": {}, "user_id": "", "push_variables": {}}
    device.agent(first_run_list=True, **complete).start(timeout=0)
    assert device.agent(first_run_list=True, **complete).unregister().outcome == "disabled"
    assert device.held() == []


def test_device_that_was_unregistered_before_its_first_run_lists_when_it_is_enabled(
    device: Device, backend: HubClient
) -> None:
    backend.put_installation(Installation("a", Platform.WNS, device.channel))
    backend.create_registration(Registration(Platform.WNS, device.channel))
    device.agent().unregister()
    device.agent().enable()
    first_run(device, secondary_tiles={})
    assert len(device.held()) == 1
    assert device.hub.contents()["registrations"] == []


@pytest.mark.slow
def test_deletions_end_when_the_time_is_up_and_go_on_at_the_next_start(
    device: Device, backend: HubClient
) -> None:
    plant(backend, device.channel, 4)
    device.hub.fail("DELETE", delay=1.5, times=5)
    report = device.agent(style="registration", first_run_list=True, secondary_tiles={}).start(timeout=1)
    assert report.outcome == "waiting"
    assert "exchanges are left" in str(report.error)
    deletions = [entry for entry in device.hub.log() if entry.method == "DELETE"]
    assert 1 <= len(deletions) <= 4, "none begins after 5 s, the least that a start is given"
    device.hub.clear_faults()
    assert register(device, secondary_tiles={}).outcome == "updated"
    assert len(device.hub.contents()["registrations"]) == 2


def test_lost_identity_does_not_throw_readable_rows_away(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    first = register(device)
    device.files["identity.json"].write_text("x")
    device.channel = "https://push.example/2"
    assert register(device).registration_ids == first.registration_ids
    assert rows()["native"]["channel"] == device.channel


def test_user_id_from_before_the_change_of_style_is_dropped_with_a_warning(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.start(tags=None, user_id="bob")
    agent = device.agent(style="registration", tags=None)
    assert agent.start().outcome == "registered"
    assert "user_id that was declared before is dropped" in caplog.text
    caplog.clear()
    assert agent.add_tags("x").error is None
    assert "user_id" not in caplog.text
    with pytest.raises(ConfigurationError, match="user_id"):
        agent.update(user_id="bob")


@pytest.mark.slow
def test_registration_style_ends_with_its_deadline_and_goes_on_at_the_next_start(device: Device) -> None:
    device.hub.fail("*", delay=1.2, times=99)
    agent = device.agent(style="registration", sleep=None)
    report = agent.start(timeout=1)
    assert 1 <= len(device.hub.log()) <= 5, "none begins after 5 s, the least that a start is given"
    assert (report.outcome, "the time is up" in str(report.error)) == ("waiting", True)
    device.hub.clear_faults()
    assert agent.start().error is None
    assert len(device.hub.contents()["registrations"]) == 3


@pytest.mark.parametrize(
    ("before", "after"), [("installation", "registration"), ("registration", "installation")]
)
def test_unreadable_state_at_a_change_of_style_leaves_one_styles_records(
    device: Device, before: str, after: str
) -> None:
    device.start(style=before, first_run_list=True, secondary_tiles={})
    device.files["state.json"].write_text("x")
    device.start(style=after, first_run_list=True, secondary_tiles={})
    held = device.hub.contents()
    assert (len(held["installations"]), len(held["registrations"])) == (
        (1, 0) if after == "installation" else (0, 2)
    )


def test_one_refused_row_does_not_hold_up_the_others(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    first = register(device)
    device.seen()
    device.channel = device.tile_channel + "/new"
    device.hub.fail(f"PUT {first.registration_ids['native']}", status=400, times=2)
    with pytest.raises(InvalidRequest):
        register(device)
    assert device.seen() == ["PUT", "PUT"]
    assert rows()["alert"]["channel"] == device.channel
    assert rows()["native"]["channel"] != device.channel


def test_only_rows_of_the_devices_own_kind_are_learnt_from(device: Device, backend: HubClient) -> None:
    toast = Template("<t/>", {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"})
    backend.create_registration(Registration(Platform.MPNS, device.channel, ["m"], {}, toast, "phone"))
    backend.create_registration(
        Registration(Platform.WNS, device.channel, ["kitchen", "x"], {}, TOAST, "alert")
    )
    backend.create_registration(Registration(Platform.WNS, device.channel, ["kitchen"]))
    report = register(device, tags=None, templates=None, secondary_tiles=None)
    assert set(report.registration_ids) == {"native", "template:alert"}
    left = device.hub.contents()["registrations"]
    assert sorted(sorted(row["tags"]) for row in left) == [["kitchen"], ["kitchen", "x"]]


@pytest.mark.parametrize("location", ["text/html", "https://ns.example/h/registrationids/%41%0", "/7"])
def test_id_that_the_hub_made_and_does_not_take_is_given_up_for_another(
    device: Device, location: str
) -> None:
    device.hub.fail("POST", status=201, headers={"Location": location})
    assert register(device, **PLAIN).outcome == "registered"
    assert device.seen() == ["GET", "POST", "PUT", "POST", "PUT"]
    assert len(device.hub.contents()["registrations"]) == 1
    assert register(device, **PLAIN).requests == 0


def test_row_that_was_listed_under_an_id_that_the_hub_does_not_take_gets_another(device: Device) -> None:
    entry = (
        "<entry><content><WindowsRegistrationDescription><RegistrationId>made up</RegistrationId>"
        "<ChannelUri>https://push.example/1</ChannelUri></WindowsRegistrationDescription></content></entry>"
    )
    headers = {"Content-Type": "application/atom+xml"}
    device.hub.fail("GET", status=200, headers=headers, body=f"<feed>{entry}</feed>")
    assert register(device, **PLAIN).outcome == "updated"
    assert device.seen() == ["GET", "PUT", "POST", "PUT"]
    assert register(device, **PLAIN).requests == 0


def test_row_that_the_hub_refuses_whatever_its_id_is_takes_one_more_id_in_ten_minutes(device: Device) -> None:
    device.hub.fail("PUT", status=400, times=9)
    for expected in (["GET", "POST", "PUT", "POST", "PUT"], ["PUT"]):
        with pytest.raises(InvalidRequest):
            register(device, **PLAIN)
        assert device.seen() == expected


def test_row_that_was_written_before_keeps_its_id_when_a_change_is_refused(device: Device) -> None:
    register(device, **PLAIN)
    device.seen()
    device.hub.fail("PUT", status=400)
    with pytest.raises(InvalidRequest):
        register(device, **PLAIN, tags=["other"])
    assert device.seen() == ["PUT"]
