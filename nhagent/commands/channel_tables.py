"""The tables of a configuration that say where a push channel comes from, and what is done with messages."""

from __future__ import annotations

import os

from nhagent.channels import simple
from nhagent.device import paths
from nhagent.errors import ConfigurationError
from nhagent.values import Value

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from nhagent.commands.toml_table import TomlTable
    from nhagent.models import RawChannel

SOURCES: Final = ("file", "command", "env", "value", "credential", "plugin", "webpush", "unifiedpush", "wns")
CHANNEL: Final = (*SOURCES, "pass_environment")
WEB_PUSH: Final = ("vapid_public_key", "server", "ca_bundle")
UNIFIED_PUSH: Final = ("vapid_public_key", "service")
OF_A_PLATFORM: Final[dict[str, tuple[str, ...]]] = {
    "webpush": WEB_PUSH,
    "unifiedpush": UNIFIED_PUSH,
    "wns": (),
}
"""The sources that are of one platform, and the keys of their tables."""
RECEIVE: Final = ("command", "timeout", "pass_environment")
TIMEOUT: Final = "30s"
"""How long a command that takes a message may run by default."""


class ReceiveCommand(Value):
    """What is done with a message that arrives.

    Attributes:
        arguments: the program that gets it on its standard input, and its arguments.
        seconds: how long it may run.
        variables: names of further environment variables that it gets.
    """

    arguments: tuple[str, ...]
    seconds: float
    variables: tuple[str, ...]


class ChannelTables:
    """Reads such tables of one configuration file.

    Args:
        path: the file's.
        folder: from where its relative paths go.
    """

    def __init__(self, path: str, folder: str) -> None:
        self._path = path
        self._folder = folder

    def path_in(self, table: TomlTable, key: str) -> str | None:
        """Read a path; None where there is none."""
        path = table.text(key, None)
        return None if path is None else self._whole(path, table.path(key))

    def source(self, table: TomlTable, tile_id: str | None = None) -> RawChannel | Callable[[], RawChannel]:
        """Read the one source that is given.

        Args:
            table: the table ``channel``.
            tile_id: the secondary tile whose channel it is; None: the device's own.
        """
        given = [key for key in table.given if key in SOURCES]
        if len(given) != 1:
            said = " and ".join(given) or "nothing"
            raise ConfigurationError(
                f"{table.name}: there is {said}", f"give exactly one of {', '.join(SOURCES)}"
            )
        if given != ["command"] and "pass_environment" in table.given:
            raise ConfigurationError(
                f"{table.name}.pass_environment: there is no command beside it",
                "remove it: it names what a command gets",
            )
        kind = given[0]
        if kind in OF_A_PLATFORM:
            if tile_id is not None and kind != "wns":
                raise ConfigurationError(
                    f"{table.path(kind)}: a tile has no such channel", "take another source for the tile"
                )
            return self._own(kind, table.table(kind, OF_A_PLATFORM[kind]), tile_id)
        match kind:
            case "file":
                return simple.from_file(str(self.path_in(table, "file")))
            case "command":
                return _from_command(table, self.command(table))
            case "env":
                return simple.from_environment(table.text("env"))
            case "credential":
                return simple.from_credential(table.text("credential"))
            case "plugin":
                self._check_trust(table, None)
                return simple.from_plugin(table.text("plugin"))
            case _:
                return table.channel("value")

    def receive(self, table: TomlTable, source: object) -> ReceiveCommand:
        """Read what is done with messages that arrive on a channel.

        Args:
            table: the table ``receive``.
            source: the channel's source.
        """
        if getattr(source, "receive", None) is None:
            raise ConfigurationError(
                f"{table.name}: nothing arrives on this channel here",
                "remove it, or take a channel of nhagent's own: webpush, unifiedpush",
            )
        from nhagent.commands.durations import read_duration

        command = self.command(table)
        seconds = read_duration(table.text("timeout", TIMEOUT), table.path("timeout")).total_seconds()
        if not seconds:
            raise ConfigurationError(f"{table.name}.timeout: is zero", "give the command some time")
        try:
            variables = simple.checked_variables(table.texts("pass_environment"))
        except ConfigurationError as error:
            raise error.at(table.name) from None
        return ReceiveCommand(tuple(command), seconds, variables)

    def _own(self, kind: str, table: TomlTable, tile_id: str | None) -> Callable[[], RawChannel]:
        """Make a source that obtains a push channel by itself."""
        from nhagent import channels
        from nhagent.channels.push_settings import MOZILLA

        try:
            if kind == "wns":
                return channels.WnsChannel(tile_id)
            key = table.text("vapid_public_key")
            if kind == "unifiedpush":
                return channels.UnifiedPushChannel(key, table.text("service"))
            server, ca_bundle = table.text("server", MOZILLA), self.path_in(table, "ca_bundle")
            return channels.WebPushChannel(key, server=server, ca_bundle=ca_bundle)
        except ConfigurationError as error:
            raise error if table.name in error.fact else error.at(table.name) from None

    def command(self, table: TomlTable, key: str = "command") -> list[str]:
        """Read a command, whose program is a path where it has a slash, else found in $PATH."""
        command = table.texts(key)
        if not command:
            raise ConfigurationError(f"{table.name}.{key}: is empty", "give a program and its arguments")
        if "/" in command[0] or os.sep in command[0]:
            command[:1] = [self._whole(command[0], f"{table.name}.{key}")]
        self._check_trust(table, command[0], key)
        return command

    def _whole(self, path: str, name: str) -> str:
        """Give a path of the file's as it is meant: from its folder on, or from somebody's home folder."""
        if path.startswith("~"):
            path = paths.from_home(name, path)
        return os.path.join(self._folder, path)

    def _check_trust(self, table: TomlTable, program: str | None, key: str = "command") -> None:
        """Refuse to run for root what others could have written into the configuration, or the program."""
        from nhagent.channels.trust import check_written_by_root

        check_written_by_root(f"configuration of {table.name}", self._path)
        if program is not None:
            check_written_by_root(f"{table.name}.{key}", program)


def _from_command(table: TomlTable, command: list[str]) -> Callable[[], RawChannel]:
    names: Any = table.texts("pass_environment")
    try:
        return simple.from_command(command, pass_environment=names)
    except ConfigurationError as error:
        raise error.at(table.name) from None
