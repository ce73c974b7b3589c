"""Secrets that can be told wherever they turn up, in whatever form; nothing here comes from the package."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

from tests.subscriptions import public_key

MARK = "Qzm4rk"
"""In every secret that we make ourselves; it survives every coding, and is found in any case."""
APPLE = "c0ffee51" * 8

HANDLES: dict[str, Any] = {
    "wns": f"https://db5.notify.example/?token={MARK}Wns%2f+a/b=&x='y'",
    "gcm": f"{MARK}Gcm:APA91b-_x",
    "apns": APPLE,
    "browser": {
        "endpoint": f"https://push.example/{MARK}Endpoint?a=b&c=d",
        "keys": {"p256dh": public_key(f"BA{MARK}P256dh"), "auth": f"{MARK}Auth{'A' * 12}"},
    },
}
TILE = f"https://db5.notify.example/{MARK}Tile?token=a%2fb"
SIGNATURE = f"{MARK}Sig+/nature="
TOKEN = f"SharedAccessSignature sr=x&sig={quote(SIGNATURE, safe='')}&se=9999999999&skn=listen"
PROXY = f"http://{MARK}User:{MARK}Proxy@127.0.0.1:9"
VAULT_KEY = base64.b64encode(b"vault key, thirty two bytes long").decode()

_OF_A_TOKEN = re.compile(
    r"SharedAccessSignature\s+sr=[^…\\]|\bsig=[A-Za-z0-9%+/]|SharedAccessKey\"?\s*[=:]\s*[A-Za-z0-9+/]|proxy-authorization",
    re.IGNORECASE,
)


def handles() -> list[str]:
    """Every push channel as one text."""
    browser = HANDLES["browser"]
    return [HANDLES["wns"], HANDLES["gcm"], APPLE, browser["endpoint"], *browser["keys"].values(), TILE]


def key_of(connection_string: str) -> str:
    return connection_string.partition("SharedAccessKey=")[2]


def forms(secret: str) -> Iterable[str]:
    """A text as it travels."""
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), html.escape(secret))
    yield from (quote(quote(secret, safe=""), safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    yield secret.replace("/", "\\/")
    yield base64.b64encode(secret.encode()).decode().rstrip("=")


@dataclass(frozen=True)
class Secrets:
    """All that is planted: the marked ones, and keys that others made."""

    keys: tuple[str, ...]

    def check(self, text: str, where: str) -> None:
        """Find no mark, no key, and nothing that looks like a token."""
        lower = text.lower()
        hidden = [MARK, APPLE[:16], VAULT_KEY, *self.keys]
        for secret in hidden:
            for form in forms(secret):
                at = lower.find(form.lower())
                assert at < 0, f"{where} shows {form!r}: …{text[max(0, at - 300) : at + 200]}…"
        found = _OF_A_TOKEN.search(text)
        assert found is None, f"{where} shows {text[max(0, found.start() - 200) : found.end() + 100]!r}"

    def check_state(self, text: str, where: str) -> None:
        """As `check`, but that handles may stand there."""
        for handle in handles():
            for form in (handle, json.dumps(handle, ensure_ascii=False)[1:-1]):
                text = text.replace(form, "#handle")
        self.check(text, where)


def quoting(*said: str) -> str:
    """What a hub says that quotes what it was sent, in every form."""
    parts = [form for text in said for form in (*list(forms(text))[:-1], text.upper(), text.lower())]
    listed = "', '".join(parts)
    return html.escape(f"Wrong: '{listed}', Authorization: {TOKEN}")
