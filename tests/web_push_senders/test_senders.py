"""What others send reaches a device that has nothing but nhagent, in both encodings, over TLS and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.channels.push.conftest import HeadlessDevice
from tests.events import happens

from .senders import ENCODINGS, SENDERS


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("sender", SENDERS)
def test_device_receives_what_others_send(sender: str, tls: bool, tmp_path: Path) -> None:
    with Emulator(tls=tls) as hub:
        headless = HeadlessDevice(hub, tmp_path)
        headless.agent().start()
        channel = headless.held["pushChannel"]
        subscription = {
            "endpoint": channel["endpoint"],
            "keys": {name: channel[name] for name in ("p256dh", "auth")},
        }
        texts = [f"{sender} in {encoding} ☂ {'x' * 2000}" for encoding in ENCODINGS]
        with headless.receiving(headless.agent().receive) as received:
            for encoding, text in zip(ENCODINGS, texts, strict=True):
                assert SENDERS[sender](hub, subscription, text, encoding) == 201
            assert happens(lambda: len(received.messages) == 2)
        assert received.texts == texts
