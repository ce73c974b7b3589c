"""What is read, changed and written back: nothing gets lost, and nothing is written that is another's."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nhagent import HeldRegistration, HubClient, Installation, Platform, Registration, Template
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.hub.atom import to_entry
from nhagent.hub.markup import parse
from nhagent.hub.way import HubRequest
from nhagent.models import altered

DEVICE = Installation("device-1", Platform.GCM, "handle", tags=["kitchen"], user_id="ann")
APNS = "AB" * 32


@pytest.fixture
def row(client: HubClient, notification_hub: Emulator) -> HeldRegistration:
    """The registration that the service has made for an installation."""
    client.put_installation(DEVICE)
    [row] = client.registrations_by_channel("handle")
    notification_hub.clear_log()
    return row


@pytest.mark.parametrize("change", [lambda held: held, lambda held: replace(held, tags=("mine",))])
def test_row_of_an_installation_is_not_modified_and_the_installation_is_named(
    client: HubClient, notification_hub: Emulator, row: HeldRegistration, change: Callable[..., Registration]
) -> None:
    with pytest.raises(ConfigurationError, match="belongs to installation device-1") as caught:
        client.modify_registration(row.registration_id, change)
    assert "patch_installation" in caught.value.hint
    assert [entry.method for entry in notification_hub.log()] == ["GET"]


@pytest.mark.parametrize("method", ["create", "create or update", "update"])
@pytest.mark.parametrize(
    "tag", ["$InstallationId:{device-1}", "$installationid:{device-1}", "$UserId:{ann}", "$x"]
)
def test_row_with_a_tag_of_the_services_own_is_not_written(
    client: HubClient, notification_hub: Emulator, method: str, tag: str
) -> None:
    row = altered(Registration(Platform.GCM, "handle", ["a"]), tags=("a", tag))
    acts: dict[str, Callable[[], Any]] = {
        "create": lambda: client.create_registration(row),
        "create or update": lambda: client.put_registration("an-id", row),
        "update": lambda: client.update_registration("an-id", row, "*"),
    }
    with pytest.raises(ConfigurationError, match=r"belongs to installation device-1|begins with \$"):
        acts[method]()
    assert notification_hub.log() == []


@pytest.mark.parametrize(
    ("platform", "channel", "element"),
    [
        ("apns", APNS, "<Expiry>0</Expiry><TemplateName>t</TemplateName><Priority>5</Priority>"),
        ("apns", APNS, "<Priority>$(p)</Priority>"),
        ("baidu", "user-channel", "<TemplateName>t</TemplateName><MessageType>1</MessageType>"),
        ("apns", APNS, "<TemplateName>t</TemplateName>"),
    ],
)
def test_parts_of_a_template_that_nobody_touched_survive_a_change(
    client: HubClient, platform: str, channel: str, element: str
) -> None:
    row = Registration(Platform.parse(platform), channel, template=Template("{}"))
    entry = to_entry(row).decode().replace("</BodyTemplate>", f"</BodyTemplate>{element}").encode()
    post = HubRequest("POST", "registrations", "a registration", entry, "application/atom+xml")
    client._exchange.make(post)
    [made] = client.registrations()
    key = made.registration_id

    def held() -> str | None:
        response, _ = client._exchange.make(HubRequest("GET", f"registrations/{key}", "it"))
        description = parse(response.body).children[-1].children[0]
        return description.child_text("Priority") or description.child_text("MessageType")

    before = held()
    assert before == next((value for value in ("5", "$(p)", "1") if f">{value}</" in element), None)
    client.modify_registration(key, lambda held: replace(held, tags=("b",)))
    assert held() == before
    read = client.get_registration(key)
    assert read.tags == ("b",)
    put = client.put_registration(key, replace(read, tags=("c",)))
    client.update_registration(key, replace(put, tags=("d",)))
    assert held() == before
    assert copy.deepcopy(read) == pickle.loads(pickle.dumps(read)) == read
    client.modify_registration(key, lambda held: replace(held, template=Template("{}")))
    assert held() is None, "another template is another"
