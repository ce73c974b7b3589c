"""The configuration file: TOML, read strictly, into an agent.

Every value is checked for its type, and a key that is not known is refused with the nearest one that is: a
misspelt ``tags`` must not leave a fleet without tags. The file is the whole declaration: what is not in it is
not declared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nhagent import validation
from nhagent.agent import Agent
from nhagent.channels import simple
from nhagent.channels.source import ChannelSource, as_source
from nhagent.device import paths
from nhagent.errors import ConfigurationError
from nhagent.models import Platform, RawChannel, SecondaryTile, Template
from nhagent.reconcile.declaration import PRIMARY, tile_name
from nhagent.reconcile.settings import LONGEST
from nhagent.session.credential_chain import CredentialChain
from nhagent.session.hub_session import HubSession

_TOP: Final = ("app", "hub", "device", "channel", "templates", "tiles", "refresh")
_HUB: Final = ("name", "style", "endpoint", "ca_bundle", "allow_full_access")
_DEVICE: Final = (
    "platform",
    "tags",
    "user_id",
    "push_variables",
    "expires_after",
    "owns_tags",
    "installation_id",
)
_CHANNEL: Final = ("file", "command", "env", "value", "credential", "plugin")
_TEMPLATE: Final = ("body", "headers", "tags", "expiry")
_TILE: Final = ("channel", "tags", "templates")
_REFRESH: Final = ("every", "startup_spread")

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_REQUIRED: Final = object()


@dataclass(frozen=True, slots=True)
class Setup:
    """What a configuration file describes, to be looked at part by part; nothing is read or sent yet.

    Attributes:
        path: the file's.
        agent: the agent.
        access: a way to the hub of the same settings.
        hub: the hub's name.
        ca_bundle: the certificate authority to trust beside the usual ones, or None.
        platform: the device's.
        sources: the channel sources, by name.
        channel_files: the files that some of them read, by name.
    """

    path: str
    agent: Agent
    access: HubSession
    hub: str
    ca_bundle: str | None
    platform: Platform
    sources: Mapping[str, ChannelSource]
    channel_files: Mapping[str, str]


def read_setup(given: str | None, **world: Any) -> Setup:
    """Make the parts of what a configuration file describes.

    Args:
        given: the file's path; None: $NHAGENT_CONFIG, ``/etc/nhagent/config.toml``, or the user's.
        world: ``clock``, ``sleep``, ``random``, as for `nhagent.agent.Agent`.

    Raises:
        ConfigurationError: there is no such file, or something in it is wrong.
    """
    with _naming(paths.config_file(given)) as path:
        top, folder = _Table(_read(path), "", _TOP), _folder_of(path)
        arguments = _arguments(top, folder)
        agent = Agent(**arguments, **world)
        platform = Platform.parse(arguments["platform"])
        given_channels = {PRIMARY: arguments["channel"]}
        tables = {PRIMARY: top.table("channel", _CHANNEL)}
        for tile_id, tile in top.tables("tiles", _TILE).items():
            given_channels[tile_name(tile_id)] = arguments["secondary_tiles"][tile_id].channel
            tables[tile_name(tile_id)] = tile.table("channel", _CHANNEL)
        return Setup(
            path=path,
            agent=agent,
            access=HubSession(
                CredentialChain(
                    arguments["app"],
                    arguments["hub"],
                    None,
                    endpoint=arguments["endpoint"],
                    allow_full_access=arguments["allow_full_access"],
                ),
                arguments["hub"],
                ca_bundle=arguments["ca_bundle"],
                clock=lambda: datetime.now(UTC),
            ),
            hub=arguments["hub"],
            ca_bundle=arguments["ca_bundle"],
            platform=platform,
            sources={name: as_source(platform, channel, name) for name, channel in given_channels.items()},
            channel_files={
                name: os.path.join(folder, table.text("file"))
                for name, table in tables.items()
                if "file" in table.given
            },
        )


def read_agent(given: str | None) -> Agent:
    """Make the agent that a configuration file describes; see `read_setup`.

    Raises:
        ConfigurationError: there is no such file, or something in it is wrong.
        CredentialError: as `nhagent.agent.Agent`.
    """
    with _naming(paths.config_file(given)) as path:
        return Agent(**_arguments(_Table(_read(path), "", _TOP), _folder_of(path)))


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection string is stored for.

    Attributes:
        app, hub: whose it is.
        allow_full_access: whether it may do more than listen.
    """

    app: str
    hub: str
    allow_full_access: bool


def read_login(given: str | None) -> Login:
    """What a configuration file says of the connection string that belongs to it.

    Args:
        given: the file's path; None: as `read_agent`.

    Raises:
        ConfigurationError: there is no such file, or something in what is read of it is wrong.
    """
    with _naming(paths.config_file(given)) as path:
        top = _Table(_read(path), "", _TOP)
        hub = top.table("hub", _HUB)
        return Login(
            validation.checked_app_name(top.text("app")),
            validation.checked_hub_name(hub.text("name")),
            hub.boolean("allow_full_access", default=False),
        )


def read_duration(text: str, name: str) -> timedelta:
    """Read a duration such as ``90d``, ``1d12h`` or ``0s``.

    Raises:
        ConfigurationError: it is none.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigurationError(f'{name} "{text}": is not a duration; write 30s, 15m, 12h, 1d or 2w')
    try:
        duration = sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ConfigurationError(f'{name} "{text}": is longer than a hundred years; write a shorter one')
    return duration


@contextmanager
def _naming(path: str) -> Iterator[str]:
    """Name the file in whatever is wrong with it."""
    try:
        yield path
    except ConfigurationError as error:
        raise ConfigurationError(f"configuration file {path}: {error}") from error.__cause__


def _folder_of(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def _read(path: str) -> dict[str, Any]:
    import tomllib

    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # Windows' editors begin it with a mark
            return tomllib.loads(file.read())
    except FileNotFoundError:
        raise ConfigurationError(
            "is not there; write one, or name it with --config or $NHAGENT_CONFIG"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"cannot be read ({error.strerror}); check it") from error
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is refused by Python itself, with advice for programmers.
        fact = str(error).partition("; use sys.")[0]
        raise ConfigurationError(f"is not valid TOML: {fact}; correct the file") from None


def _arguments(top: _Table, folder: str) -> dict[str, Any]:
    """The agent's arguments; a path is relative to the configuration file's folder."""
    hub = top.table("hub", _HUB)
    device = top.table("device", _DEVICE)
    refresh = top.table("refresh", _REFRESH, {})
    ca_bundle = hub.text("ca_bundle", None)
    return {
        "app": top.text("app"),
        "hub": hub.text("name"),
        "style": hub.text("style", "installation"),
        "endpoint": hub.text("endpoint", None),
        "ca_bundle": None if ca_bundle is None else os.path.join(folder, ca_bundle),
        "allow_full_access": hub.boolean("allow_full_access", default=False),
        "platform": device.text("platform"),
        "tags": device.texts("tags"),
        "user_id": device.text("user_id", ""),
        "push_variables": device.text_map("push_variables"),
        "expires_after": device.duration("expires_after", None),
        "owns_tags": device.boolean("owns_tags", default=True),
        "installation_id": device.text("installation_id", None),
        "channel": _channel(top.table("channel", _CHANNEL), folder),
        "templates": _templates(top),
        "secondary_tiles": {
            tile_id: _tile(tile, folder) for tile_id, tile in top.tables("tiles", _TILE).items()
        },
        "refresh_every": refresh.duration("every", "1d"),
        "startup_spread": refresh.duration("startup_spread", "0s"),
    }


def _channel(table: _Table, folder: str) -> RawChannel | Callable[[], RawChannel]:
    """The one source that is given; a path is relative to the configuration file's folder."""
    if len(table.given) != 1:
        said = " and ".join(table.given) or "nothing"
        raise ConfigurationError(f"{table.name}: give exactly one of {', '.join(_CHANNEL)}; there is {said}")
    match table.given[0]:
        case "file":
            return simple.from_file(os.path.join(folder, table.text("file")))
        case "command":
            command = table.texts("command")
            if not command:
                raise ConfigurationError(f"{table.name}.command: is empty; give a program and its arguments")
            return simple.from_command(command)
        case "env":
            return simple.from_environment(table.text("env"))
        case "credential":
            return simple.from_credential(table.text("credential"))
        case "plugin":
            return simple.from_plugin(table.text("plugin"))
        case _:
            return table.channel("value")


def _templates(owner: _Table) -> dict[str, Template]:
    return {
        name: Template(
            body=table.text("body"),
            headers=table.text_map("headers"),
            tags=tuple(table.texts("tags")),
            expiry=table.text("expiry", None),
        )
        for name, table in owner.tables("templates", _TEMPLATE).items()
    }


def _tile(table: _Table, folder: str) -> SecondaryTile:
    channel = _channel(table.table("channel", _CHANNEL), folder)
    if not isinstance(channel, str) and not callable(channel):
        raise ConfigurationError(f"{table.name}.channel.value: a tile's push channel is text")
    return SecondaryTile(channel=channel, tags=tuple(table.texts("tags")), templates=_templates(table))


class _Table:
    """A TOML table of known keys, read with their types."""

    def __init__(self, values: Mapping[str, Any], name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.given = list(values)
        self._values = values
        for key in values:
            if key not in known:
                raise ConfigurationError(f'{self._path(key)}: unknown key "{key}"; {_nearest(key, known)}')

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        value = self._take(key, default)
        if value is not default and not isinstance(value, str):
            raise self._wrong(key, value, "text in quotes")
        return value

    def duration(self, key: str, default: Any) -> Any:
        text = self.text(key, default)
        return None if text is None else read_duration(text, self._path(key))

    def boolean(self, key: str, *, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def texts(self, key: str) -> list[str]:
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, value, 'a list of texts, such as ["a", "b"]')
        return value

    def text_map(self, key: str) -> dict[str, str]:
        value = self._take(key, {})
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise self._wrong(key, value, 'a table of texts, such as { name = "value" }')
        return value

    def channel(self, key: str) -> str | dict[str, object]:
        value = self._take(key, _REQUIRED)
        if not isinstance(value, str | dict):
            raise self._wrong(key, value, "a push channel: text, or a table for browser")
        return value

    def table(self, key: str, known: tuple[str, ...], default: Any = _REQUIRED) -> _Table:
        value = self._take(key, default)
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table")
        return _Table(value, self._path(key), known)

    def tables(self, key: str, known: tuple[str, ...]) -> dict[str, _Table]:
        """Tables whose names the user chooses, by name."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, value, "a table of tables")
        names = _Table(value, self._path(key), tuple(value))
        return {name: names.table(name, known) for name in value}

    def _take(self, key: str, default: Any) -> Any:
        value = self._values.get(key, default)
        if value is _REQUIRED:
            raise ConfigurationError(f"{self._path(key)}: is missing; it has no default")
        return value

    def _path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _wrong(self, key: str, value: object, right: str) -> ConfigurationError:
        return ConfigurationError(f"{self._path(key)}: is of type {type(value).__name__}; write {right}")


def _nearest(key: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key.lower(), known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
