"""Channel sources: where the push channel of the device or of a tile comes from.

A source is any callable without arguments that gives a `RawChannel`; None means that the platform has issued
no handle yet. Whatever else goes wrong in one is a `ChannelError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from nhagent.errors import ChannelError, ConfigurationError
from nhagent.models import BrowserChannel, Platform, PushChannel, RawChannel, read_channel

ChannelSource: TypeAlias = Callable[[], RawChannel]

COMMAND_SECONDS: Final = 30.0
MAX_CHANNEL_BYTES: Final = 64 * 1024


def as_source(platform: Platform, given: object, name: str) -> ChannelSource:
    """Make a source of what an app gives as a channel: a callable, or the channel itself.

    Raises:
        ConfigurationError: the channel is none of this platform.
    """
    if callable(given):
        return given
    channel = read_channel(platform, given, name)
    return lambda: channel


def ask(source: ChannelSource, platform: Platform, name: str) -> PushChannel | None:
    """Ask a source once.

    Returns:
        The push channel, or None where there is none yet.

    Raises:
        ChannelError: the source failed, or gave what is no push channel of this platform.
    """
    try:
        raw = source()
    except ChannelError:
        raise
    except Exception as error:  # the app's own code may raise anything; the other channels must go on
        raise ChannelError(
            f"{name}: its source failed ({type(error).__name__}: {error}); correct it"
        ) from error
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    if not isinstance(raw, str | Mapping | BrowserChannel):
        raise ChannelError(
            f"{name}: its source gave a {type(raw).__name__}; it must give a push channel or None"
        )
    try:
        return read_channel(platform, raw, name)
    except ConfigurationError as error:
        raise ChannelError(str(error)) from error


def from_file(path: str) -> ChannelSource:
    """A source that reads a text file, which another program replaces; absent or empty: no channel yet."""

    def read() -> RawChannel:
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_CHANNEL_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ChannelError(f"channel file {path!r}: {error.strerror}; let nhagent read it") from error
        return _text(content, f"channel file {path!r}")

    return read


def from_credential(name: str, environ: Mapping[str, str] = os.environ) -> ChannelSource:
    """A source that reads a systemd credential."""

    def read() -> RawChannel:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ChannelError(f"channel credential {name!r}: systemd gave none; add LoadCredential={name}")
        return from_file(os.path.join(folder, name))()

    return read


def from_environment(variable: str, environ: Mapping[str, str] = os.environ) -> ChannelSource:
    """A source that reads an environment variable; unset or empty: no channel yet."""
    return lambda: environ.get(variable)


def from_command(arguments: Sequence[str], timeout: float = COMMAND_SECONDS) -> ChannelSource:
    """A source that runs a program and reads its standard output; empty output: no channel yet.

    Args:
        arguments: the program and its arguments; no shell stands in between.
        timeout: seconds until it is killed.
    """

    def run() -> RawChannel:
        import subprocess

        name = f"channel command {arguments[0]!r}"
        try:
            result = subprocess.run(  # noqa: S603 - the command is the device owner's own
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ChannelError(f"{name}: gave nothing within {timeout:g} s; make it faster") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ChannelError(f"{name}: cannot be run ({reason}); check its path") from error
        if result.returncode != 0:
            raise ChannelError(f"{name}: failed with status {result.returncode}; run it by hand to see why")
        return _text(result.stdout, name)

    return run


def from_plugin(reference: str) -> ChannelSource:
    """A source that calls ``package.module:callable``, imported when it is first asked."""

    def call() -> RawChannel:
        from importlib import import_module

        module, _, attribute = reference.partition(":")
        raw: RawChannel = getattr(import_module(module), attribute)()
        return raw

    return call


def _text(content: bytes, name: str) -> str:
    if len(content) > MAX_CHANNEL_BYTES:
        raise ChannelError(f"{name}: gave more than {MAX_CHANNEL_BYTES} bytes; a push channel is shorter")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ChannelError(f"{name}: gave no text; a push channel is text") from None
