"""Chromium, driven by its DevTools protocol over a WebSocket: as much of it as the tests need."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import websocket

from tests.events import HANG_SECONDS, happens

NAMES = ("chromium", "chromium-browser", "google-chrome")
_KEY_CODES = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, "")}


def program() -> str | None:
    """The browser of this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One tab.

    Attributes:
        requested: every address that it has asked for.
        complaints: what its console said that is an error, and what a policy has stopped.
        dialogs: the texts of ``alert`` and the like.
    """

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=HANG_SECONDS, suppress_origin=True)
        self._number = 0
        self.requested: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """Let go of it."""
        self._socket.close()

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        self._number += 1
        number = self._number
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                found: dict[str, Any] = message["result"]
                return found
            self._note(message)

    def open(self, url: str) -> None:
        """Go somewhere, and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    def value(self, expression: str) -> Any:
        """What an expression comes to."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in found, (expression, found)
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression is true."""

        def holds() -> bool:
            try:
                return bool(self.value(f"!!({expression})"))
            except AssertionError:  # the page that was asked has just been left
                return False

        assert happens(holds), f"never: {expression}: {self.text()}"

    def text(self, selector: str = "body") -> str:
        """The text that is seen in the first element of a kind; empty where there is none."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        """Put the cursor somewhere, and type."""
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key, and let it go."""
        name, code, text = _KEY_CODES.get(key, (key, ord(key[0].upper()), key))
        event = {"key": name, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, path: Path, width: int, height: int, scheme: str) -> None:
        """Look at the page in a size and a colour scheme, and write what is seen (PNG)."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        found = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(found["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(found["exceptionDetails"]))
            case "Log.entryAdded" if found["entry"]["level"] == "error":
                self.complaints.append(found["entry"]["text"])
            case "Runtime.consoleAPICalled" if found["type"] in ("error", "assert"):
                self.complaints.append(json.dumps(found["args"]))
            case "Page.javascriptDialogOpening":
                self.dialogs.append(found["message"])


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Run Chromium with a profile of its own, and give its tab."""
    chromium = program()
    assert chromium is not None
    log = folder / "chromium.log"
    command = [
        chromium,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        port = _port(folder / "profile" / "DevToolsActivePort", process)
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=HANG_SECONDS) as reply:
            [tab, *_] = [each for each in json.load(reply) if each["type"] == "page"]
        driven = Tab(tab["webSocketDebuggerUrl"])
        try:
            yield driven
        finally:
            driven.close()
    finally:
        process.terminate()
        process.wait(HANG_SECONDS)


def _port(path: Path, process: subprocess.Popen[bytes]) -> int:
    def is_written() -> bool:
        assert process.poll() is None, "Chromium has ended"
        return path.exists() and bool(path.read_text().split())

    assert happens(is_written), "Chromium does not listen"
    return int(path.read_text().split()[0])
