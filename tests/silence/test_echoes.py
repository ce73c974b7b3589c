"""A hub that sends back all that it was sent: what is shown of its answers holds no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nhagent import (
    BrowserChannel,
    HubClient,
    Installation,
    Platform,
    Registration,
    SecondaryTile,
)

from .echo import echoing
from .marks import HANDLES, MARK, SIGNATURE, TILE, TOKEN, forms, handles
from .world import WNS, World, raised


def installation(platform: Platform, channel: Any) -> Installation:
    tiles = {"weather": SecondaryTile(channel=TILE)} if platform is Platform.WNS else {}
    return Installation("a", platform, channel, secondary_tiles=tiles)


CALLS: dict[str, Callable[[HubClient, Platform, Any], object]] = {
    "put": lambda hub, platform, channel: hub.put_installation(installation(platform, channel)),
    "get": lambda hub, platform, channel: hub.get_installation("a"),
    "patch": lambda hub, platform, channel: hub.patch_installation(
        "a", [{"op": "replace", "path": "/pushChannel", "value": channel}]
    ),
    "delete": lambda hub, platform, channel: hub.delete_installation("a"),
    "id": lambda hub, platform, channel: hub.create_registration_id(),
    "create": lambda hub, platform, channel: hub.create_registration(Registration(platform, channel)),
    "write": lambda hub, platform, channel: hub.put_registration(
        "1", Registration(platform, channel, template=None)
    ),
    "read": lambda hub, platform, channel: hub.get_registration("1"),
    "remove": lambda hub, platform, channel: hub.delete_registration("1", "*"),
    "list": lambda hub, platform, channel: list(
        hub.registrations_by_channel(
            BrowserChannel.parse(channel) if platform is Platform.BROWSER else channel
        )
    ),
    "tag": lambda hub, platform, channel: list(hub.registrations_by_tag("kitchen")),
}


@pytest.mark.parametrize("head", ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK", ""])
@pytest.mark.parametrize("platform", list(HANDLES))
def test_hub_that_sends_back_what_it_was_sent_is_veiled(world: World, platform: str, head: str) -> None:
    with echoing(head) as endpoint:
        listen = world.hub.listen.replace(f"{world.hub.endpoint}/", endpoint)
        for name, call in CALLS.items():
            for key in (listen, lambda: TOKEN):
                with HubClient(key, world.hub.hub, endpoint=endpoint, timeout=60) as client:
                    world.check(repr(client), "a client")
                    if head.endswith("OK") and name in {"put", "patch", "delete", "remove"}:
                        call(client, Platform(platform), HANDLES[platform])
                        continue
                    error = raised(lambda: call(client, Platform(platform), HANDLES[platform]))  # noqa: B023
                    world.check_error(error)
                    assert str(error).count("\n") < 60
    world.check_rest()


def test_short_words_of_the_hub_stay_what_they_are() -> None:
    from nhagent.models import marks_of
    from nhagent.redaction import in_prose, redacted

    assert redacted("the body is bad", secrets=["b"], marks=marks_of(["a"])) == "the body is bad"
    assert redacted("not 'a'", marks=marks_of(["a"])).startswith("not '#")
    assert in_prose(OSError("the push service is away")) == "OSError: the push service is away"
    assert in_prose(KeyError(WNS)) == "KeyError: …"
    for secret in [*handles(), SIGNATURE]:
        for form in list(forms(secret))[:-1]:
            assert MARK.lower() not in redacted(f"({form})", secrets=[secret]).lower()
