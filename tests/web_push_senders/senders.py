"""Senders that others have written: pywebpush, and web-push from npm."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import requests

from nhagent.emulator import Emulator
from tests.children import answer_of, cannot

FOLDER = Path(__file__).parent
ENCODINGS = ("aes128gcm", "aesgcm")

Send: TypeAlias = "Callable[[Emulator, dict[str, Any], str, str], int]"
"""Sends a text to a subscription, in an encoding; gives the push service's status."""


def by_pywebpush(hub: Emulator, subscription: dict[str, Any], text: str, encoding: str) -> int:
    """Send by pywebpush."""
    pywebpush = pytest.importorskip("pywebpush", reason="pywebpush is not installed")
    with closing(requests.Session()) as session:
        session.trust_env, session.verify = False, hub.ca or True
        reply = pywebpush.webpush(
            subscription,
            data=text,
            vapid_private_key=hub.vapid_private_key,
            vapid_claims={"sub": "mailto:a@b.example"},
            content_encoding=encoding,
            ttl=60,
            requests_session=session,
        )
    return int(reply.status_code)


def by_npm_web_push(hub: Emulator, subscription: dict[str, Any], text: str, encoding: str) -> int:
    """Send by npm's web-push."""
    require_npm_web_push()
    given = {
        "subscription": subscription,
        "text": text,
        "encoding": encoding,
        "publicKey": hub.vapid_public_key,
        "privateKey": hub.vapid_private_key,
    }
    return int(answer_of(["node", str(FOLDER / "send.mjs")], given, ca=hub.ca)["status"])


SENDERS: dict[str, Send] = {"pywebpush": by_pywebpush, "npm web-push": by_npm_web_push}


def require_npm_web_push() -> None:
    """Skip the test where it is not installed; under ``NHAGENT_CI=1`` fail it."""
    if shutil.which("node") is None:
        cannot("node is not installed")
    if not (FOLDER / "node_modules" / "web-push").is_dir():
        cannot("npm's web-push is not installed: npm install --prefix tests/web_push_senders")
