"""What a hub, a damaged disk or the app's own code gives is never the end of all starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nhagent import HubClient, Platform, Registration
from nhagent.errors import ChannelError, CredentialError, NhagentError
from tests.device_under_test import PLAIN, Device, first_run


class Odd(ChannelError):
    def __init__(self) -> None:
        pass


@pytest.mark.parametrize("raised", [ChannelError(OSError("modem is off")), Odd(), ChannelError("")])
def test_error_of_ours_with_anything_in_it_is_told_as_one(device: Device, raised: Any) -> None:
    device.channel = raised
    report = device.start()
    assert (report.outcome, report.error) == ("waiting", raised)
    assert isinstance(str(report.error), str)


def test_error_of_ours_without_words_can_be_made_and_shown() -> None:
    assert str(CredentialError()) == ""
    assert str(NhagentError(ValueError("a"), 7)) == "a; 7"


@pytest.mark.parametrize(
    "content",
    [
        b'{"schema": 1, "later": "\xed\xa0\x80"}',
        '{"schema": 1, "a": "\ud800"}'.encode("utf-16", "surrogatepass"),
    ],
)
def test_state_file_with_half_a_character_is_set_aside(device: Device, content: bytes) -> None:
    device.start(**PLAIN)
    device.files["state.json"].write_bytes(content)
    assert device.start(**PLAIN).outcome == "registered"
    assert [name for name in device.files if name.startswith("state.2")]


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_many_tags_of_the_backend_are_taken_over_from_a_hub_after_a_lost_disk(
    device: Device, style: str
) -> None:
    own: dict[str, Any] = {**PLAIN, "tags": None, "owns_tags": False, "style": style}
    first_run(device, **own)
    with HubClient(device.hub.full, device.hub.hub) as backend:
        tags = [f"tag{number}" for number in range(70 if style == "installation" else 58)]
        if style == "installation":
            held = device.held()[0]["installationId"]
            backend.patch_installation(held, [{"op": "add", "path": "/tags", "value": tags}])
        else:
            [row] = backend.registrations_by_channel(device.channel)
            backend.update_registration(row.registration_id, replace(row, tags=tuple(tags)))
    for path in device.files.values():
        path.unlink()
    assert first_run(device, **own).error is None
    assert device.start(**{**own, "first_run_list": True}).outcome == "unchanged"


@pytest.mark.parametrize("owner", ["..", "a\tb", "x" * 2000])
def test_installation_id_that_cannot_be_ours_is_not_taken_from_a_list(
    device: Device, owner: str, caplog: pytest.LogCaptureFixture
) -> None:
    from nhagent.registrars.first_run import ChannelLists

    with HubClient(device.hub.full, device.hub.hub) as hub:
        hub.create_registration(Registration(Platform.WNS, device.channel, ["stale"]))
        [row] = hub.registrations_by_channel(device.channel)

        class Listing:
            can_list = True

            def registrations_by_channel(self, _: object, **__: object) -> list[Registration]:
                from nhagent.models import altered

                return [row, altered(row, tags=(f"$InstallationId:{{{owner}}}",))]

        listing: Any = Listing()
        lists = ChannelLists(listing, by_uri=False)
        assert lists.of_channel(Platform.WNS, device.channel) == [row]
    assert "left out of a list" in caplog.text
