"""Firefox without a screen, steered by its own protocol (Marionette)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from tests.children import cannot
from tests.events import HANG_SECONDS, happens

PAGE = b"<!doctype html><title>A page that takes messages</title>"
WORKER = b"""
self.addEventListener("push", (event) => {
  event.waitUntil(fetch("/received", { method: "POST", body: event.data ? event.data.text() : "" }));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
"""
SUBSCRIBE = """
const [key, done] = arguments;
(async () => {
  await navigator.serviceWorker.register("/worker.js");
  const worker = await navigator.serviceWorker.ready;
  const made = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  return JSON.stringify(made.toJSON());
})().then(done, (error) => done(`failed: ${error}`));
"""
IS_SUBSCRIBED = """
const [done] = arguments;
navigator.serviceWorker.ready
  .then((worker) => worker.pushManager.getSubscription())
  .then((held) => done(held !== null), (error) => done(`failed: ${error}`));
"""


def require_firefox() -> str:
    """The browser's program; skip the test where there is none, under ``NHAGENT_CI=1`` fail it."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        cannot("Firefox is not installed")
    assert program is not None
    return program


class Site:
    """A page with a service worker, and what that has received."""

    def __init__(self) -> None:
        self.received: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, kind = (WORKER, "text/javascript") if self.path == "/worker.js" else (PAGE, "text/html")
                self._answer(body, kind)

            def do_POST(self) -> None:
                site.received.append(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode())
                self._answer(b"", "text/plain")

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Firefox:
    """One window of a browser."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)
        self._number = 0
        self._read()  # the greeting
        self.command("WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}})
        self.command("WebDriver:SetTimeouts", {"script": 60_000})

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        text = json.dumps([0, self._number, name, parameters])
        self._socket.sendall(f"{len(text.encode())}:{text}".encode())
        _, _, error, result = self._read()
        assert error is None, error
        return result

    def visit(self, url: str) -> None:
        self.command("WebDriver:Navigate", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script that calls back with its result."""
        given = {"script": script, "args": list(arguments)}
        return self.command("WebDriver:ExecuteAsyncScript", given)["value"]

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> Any:
        head = b""
        while not head.endswith(b":"):
            head += self._socket.recv(1)
        body, left = b"", int(head[:-1])
        while len(body) < left:
            body += self._socket.recv(left - len(body))
        return json.loads(body)


@contextmanager
def firefox(folder: Path, push_service: str) -> Iterator[Firefox]:
    """Run Firefox with a push service of ours."""
    program, profile = require_firefox(), folder / "profile"
    profile.mkdir()
    settings = {
        "dom.push.serverURL": push_service,
        "dom.push.testing.allowInsecureServerURL": True,
        "dom.push.connection.enabled": True,
        "remote.prefs.recommended": False,
        "permissions.default.desktop-notification": 1,
        "marionette.port": 0,
        "browser.shell.checkDefaultBrowser": False,
        "app.update.disabledForTesting": True,
        "datareporting.policy.dataSubmissionEnabled": False,
        "toolkit.telemetry.server": "",
        "services.settings.server": "",
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
    }
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines))
    environment = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"}
    with open(folder / "firefox.log", "w") as log:
        process = subprocess.Popen(
            [program, "--marionette", "--profile", str(profile), "--no-remote", "about:blank"],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        told = profile / "MarionetteActivePort"
        if not happens(lambda: (told.exists() and told.read_text().strip()) or process.poll() is not None):
            raise AssertionError((folder / "firefox.log").read_text())
        assert process.poll() is None, (folder / "firefox.log").read_text()
        time.sleep(0.1)
        window = Firefox(int(told.read_text()))
        try:
            yield window
        finally:
            window.close()
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
