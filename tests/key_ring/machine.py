"""A machine for each test: folders and an environment of its own, and processes that run in them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any

from nhagent import errors
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS

ROOT = Path(__file__).parents[2]
OF_THE_SYSTEM = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LD_LIBRARY_PATH")
SECONDS = HANG_SECONDS

CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
[device]
platform = "wns"
[channel]
file = "channel"
"""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        assert self.out.count("\n") == 1, self
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.document["error"]
        return error


_NUMBERS = itertools.count()


class Machine:
    """Folders and an environment that no test shares, and nothing of the machine that runs the tests.

    Attributes:
        environment: of every process that is started from now on.
        shown: all that commands and errors have shown.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Sockets have short names: pytest's own folders are too deep for them.
        self.runtime = Path(tempfile.gettempdir(), f"nhagent-{os.getpid()}-{next(_NUMBERS)}")
        self.environment = {name: os.environ[name] for name in OF_THE_SYSTEM if name in os.environ}
        self.environment |= {
            "HOME": str(folder / "home"),
            "USERPROFILE": str(folder / "home"),
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "settings"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error::ResourceWarning",
            "NHAGENT_CONFIG": str(folder / "config.toml"),
            "NHAGENT_STATE_DIR": str(folder / "state"),
        }
        (folder / "home").mkdir(parents=True)
        self.shown: list[str] = []

    @property
    def vault_file(self) -> Path:
        return self.folder / "state" / "vault.json"

    def has_vault(self, *, to_be_found: bool = True) -> Path:
        """Give it the key of a vault, such as ``nhagent vault init`` makes.

        Args:
            to_be_found: let nhagent look for what there is; else the vault is named, which is sooner done.
        """
        key_file = self.folder / "keys" / "vault.key"
        self.environment["NHAGENT_VAULT_KEY_FILE"] = str(key_file)
        if sys.platform != "linux" or not to_be_found:  # what the others have themselves would come first
            self.takes("nhagent.device.vault.Vault")
        key_file.parent.mkdir(mode=0o700)
        key_file.touch(mode=0o600)
        key_file.write_bytes(b64encode(os.urandom(32)) + b"\n")
        return key_file

    def has_key_rings(self, **priorities: float) -> None:
        """Install a package of key rings: those of `backends` that are named, at these priorities."""
        package = self.folder / "packages" / "key_rings_of_others-1.dist-info"
        package.mkdir(parents=True, exist_ok=True)
        (package / "METADATA").write_text("Metadata-Version: 2.1\nName: key-rings-of-others\nVersion: 1\n")
        (package / "entry_points.txt").write_text("[keyring.backends]\nothers = tests.key_ring.backends\n")
        self.environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(package.parent)))
        self.environment["INSTALLED_KEY_RINGS"] = json.dumps(priorities)

    def takes(self, backend: str, **properties: str) -> None:
        """Choose one of `backends`, or any by its full name, with properties as keyring reads them."""
        name = backend if "." in backend else f"tests.key_ring.backends.{backend}"
        self.environment["PYTHON_KEYRING_BACKEND"] = name
        self.environment |= {f"KEYRING_PROPERTY_{key.upper()}": value for key, value in properties.items()}

    def belongs_to(self, hub: Emulator, *, app: str = "thermostat") -> None:
        """Configure it for a hub."""
        config = CONFIG.replace("HUB", hub.hub).replace("thermostat", app)
        (self.folder / "config.toml").write_text(config)
        self.has_channel("https://push.example/1")

    def has_channel(self, channel: str) -> None:
        (self.folder / "channel").write_text(channel)

    def run(self, *arguments: str, stdin: str | bytes = "") -> Ran:
        """Run the command to its end."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        done = self.python("-m", "nhagent", *arguments, stdin=given)
        self.shown += [done.out, done.err]
        return done

    def python(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run a Python of its own to its end, without a terminal that a prompt could find."""
        done = subprocess.run(
            [sys.executable, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.folder,
            start_new_session=True,
            timeout=SECONDS,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def process(self) -> Iterator[KeyRingProcess]:
        """A process that asks its key ring."""
        with (
            open(self.folder / "stderr", "w+") as stderr,
            subprocess.Popen(
                [sys.executable, "-m", "tests.key_ring.driver"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            ) as driver,
        ):
            assert driver.stdin is not None and driver.stdout is not None
            with killed_after(SECONDS, driver):
                yield KeyRingProcess(driver.stdin, driver.stdout, self.shown)
                driver.stdin.close()
                assert driver.wait() == 0, Path(stderr.name).read_text()
            self.shown.append(Path(stderr.name).read_text())

    def find(self, app: str = "thermostat", hub: str = "my-hub", **options: float) -> str:
        """The connection string that a new process finds."""
        with self.process() as process:
            return process.find(app, hub, **options)

    def store(self, text: str, app: str = "thermostat", hub: str = "my-hub", **options: float) -> str:
        """Let a new process store one, and give the key ring's name."""
        with self.process() as process:
            return process.store(app, hub, text, **options)

    def remove(self, app: str = "thermostat", hub: str = "my-hub", **options: float) -> list[str]:
        """Let a new process remove one, and give the names of the key rings that held it."""
        with self.process() as process:
            return process.remove(app, hub, **options)

    def all_it_keeps(self) -> bytes:
        """Every byte on its disk."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file())


class KeyRingProcess:
    """A process that asks its key ring. What it raised is raised here too, if it is an error of ours."""

    def __init__(self, questions: IO[str], answers: IO[str], shown: list[str]) -> None:
        self._questions = questions
        self._answers = answers
        self._shown = shown

    def find(self, app: str, hub: str, **options: float) -> str:
        found = self._ask("find", app, hub, **options)
        self._shown += [found["source"], found["repr"]]
        text: str = found["text"]
        return text

    def store(self, app: str, hub: str, text: str, **options: float) -> str:
        name: str = self._ask("store", app, hub, text, **options)
        self._shown.append(name)
        return name

    def remove(self, app: str, hub: str, **options: float) -> list[str]:
        names: list[str] = self._ask("remove", app, hub, **options)
        return names

    def threads(self) -> int:
        """How many threads it has."""
        number: int = self._ask("threads")
        return number

    def _ask(self, call: str, *arguments: str, **options: float) -> Any:
        print(
            json.dumps({"call": call, "arguments": arguments, "options": options}),
            file=self._questions,
            flush=True,
        )
        line = self._answers.readline()
        assert line, "another error than ours ended the process"
        answer = json.loads(line)
        if "error" not in answer:
            return answer["answer"]
        self._shown += [answer["message"], answer["trace"]]
        error: errors.CredentialError = getattr(errors, answer["error"])(answer["message"])
        raise error


@contextmanager
def killed_after(seconds: float, process: subprocess.Popen[Any]) -> Iterator[None]:
    """A process that hangs must not hang the tests."""
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def key_of(connection_string: str) -> str:
    """The secret in a connection string."""
    return connection_string.partition("SharedAccessKey=")[2].partition(";")[0]
