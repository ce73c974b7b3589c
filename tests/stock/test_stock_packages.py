"""On what the distribution ships: its Python, and its packages of what nhagent depends on, without pip."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.events import HANG_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PYTHON = Path("/usr/bin/python3")
PACKAGES = Path("/usr/lib/python3/dist-packages")
NAMES = ("requests", "keyring", "appdirs", "cryptography")
HUB = "stock-hub"

VERSIONS = """
import importlib, importlib.metadata, json, sys
names = sys.argv[1:]
print(json.dumps({n: (importlib.import_module(n).__file__, importlib.metadata.version(n)) for n in names}))
"""
CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}", ca_bundle = "{ca}" }}
device = {{ platform = "wns", tags = ["kitchen"] }}
channel = {{ value = "https://push.example/1" }}
"""


def setup_cfg() -> ConfigParser:
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def cannot(reason: str) -> NoReturn:
    """Skip the test; under ``NHAGENT_CI=1``, where what it needs is installed, fail it."""
    if os.environ.get("NHAGENT_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


class Stock:
    """A user of the distribution's Python, with folders of their own and nothing of pip's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        packages = folder / "packages"
        # As a package of the distribution would install it: the code, and what it announces.
        facts = packages / "nhagent-0.dist-info"
        facts.mkdir(parents=True)
        (packages / "nhagent").symlink_to(ROOT / "nhagent")
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: nhagent\nVersion: 0\n")
        announced = lines(setup_cfg()["options.entry_points"]["keyring.backends"])
        (facts / "entry_points.txt").write_text("\n".join(["[keyring.backends]", *announced, ""]))
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NHAGENT_CONFIG": str(self.config),
            "NHAGENT_STATE_DIR": str(folder / "state"),
        }

    def python(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        """Run it without the user's packages, and give what it printed."""
        result = subprocess.run(
            [str(PYTHON), "-s", "-P", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANG_SECONDS,
            cwd=self.folder,
            env={**self.environment, **environment},
        )
        assert result.returncode == 0, result.stderr + result.stdout
        return result.stdout

    def run(self, *arguments: str, stdin: str = "", **environment: str) -> dict[str, Any]:
        """Run the command."""
        given = ("-m", "nhagent", *arguments, "--json")
        document: dict[str, Any] = json.loads(self.python(*given, stdin=stdin, **environment))
        return document

    @contextmanager
    def emulator(self) -> Iterator[dict[str, str]]:
        """A hub over TLS, on the same packages; the device is configured for it."""
        command = [str(PYTHON), "-s", "-P", "-m", "nhagent", "emulator", "--tls", "--json", "--hub", HUB]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=self.folder, env=self.environment
        ) as process:
            try:
                assert process.stdout is not None
                facts: dict[str, str] = json.loads(process.stdout.readline())
                self.config.write_text(CONFIG.format(hub=HUB, ca=facts["ca"]))
                yield facts
            finally:
                process.terminate()


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    if sys.platform != "linux" or platform.freedesktop_os_release().get("ID") != "debian":
        pytest.skip("what Debian ships is tested on Debian")
    if not PYTHON.exists():
        cannot("python3 is not installed: apt-get install python3")
    version = subprocess.run([str(PYTHON), "-V"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (3, 11):
        pytest.skip(f"this Debian's {version.strip()} is older than 3.11")
    for name in NAMES:
        if not list(PACKAGES.glob(f"{name}*")):
            cannot(f"python3-{name} is not installed: apt-get install python3-{name}")
    return Stock(tmp_path)


def test_packages_are_the_distributions_and_no_older_than_the_floors(stock: Stock) -> None:
    found: dict[str, list[str]] = json.loads(stock.python("-c", VERSIONS, *NAMES))
    required = lines(setup_cfg()["options"]["install_requires"])
    floors = {name: floor for name, _, floor in (line.partition(" >= ") for line in required)}
    assert floors.keys() == set(NAMES)
    for name, (file, version) in found.items():
        print(f"{name} {version}")
        assert file.startswith(f"{PACKAGES}/")
        have, floor = ([int(part) for part in re.findall(r"\d+", text)] for text in (version, floors[name]))
        assert have >= floor
        if platform.freedesktop_os_release()["VERSION_ID"] == "12":  # where every floor is what is tested
            assert have[: len(floor)] == floor


def test_demo_runs(stock: Stock) -> None:
    assert stock.run("demo")["error"] is None


def test_device_registers_over_tls_and_then_sends_nothing(stock: Stock) -> None:
    with stock.emulator() as hub:
        for outcome in ("registered", "unchanged"):
            report = stock.run("register", NHAGENT_CONNECTION_STRING=hub["listen"])
            assert (report["outcome"], report["error"]) == (outcome, None)


def test_vault_keeps_the_connection_string(stock: Stock) -> None:
    with stock.emulator() as hub:
        stock.run("vault", "init")
        assert stock.run("login", stdin=hub["listen"])["key_ring"] == "Vault"
        assert stock.run("register")["outcome"] == "registered"
        assert stock.run("logout")["removed_from"] == ["Vault"]
