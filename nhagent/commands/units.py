"""``nhagent units``: the units of ``systemd/``, installed, listed and removed.

No link is followed, and nothing that somebody has edited is overwritten or removed: an installed unit ends
with the digest of what stands above.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from nhagent.device import paths
from nhagent.errors import ConfigurationError
from nhagent.values import Value
from nhagent.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSTEM_FOLDER: Final = "/etc/systemd/system"
PACKAGED_FOLDER: Final = "/usr/lib/systemd/system"
"""Where the distribution's package manager puts units."""
PROGRAM: Final = "/usr/bin/nhagent"
"""Stands in the units for this command, wherever it was installed."""
DAEMON: Final = "nhagent.service"
"""The unit that is started."""
STARTED: Final = (DAEMON, "nhagent-refresh.timer", "nhagent-registered.service", "nhagent-registered.target")
"""Units that are stopped before they are removed."""
ENDINGS: Final = (".service", ".timer", ".target")
MAX_UNIT_BYTES: Final = 64 * 1024
SYSTEMCTL_SECONDS: Final = 60.0
"""How long systemctl may take."""
HIDDEN_FROM_SERVICES: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - none is used
"""What the units' sandbox hides from the command."""
_MARK: Final = "# Installed by nhagent"


class Installed(Value):
    """A unit, and how it stands in the folder of units.

    Attributes:
        name: its file's.
        path: where it is, or would be.
        state: ``missing``, ``installed``, ``older`` (of another version, and not edited), ``edited``,
            ``packaged`` (the package manager's), or ``link`` for whatever is no regular file.
    """

    name: str
    path: str
    state: str


def units(*, install: bool, remove: bool, user: bool) -> tuple[bool, dict[str, Any], str]:
    """Install, remove or list the units.

    Args:
        install: install them, and start the daemon.
        remove: stop and remove them.
        user: those of the user's own manager rather than the system's.

    Returns:
        Whether all was done, the object for ``--json``, and the text for people.

    Raises:
        ConfigurationError: that is not possible here, and why.
    """
    folder = Path(paths.users_unit_folder() if user else SYSTEM_FOLDER)
    try:
        program = program_for(user=user)
    except ConfigurationError:
        if install:
            raise
        program = PROGRAM  # what is there can be looked at and removed all the same
    shelf = Shelf(shipped(user=user), folder, program)
    packaged = () if user else _packaged(shelf)
    systemctl = Systemctl(user=user)
    lines: list[str] = []
    if install:
        config = paths.users_config_file() if user else paths.SYSTEM_CONFIG
        lines = _install(shelf, systemctl, config, is_packaged=bool(packaged))
    elif remove:
        lines = _remove(shelf, systemctl)
    found = [*packaged, *(unit for unit in shelf.look() if not packaged or unit.state != "missing")]
    width = max(len(unit.name) for unit in found)
    lines += [f"{unit.name:<{width}}  {unit.state:<9}  {unit.path}" for unit in found]
    document = {
        "units": [{"name": unit.name, "path": unit.path, "state": unit.state} for unit in found],
        "commands": systemctl.done,
        "failed": systemctl.told,
        "error": None,
    }
    return not systemctl.told, document, "\n".join([*systemctl.told, *lines])


def shipped(*, user: bool) -> dict[str, str]:
    """Give the units that nhagent was installed with: their texts, by file name.

    Args:
        user: those for the user's own manager.

    Raises:
        ConfigurationError: they were not installed with it.
    """
    for folder in _shelves():
        place = folder / "user" if user else folder
        if (place / DAEMON).is_file():
            files = sorted(path for path in place.iterdir() if path.suffix in ENDINGS)
            return {path.name: path.read_text("utf-8") for path in files}
    raise ConfigurationError(
        "units: were not installed with nhagent", "take them from systemd/ in its source archive"
    )


def program_for(*, user: bool, called: str = sys.argv[0], python: str = sys.executable) -> str:
    """Name the command that the units run: this one.

    Args:
        user: for the user's own manager, which hides nothing from it.
        called: how this process was called.
        python: the interpreter that runs it.

    Raises:
        ConfigurationError: a service of the system's could not run it from where it is.
    """
    path = Path(called).absolute()
    if path.name != "nhagent" or not os.access(path, os.X_OK):
        from shutil import which

        found = which("nhagent")
        if found is None:
            raise ConfigurationError("nhagent: is not a command here", "install it with pip")
        path = Path(found).absolute()
    if not user:
        for needed in (path, path.resolve(), Path(python).resolve()):
            _check_open_to_services(needed)
    return str(path)


class Shelf:
    """The folder where units are installed.

    Args:
        texts: the units, by file name.
        folder: where they go.
        program: the path of the command that they run.
    """

    def __init__(self, texts: dict[str, str], folder: Path, program: str) -> None:
        self._folder = folder
        self._texts = {name: text.replace(PROGRAM, program) for name, text in texts.items()}
        self._plain = texts

    def look(self) -> list[Installed]:
        """Look how each unit stands."""
        return [Installed(name, str(self._folder / name), self._state(name)) for name in self._texts]

    def install(self, name: str) -> None:
        """Put a unit into its place, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        body = self._texts[name]
        mark = f"{_MARK} {__version__}, which neither replaces nor removes an edited file: {_digest(body)}\n"
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        temporary = self._folder / f".{name}.{token_hex(4)}"
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(body + mark)
            temporary.chmod(0o644)
            temporary.replace(self._folder / name)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a unit.

        Raises:
            OSError: it cannot be removed.
        """
        (self._folder / name).unlink()

    def _state(self, name: str) -> str:
        path = self._folder / name
        if not os.path.lexists(path):
            return "missing"
        if path.is_symlink() or not path.is_file():
            return "link"
        with path.open("rb") as file:
            text = file.read(MAX_UNIT_BYTES).decode("utf-8", "replace")
        body, mark, rest = text.rpartition(_MARK)
        if not mark:
            return "installed" if text in {self._texts[name], self._plain[name]} else "edited"
        if rest.rstrip("\n").rpartition(" ")[2] != _digest(body):
            return "edited"
        return "installed" if body in {self._texts[name], self._plain[name]} else "older"


def _packaged(shelf: Shelf) -> list[Installed]:
    """The units that the distribution's package manager has brought."""
    found = [(unit.name, f"{PACKAGED_FOLDER}/{unit.name}") for unit in shelf.look()]
    return [Installed(name, path, "packaged") for name, path in found if Path(path).exists()]


def _install(shelf: Shelf, systemctl: Systemctl, config: str, *, is_packaged: bool) -> list[str]:
    lines: list[str] = []
    for unit in () if is_packaged else shelf.look():
        if unit.state in {"edited", "link"}:
            lines.append(f"{unit.path}: {_why_left(unit)}, and was left alone")
        else:
            _touching(unit, shelf.install)
    systemctl.run("daemon-reload")
    if os.path.lexists(config):
        systemctl.run("enable", "--now", "--no-block", DAEMON)
    else:  # without it the daemon would end with 78 at once
        lines.append(f"{DAEMON}: not started: {config} is not there, nhagent init writes it")
    return lines


def _remove(shelf: Shelf, systemctl: Systemctl) -> list[str]:
    present = [unit for unit in shelf.look() if unit.state != "missing"]
    ours = [unit for unit in present if unit.state in {"installed", "older"}]
    names = [unit.name for unit in ours if unit.name in STARTED]
    if names:
        systemctl.run("disable", "--now", *names)
    for unit in ours:
        _touching(unit, shelf.remove)
    systemctl.run("daemon-reload")
    return [f"{unit.path}: {_why_left(unit)}, and was left alone" for unit in present if unit not in ours]


def _touching(unit: Installed, change: Callable[[str], None]) -> None:
    try:
        change(unit.name)
    except OSError as error:
        raise ConfigurationError(
            f"{unit.path}: cannot be changed ({error.strerror})",
            "run this as root, or for the user's own manager with --user",
        ) from None


def _why_left(unit: Installed) -> str:
    return "is not a regular file" if unit.state == "link" else "was edited"


class Systemctl:
    """Runs systemctl, command by command; what fails is told, and left to a person.

    Args:
        user: talk to the user's own manager.

    Attributes:
        done: the commands that were run.
        told: of those that failed, why.
    """

    def __init__(self, *, user: bool) -> None:
        from shutil import which

        self._program = which("systemctl")
        self._manager = ["--user"] if user else []
        self.done: list[str] = []
        self.told: list[str] = []

    def run(self, *arguments: str) -> None:
        """Run it with arguments."""
        command = " ".join(("systemctl", *self._manager, *arguments))
        self.done.append(command)
        failure = self._failure_of(arguments)
        if failure is not None:
            self.told.append(f"{command}: {failure}; run it by hand")

    def _failure_of(self, arguments: tuple[str, ...]) -> str | None:
        from nhagent.channels import child

        if self._program is None:
            return "there is no systemctl here"
        try:
            ended = child.run(
                [self._program, *self._manager, *arguments],
                seconds=SYSTEMCTL_SECONDS,
                cap=MAX_UNIT_BYTES,
                environment=child.environment(),
            )
        except child.ChildFailed as error:
            return error.fact
        return f"failed with status {ended.status}" if ended.status else None


def _shelves() -> Iterator[Path]:
    """Where the units may have been put when nhagent was installed: beside it, or among its shared data."""
    import nhagent

    package = Path(nhagent.__file__).parent
    yield package.parent / "systemd"  # a checkout
    from importlib.metadata import PackageNotFoundError, files

    try:
        for file in files("nhagent") or ():
            if file.name == DAEMON and file.parent.name == "systemd":
                yield Path(str(file.locate())).resolve().parent
    except PackageNotFoundError:
        pass
    yield Path(sys.prefix, "share/nhagent/systemd")


def _check_open_to_services(path: Path) -> None:
    hint = (
        "install nhagent where every user can read it: python3 -m venv /opt/nhagent && "
        "/opt/nhagent/bin/pip install nhagent, then /opt/nhagent/bin/nhagent units --install"
    )
    if any(path.is_relative_to(folder) for folder in HIDDEN_FROM_SERVICES):
        raise ConfigurationError(f"{path}: is hidden from services", hint)
    if any(not part.stat().st_mode & 0o001 for part in (path, *path.parents)):
        raise ConfigurationError(f"{path}: cannot be run by the user of a service", hint)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
