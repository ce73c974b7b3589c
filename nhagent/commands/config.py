"""The configuration file, and the agent that it describes.

The file is the whole declaration: what is not in it is not declared. Paths in it may begin with ``~``;
relative ones are relative to its folder.
"""

from __future__ import annotations

import os

from nhagent import validation
from nhagent.channels import simple
from nhagent.commands.toml_table import TomlTable, read_toml
from nhagent.device import paths
from nhagent.errors import ConfigurationError
from nhagent.models import SecondaryTile, Template
from nhagent.reconcile.settings import LONGEST
from nhagent.values import Value

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from typing import Any, Final

    from nhagent.agent import Agent
    from nhagent.models import RawChannel

_TOP: Final = ("app", "hub", "device", "channel", "templates", "tiles", "refresh")
_HUB: Final = ("name", "style", "endpoint", "ca_bundle", "allow_full_access")
_DEVICE: Final = (
    "platform",
    "tags",
    "initial_tags",
    "user_id",
    "push_variables",
    "expires_after",
    "owns_tags",
    "installation_id",
)
_SOURCES: Final = ("file", "command", "env", "value", "credential", "plugin")
_CHANNEL: Final = (*_SOURCES, "pass_environment")
_TEMPLATE: Final = ("body", "headers", "tags", "expiry")
_TILE: Final = ("channel", "tags", "templates")
_REFRESH: Final = ("every", "startup_spread")
_TABLES: Final = {
    "": _TOP,
    "hub": _HUB,
    "device": _DEVICE,
    "channel": _CHANNEL,
    "refresh": _REFRESH,
    "templates.NAME": _TEMPLATE,
    "tiles.ID": _TILE,
}
"""The keys of each table, by its name."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds in each unit of a duration."""


class ConfigurationFile:
    """A configuration file that was read, and whose tables are looked at part by part.

    Args:
        given: the file's path; None: $NHAGENT_CONFIG, ``/etc/nhagent/config.toml``, or the user's.

    Attributes:
        path: the file's.
        top: all of it.

    Raises:
        ConfigurationError: the file is missing, cannot be read, is not valid TOML, or has an unknown key.
            The methods raise it for whatever else is wrong in it.
    """

    def __init__(self, given: str | None) -> None:
        self.path = paths.config_file(given)
        self._folder = os.path.dirname(os.path.abspath(self.path))
        try:
            self.top = TomlTable(read_toml(self.path), "", _TOP, _place_of)
        except ConfigurationError as error:
            raise self.located(error) from error.__cause__

    def located(self, error: ConfigurationError) -> ConfigurationError:
        """Give an error that names the file."""
        return error.at(f"configuration file {self.path}")

    def agent_arguments(self) -> dict[str, Any]:
        """Read the arguments of `nhagent.agent.Agent`."""
        top = self.top
        hub = top.table("hub", _HUB)
        device = top.table("device", _DEVICE)
        refresh = top.table("refresh", _REFRESH, {})
        return {
            "app": top.text("app"),
            "hub": hub.text("name"),
            "style": hub.text("style", "installation"),
            "endpoint": hub.text("endpoint", None),
            "ca_bundle": self._path_in(hub, "ca_bundle"),
            "allow_full_access": hub.boolean("allow_full_access", default=False),
            "platform": device.text("platform"),
            **_tags_of(device),
            "user_id": device.text("user_id", "") or None,
            "push_variables": device.text_map("push_variables"),
            "expires_after": _duration(device, "expires_after", None),
            "owns_tags": device.boolean("owns_tags", default=True),
            "installation_id": device.text("installation_id", None),
            "channel": self._channel(top.table("channel", _CHANNEL)),
            "templates": _templates(top),
            "secondary_tiles": {
                tile_id: self._tile(tile) for tile_id, tile in top.tables("tiles", _TILE).items()
            },
            "refresh_every": _duration(refresh, "every", "1d"),
            "startup_spread": _duration(refresh, "startup_spread", "0s"),
        }

    def channel_files(self) -> Iterator[tuple[str | None, str]]:
        """Give the files that push channels are read from.

        Yields:
            The id of the channel's tile, or None for the device's own channel, and the path.
        """
        owners: list[tuple[str | None, TomlTable]] = [(None, self.top)]
        owners += self.top.tables("tiles", _TILE).items()
        for tile_id, owner in owners:
            path = self._path_in(owner.table("channel", _CHANNEL), "file")
            if path is not None:
                yield tile_id, path

    def _path_in(self, table: TomlTable, key: str) -> str | None:
        path = table.text(key, None)
        return None if path is None else self._whole(path, table.path(key))

    def _whole(self, path: str, name: str) -> str:
        """Give a path of the file's as it is meant: from its folder on, or from somebody's home folder."""
        if path.startswith("~"):
            path = paths.from_home(name, path)
        return os.path.join(self._folder, path)

    def _command(self, table: TomlTable) -> Callable[[], RawChannel]:
        """Read a command, whose program is a path where it has a slash, else found in $PATH."""
        command = table.texts("command")
        if not command:
            raise ConfigurationError(f"{table.name}.command: is empty", "give a program and its arguments")
        if "/" in command[0] or os.sep in command[0]:
            command[:1] = [self._whole(command[0], f"{table.name}.command")]
        self._check_trust(table, command[0])
        return _command(table, command)

    def _channel(self, table: TomlTable) -> RawChannel | Callable[[], RawChannel]:
        """Read the one source that is given."""
        given = [key for key in table.given if key in _SOURCES]
        if len(given) != 1:
            said = " and ".join(given) or "nothing"
            raise ConfigurationError(
                f"{table.name}: there is {said}", f"give exactly one of {', '.join(_SOURCES)}"
            )
        if given != ["command"] and "pass_environment" in table.given:
            raise ConfigurationError(
                f"{table.name}.pass_environment: there is no command beside it",
                "remove it: it names what a command gets",
            )
        match given[0]:
            case "file":
                return simple.from_file(str(self._path_in(table, "file")))
            case "command":
                return self._command(table)
            case "env":
                return simple.from_environment(table.text("env"))
            case "credential":
                return simple.from_credential(table.text("credential"))
            case "plugin":
                self._check_trust(table, None)
                return simple.from_plugin(table.text("plugin"))
            case _:
                return table.channel("value")

    def _check_trust(self, table: TomlTable, program: str | None) -> None:
        """Refuse to run for root what others could have written into the configuration, or the program."""
        from nhagent.channels.trust import check_written_by_root

        check_written_by_root(f"configuration of {table.name}", self.path)
        if program is not None:
            check_written_by_root(f"{table.name}.command", program)

    def _tile(self, table: TomlTable) -> SecondaryTile:
        channel = self._channel(table.table("channel", _CHANNEL))
        if not isinstance(channel, str) and not callable(channel):
            raise ConfigurationError(
                f"{table.name}.channel.value: is a table", "give the push channel as text"
            )
        return SecondaryTile(channel=channel, tags=tuple(table.texts("tags")), templates=_templates(table))


def read_agent(given: str | None) -> Agent:
    """Make the agent that a configuration file describes.

    Args:
        given: the file's path; None: $NHAGENT_CONFIG, ``/etc/nhagent/config.toml``, or the user's.

    Returns:
        The agent; nothing was sent yet.

    Raises:
        ConfigurationError: there is no such file, or something in it is wrong.
        CredentialError: as `nhagent.agent.Agent`.
    """
    from nhagent.agent import Agent

    file = ConfigurationFile(given)
    try:
        return Agent(**file.agent_arguments())
    except ConfigurationError as error:
        raise file.located(error) from error.__cause__


class Login(Value):
    """What a connection string is stored for.

    Attributes:
        app: the app's name.
        hub: the hub's name.
        allow_full_access: whether it may do more than listen.
    """

    app: str
    hub: str
    allow_full_access: bool


def read_login(given: str | None) -> Login:
    """Read for which app and hub a configuration file's connection string is stored.

    Args:
        given: the file's path; None: as `read_agent`.

    Returns:
        The app, the hub, and what the connection string may do.

    Raises:
        ConfigurationError: there is no such file, or something in what is read of it is wrong.
    """
    file = ConfigurationFile(given)
    try:
        hub = file.top.table("hub", _HUB)
        return Login(
            validation.checked_app_name(file.top.text("app")),
            validation.checked_hub_name(hub.text("name")),
            hub.boolean("allow_full_access", default=False),
        )
    except ConfigurationError as error:
        raise file.located(error) from error.__cause__


def read_duration(text: str, name: str) -> timedelta:
    """Read a duration such as ``90d``, ``1d12h`` or ``0s``.

    Args:
        text: the duration: numbers, each with its unit: s, m, h, d or w.
        name: what it is for, for the error.

    Returns:
        The duration.

    Raises:
        ConfigurationError: it is not a duration, or is longer than a hundred years.
    """
    from datetime import timedelta

    validation.check_setting(name, text)
    seconds = 0.0
    parts = _numbers_and_units(text)
    shown = text if len(text) <= validation.MAX_SHOWN_CHARACTERS else f"{len(text)} characters"
    for number, unit in parts:
        if not _is_decimal(number) or unit not in _SECONDS:
            parts = []
            break
        seconds += float(number) * _SECONDS[unit]
    if not parts:
        raise ConfigurationError(f'{name} "{shown}": is not a duration', "write 30s, 15m, 12h, 1d or 2w")
    if seconds > LONGEST.total_seconds():
        raise ConfigurationError(f'{name} "{shown}": is longer than a hundred years', "write a shorter one")
    return timedelta(seconds=seconds)


def _numbers_and_units(text: str) -> list[tuple[str, str]]:
    """Part text after each character that is not of a number; a regular expression costs more at a start."""
    parts = []
    number = ""
    for character in text:
        if character.isdecimal() or character == ".":
            number += character
        else:
            parts.append((number, character))
            number = ""
    return [*parts, (number, "")] if number else parts


def _is_decimal(number: str) -> bool:
    whole, point, fraction = number.partition(".")
    return whole.isdecimal() and (fraction.isdecimal() if point else True)


def _place_of(table: str, key: str) -> str | None:
    """Say where a key belongs that stands in a table that has none of its name."""
    from nhagent.commands.misplaced import place_of

    return place_of(_TABLES, table, key)


def _duration(table: TomlTable, key: str, default: str | None) -> timedelta | None:
    text = table.text(key, default)
    return None if text is None else read_duration(text, table.path(key))


def _command(table: TomlTable, command: list[str]) -> Callable[[], RawChannel]:
    names = table.texts("pass_environment")
    try:
        return simple.from_command(command, pass_environment=names)
    except ConfigurationError as error:
        raise error.at(table.name) from None


def _tags_of(device: TomlTable) -> dict[str, list[str] | None]:
    """Give the tags; with initial ones alone the device's own are left to what is stored."""
    if "initial_tags" not in device.given:
        return {"tags": device.texts("tags")}
    tags = device.texts("tags") if "tags" in device.given else None
    return {"tags": tags, "initial_tags": device.texts("initial_tags")}


def _templates(owner: TomlTable) -> dict[str, Template]:
    return {
        name: Template(
            body=table.text("body"),
            headers=table.text_map("headers"),
            tags=tuple(table.texts("tags")),
            expiry=table.text("expiry", None),
        )
        for name, table in owner.tables("templates", _TEMPLATE).items()
    }
