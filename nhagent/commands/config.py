"""The configuration file, and the agent that it describes.

The file is the whole declaration: what is not in it is not declared. Paths in it may begin with ``~``;
relative ones are relative to its folder.
"""

from __future__ import annotations

import os

from nhagent import validation
from nhagent.commands.channel_tables import (
    CHANNEL,
    OF_A_PLATFORM,
    RECEIVE,
    UNIFIED_PUSH,
    WEB_PUSH,
    ChannelTables,
)
from nhagent.commands.toml_table import TomlTable, read_toml
from nhagent.device import paths
from nhagent.errors import ConfigurationError
from nhagent.models import SecondaryTile, Template
from nhagent.values import Value

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from typing import Any, Final

    from nhagent.agent import Agent
    from nhagent.commands.channel_tables import ReceiveCommand
    from nhagent.hub.backend import Backend

_TOP: Final = (
    *("app", "hub", "backend", "device", "channel", "receive"),
    *("hooks", "metrics", "templates", "tiles", "refresh"),
)
_HUB: Final = ("name", "style", "endpoint", "ca_bundle", "allow_full_access")
_BACKEND: Final = (
    "name",
    "url",
    "token_file",
    "token_credential",
    "client_cert",
    "client_key",
    "ca_bundle",
)
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
_TEMPLATE: Final = ("body", "headers", "tags", "expiry")
_TILE: Final = ("channel", "tags", "templates")
_HOOKS: Final = ("on_registered", "on_error", "timeout", "pass_environment")
_METRICS: Final = ("file",)
_REFRESH: Final = ("every", "startup_spread")
_TABLES: Final = {
    "": _TOP,
    "hub": _HUB,
    "backend": _BACKEND,
    "device": _DEVICE,
    "channel": CHANNEL,
    "channel.webpush": WEB_PUSH,
    "channel.unifiedpush": UNIFIED_PUSH,
    "receive": RECEIVE,
    "hooks": _HOOKS,
    "metrics": _METRICS,
    "refresh": _REFRESH,
    "templates.NAME": _TEMPLATE,
    "tiles.ID": _TILE,
}
"""The keys of each table, by its name."""


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
        self._channels = ChannelTables(self.path, os.path.dirname(os.path.abspath(self.path)))
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
        if "backend" not in top.given:
            top.table("hub", _HUB)  # told before anything else where it is missing
        app = top.text("app")
        where = self._where(top)
        device = top.table("device", _DEVICE)
        refresh = top.table("refresh", _REFRESH, {})
        return {
            "app": app,
            **where,
            "platform": self._platform(top, device),
            **_tags_of(device),
            "user_id": device.text("user_id", "") or None,
            "push_variables": device.text_map("push_variables"),
            "expires_after": _duration(device, "expires_after", None),
            "owns_tags": device.boolean("owns_tags", default=True),
            "installation_id": device.text("installation_id", None),
            "channel": self._channels.source(top.table("channel", CHANNEL)),
            "templates": _templates(top),
            "secondary_tiles": {
                tile_id: self._tile(tile_id, tile) for tile_id, tile in top.tables("tiles", _TILE).items()
            },
            "refresh_every": _duration(refresh, "every", "1d"),
            "startup_spread": _duration(refresh, "startup_spread", "0s"),
            **self._hooks(),
        }

    def _hooks(self) -> dict[str, Any]:
        """Read the programs that are told what happens."""
        if "hooks" not in self.top.given:
            return {}
        from nhagent.commands.hooks import read_hooks

        return read_hooks(self.top.table("hooks", _HOOKS), self._channels.command)

    def _where(self, top: TomlTable) -> dict[str, Any]:
        """Read where the device is registered: at a hub, or at the app's backend."""
        if "backend" not in top.given:
            hub = top.table("hub", _HUB)
            return {
                "hub": hub.text("name"),
                "style": hub.text("style", "installation"),
                "endpoint": hub.text("endpoint", None),
                "ca_bundle": self._channels.path_in(hub, "ca_bundle"),
                "allow_full_access": hub.boolean("allow_full_access", default=False),
            }
        if "hub" in top.given:
            raise ConfigurationError(
                "hub: there is a backend beside it", "keep [backend], which registers the device, or [hub]"
            )
        return {
            "hub": self.backend(),
            "style": "installation",
            "endpoint": None,
            "ca_bundle": None,
            "allow_full_access": False,
        }

    def backend(self) -> Backend:
        """Read the backend that registers the device."""
        from nhagent.commands.backend_table import read_backend

        return read_backend(self.top.table("backend", _BACKEND), self._channels.path_in)

    def metrics_file(self) -> str | None:
        """Read the path of the file that the daemon keeps for Prometheus; None: it keeps none."""
        if "metrics" not in self.top.given:
            return None
        table = self.top.table("metrics", _METRICS)
        table.text("file")  # told where it is missing
        return self._channels.path_in(table, "file")

    def receive_command(self, source: object) -> ReceiveCommand | None:
        """Read what is done with messages that arrive; None where nothing is.

        Args:
            source: the channel's source.
        """
        if "receive" not in self.top.given:
            return None
        return self._channels.receive(self.top.table("receive", RECEIVE), source)

    @staticmethod
    def _platform(top: TomlTable, device: TomlTable) -> str | None:
        """Read the platform; None where the channel's source has its own."""
        own = any(key in OF_A_PLATFORM for key in top.table("channel", CHANNEL, {}).given)
        return None if own and "platform" not in device.given else device.text("platform")

    def channel_files(self) -> Iterator[tuple[str | None, str]]:
        """Give the files that push channels are read from.

        Yields:
            The id of the channel's tile, or None for the device's own channel, and the path.
        """
        owners: list[tuple[str | None, TomlTable]] = [(None, self.top)]
        owners += self.top.tables("tiles", _TILE).items()
        for tile_id, owner in owners:
            path = self._channels.path_in(owner.table("channel", CHANNEL), "file")
            if path is not None:
                yield tile_id, path

    def _tile(self, tile_id: str, table: TomlTable) -> SecondaryTile:
        channel = self._channels.source(table.table("channel", CHANNEL), tile_id)
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
        arguments = file.agent_arguments()
        file.receive_command(arguments["channel"])  # what is wrong in these is told by every command
        file.metrics_file()
        return Agent(**arguments)
    except ConfigurationError as error:
        raise file.located(error) from error.__cause__


class Login(Value):
    """What a connection string, or a backend's token, is stored for.

    Attributes:
        app: the app's name.
        hub: the hub's name, or the backend's.
        allow_full_access: whether it may do more than listen.
        backend: the backend whose token is stored; None: it is a hub's connection string.
    """

    app: str
    hub: str
    allow_full_access: bool
    backend: Backend | None = None


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
        if "backend" in file.top.given:
            app, backend = validation.checked_app_name(file.top.text("app")), file.backend()
            return Login(app, backend.name, allow_full_access=False, backend=backend)
        hub = file.top.table("hub", _HUB)
        return Login(
            validation.checked_app_name(file.top.text("app")),
            validation.checked_hub_name(hub.text("name")),
            hub.boolean("allow_full_access", default=False),
        )
    except ConfigurationError as error:
        raise file.located(error) from error.__cause__


def _place_of(table: str, key: str) -> str | None:
    """Say where a key belongs that stands in a table that has none of its name."""
    from nhagent.commands.misplaced import place_of

    return place_of(_TABLES, table, key)


def _duration(table: TomlTable, key: str, default: str | None) -> timedelta | None:
    from nhagent.commands.durations import read_duration

    text = table.text(key, default)
    return None if text is None else read_duration(text, table.path(key))


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
