"""Every command as a process of its own, everything logged that anybody logs: no secret comes out of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS

from .marks import HANDLES, PROXY, TILE, VAULT_KEY, Secrets, key_of, quoting

DRIVER = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(name)s %(levelname)s %(message)s")
from nhagent.commands.cli import main
sys.exit(main())
"""
WNS = HANDLES["wns"]
CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}", style = "{style}" }}
device = {{ platform = "wns", tags = ["kitchen"] }}
channel = {channel}
[templates.alert]
body = "<toast>$(message)</toast>"
headers = {{ "X-WNS-Type" = "wns/toast" }}
[tiles.weather]
channel = {{ file = "tile" }}
"""


@dataclass
class Person:
    """Somebody at a machine of their own, who runs commands one after the other."""

    hub: Emulator
    folder: Path
    style: str
    form: list[str]
    environment: dict[str, str] = field(init=False)
    secrets: Secrets = field(init=False)
    channel: str = f"{{ value = {json.dumps(WNS)} }}"

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "tile").write_text(TILE)
        kept = {"PATH", "SYSTEMROOT", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "COVERAGE_PROCESS_START"}
        self.environment = {
            **{name: value for name, value in os.environ.items() if name in kept},
            **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), PROXY),
            "HOME": str(self.folder),
            "NHAGENT_STATE_DIR": str(self.folder / "state"),
            "NHAGENT_VAULT_KEY_FILE": str(self.folder / "vault.key"),
            "PYTHON_KEYRING_BACKEND": "nhagent.device.vault.Vault",
            "PYTHONWARNINGS": "error",
        }
        self.secrets = Secrets((key_of(self.hub.listen), key_of(self.hub.full)))

    def run(self, *arguments: str, typed: str = "", wanted: int = 0, **environment: str) -> str:
        """Run a command to its end, and check what it showed."""
        config = self.folder / "config.toml"
        config.write_text(CONFIG.format(hub=self.hub.hub, style=self.style, channel=self.channel))
        given = [] if arguments[0] in {"demo", "emulator", "vault"} else ["--config", str(config)]
        ended = subprocess.run(
            [sys.executable, "-c", DRIVER, *arguments, "-vv", *self.form, *given],
            input=typed,
            check=False,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            env={**self.environment, **environment},
        )
        where = " ".join(["nhagent", *arguments, *self.form])
        assert ended.returncode == wanted, f"{where}: {ended.stdout}{ended.stderr}"
        key_file = self.folder / "vault.key"
        keys = (key_file.read_text().strip(),) if key_file.exists() else ()
        secrets = Secrets((*self.secrets.keys, *keys))
        secrets.check(ended.stdout, f"stdout of {where}")
        secrets.check(ended.stderr, f"stderr of {where}")
        if self.form:
            json.loads(ended.stdout)
        for path in (self.folder / "state").rglob("*"):
            if path.is_file():
                secrets.check_state(path.read_text(), str(path))
        return ended.stdout + ended.stderr

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)


def live(person: Person) -> None:
    """All commands, with the connection string from each of its sources in turn."""
    listen, full = person.hub.listen, person.hub.full
    person.run("status")
    person.run("register", wanted=78)
    person.run("vault", "init")
    person.run("vault", "init", wanted=78)
    person.run("login", typed=full, wanted=78)
    person.run("login", typed=listen)
    shown = person.run("plan")
    assert "urllib3.connectionpool DEBUG" in shown, "the logs of others are on, and say something"
    assert "registrations HTTP/" in shown
    person.run("register")
    person.run("doctor")
    person.hub.fail("GET", status=401, body=f"<Error><Detail>{quoting(listen, WNS)}</Detail></Error>")
    person.run("doctor", wanted=1)
    person.run("doctor", wanted=1, NHAGENT_CONNECTION_STRING=full)
    person.channel = '{ env = "PUSH_CHANNEL" }'
    person.run("register", "--timeout", "0", PUSH_CHANNEL=f"{WNS}&2", NHAGENT_CONNECTION_STRING=listen)
    person.run("status")
    secret = person.file("connection-string", listen)
    person.channel = f"{{ command = {json.dumps(['echo', f'{WNS}&3'])} }}"
    person.run("plan", NHAGENT_CONNECTION_STRING_FILE=secret)
    person.run("register", NHAGENT_CONNECTION_STRING_FILE=secret)
    person.file("nhagent.connection-string", listen)
    person.file("push", WNS)
    person.channel = '{ credential = "push" }'
    person.hub.fail("*", status=503, body=f"<Error><Detail>{quoting(listen, WNS)}</Detail></Error>", times=9)
    person.run("register", "--timeout", "0", wanted=75, CREDENTIALS_DIRECTORY=str(person.folder))
    person.hub.clear_faults()
    person.run("unregister", CREDENTIALS_DIRECTORY=str(person.folder))
    person.run("register")
    person.run("enable")
    person.run("logout")
    person.run("logout")


def stumble(person: Person) -> None:
    """What goes wrong before anything is sent, which is the same in both styles; and the demo."""
    listen = person.hub.listen
    person.run("demo")
    person.file("vault.key", VAULT_KEY)
    person.run("login", typed=f"{listen};x", wanted=78)
    person.run("register", wanted=78, NHAGENT_CONNECTION_STRING=f"{listen};{key_of(listen).rstrip('=')}")
    person.run("register", wanted=78, NHAGENT_CONNECTION_STRING_FILE=listen)
    person.channel = f"{{ valu = {json.dumps(WNS)} }}"
    person.run("register", wanted=78, NHAGENT_CONNECTION_STRING=listen)
    person.channel = f"{{ value = [{json.dumps(WNS)}] }}"
    person.run("register", wanted=78, NHAGENT_CONNECTION_STRING=listen)
    person.channel = f"{{ value = {json.dumps(WNS)}"
    person.run("register", wanted=78, NHAGENT_CONNECTION_STRING=listen)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_no_command_shows_a_secret(tmp_path: Path, style: str) -> None:
    forms = {"text": [], "json": ["--json"]}

    def play(name: str) -> None:
        with Emulator() as hub:
            person = Person(hub, tmp_path / name, style, forms[name])
            live(person)
            if style == "installation":
                stumble(person)

    with ThreadPoolExecutor(len(forms)) as people:
        for ended in [people.submit(play, name) for name in forms]:
            ended.result()


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_emulator_says_its_keys_once_and_nothing_of_its_callers(tmp_path: Path, form: list[str]) -> None:
    arguments = [sys.executable, "-c", DRIVER, "emulator", "-vv", *form]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        facts: dict[str, Any] = {}
        if form:
            facts = json.loads(process.stdout.readline())
        else:
            for _ in range(4):
                name, _, fact = process.stdout.readline().partition(":")
                facts[name] = fact.strip()
        with HubClient(facts["listen"], facts["hub"]) as client:
            client.put_installation(Installation("a", Platform.WNS, WNS))
            assert list(client.registrations_by_channel(WNS))
        process.terminate()
        out, err = process.communicate(timeout=HANG_SECONDS)
    secrets = Secrets((key_of(facts["listen"]), key_of(facts["full"])))
    secrets.check(out, "stdout")
    secrets.check(err, "stderr")
