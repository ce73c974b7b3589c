"""A browser that others have written takes the emulator's push service for Mozilla's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator
from tests.events import happens
from tests.web_push_senders.senders import ENCODINGS, SENDERS

from .browser import IS_SUBSCRIBED, SUBSCRIBE, Firefox, Site, firefox, require_firefox

pytestmark = pytest.mark.slow


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def window(site: Site, notification_hub: Emulator, tmp_path: Path) -> Iterator[Firefox]:
    require_firefox()
    with firefox(tmp_path, notification_hub.push) as window:
        window.visit(site.url)
        yield window


def test_firefox_subscribes_receives_what_others_send_and_is_forgotten(
    window: Firefox, site: Site, notification_hub: Emulator
) -> None:
    hub, service = notification_hub, notification_hub.push_service
    subscription = json.loads(window.run(SUBSCRIBE, hub.vapid_public_key))
    assert subscription["endpoint"].startswith(f"{hub.endpoint}/wpush/v2/")
    [uaid] = service.state()

    expected: list[str] = []
    for name, send in SENDERS.items():
        for encoding in ENCODINGS:
            text = f"{name}, {encoding} ☂"
            assert send(hub, subscription, text, encoding) == 201
            expected.append(text)
            assert happens(lambda: site.received == expected), site.received

    channel = {"endpoint": subscription["endpoint"], **subscription["keys"]}
    with HubClient(hub.full, hub.hub) as client:
        client.put_installation(Installation("firefox", Platform.BROWSER, channel))
    assert hub.send_push("firefox", "from the hub").status == 201
    expected.append("from the hub")
    assert happens(lambda: site.received == expected), site.received
    codes = [update["code"] for said in service.log() for update in said.get("updates", [])]
    assert codes == [100] * len(expected)

    service.close(1001)
    assert happens(lambda: not service.state()[uaid]["connected"])
    assert hub.send_push("firefox", "sent while it was away").status == 201
    expected.append("sent while it was away")
    assert happens(lambda: site.received == expected), site.received
    assert list(service.state()) == [uaid]

    service.drop()
    assert happens(lambda: window.run(IS_SUBSCRIBED) is False)
    assert hub.send_push("firefox", "to nobody").status == 410
