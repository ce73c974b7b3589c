"""Channel sources: where the push channel of the device or of a tile comes from.

A source is any callable without arguments that gives a `RawChannel`; None means that the platform has issued
no handle yet. Whatever else goes wrong in one is a `ChannelError`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from nhagent.errors import ChannelError, ConfigurationError, NhagentError, is_failure
from nhagent.filesystem import NoRegularFile, open_regular
from nhagent.models import BrowserChannel, Platform, PushChannel, RawChannel, read_channel

if TYPE_CHECKING:
    import subprocess

ChannelSource: TypeAlias = Callable[[], RawChannel]

COMMAND_SECONDS: Final = 30.0
COMMAND_POLL_SECONDS: Final = 0.05
KILLED_SECONDS: Final = 1.0
"""How long a killed command is waited for: one that is stuck in the system does not die at once."""
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
    except BaseException as error:
        if not is_failure(error):
            raise
        from nhagent.redaction import in_prose

        # The text of ours is shown as it is: a source may have called what is ours.
        shown = str(error) if isinstance(error, NhagentError) else in_prose(error)
        raise ChannelError(f"{name}: its source failed ({shown}); correct it") from None
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    if _is_coroutine(raw):
        raise ChannelError(f"{name}: its source is a coroutine function; give a plain callable") from None
    if not isinstance(raw, str | Mapping | BrowserChannel):
        raise ChannelError(
            f"{name}: its source gave a {type(raw).__name__}; it must give a push channel or None"
        )
    try:
        return read_channel(platform, raw, name)
    except ConfigurationError as error:
        raise ChannelError(str(error)) from error


def from_file(path: str) -> ChannelSource:
    """A source that reads a text file, which others replace; absent or empty: a pending `ChannelError`."""

    def read() -> RawChannel:
        try:
            with open_regular(path) as file:
                content = file.read(MAX_CHANNEL_BYTES + 1)
        except FileNotFoundError:
            raise ChannelError(
                f"channel file {path!r}: is not there yet; who writes it, and does the path fit?",
                pending=True,
            ) from None
        except NoRegularFile:
            raise ChannelError(
                f"channel file {path!r}: is no regular file; name one that holds the push channel"
            ) from None
        except OSError as error:
            raise ChannelError(f"channel file {path!r}: {error.strerror}; let nhagent read it") from error
        return _one(content, f"channel file {path!r}")

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
    """A source that reads an environment variable; unset or empty: a pending `ChannelError`."""

    def read() -> RawChannel:
        handle = environ.get(variable, "")
        if not handle.strip():
            raise ChannelError(
                f"channel variable ${variable}: is not set; set it before the start", pending=True
            )
        return handle

    return read


def from_command(arguments: Sequence[str], timeout: float = COMMAND_SECONDS) -> ChannelSource:
    """A source that runs a program and reads its standard output; empty: a pending `ChannelError`.

    Args:
        arguments: the program and its arguments; no shell stands in between.
        timeout: seconds until it is killed, with all that it started.
    """

    def run() -> RawChannel:
        import subprocess
        from tempfile import TemporaryFile

        name = f"channel command {arguments[0]!r}"
        # A file, not a pipe: what the program leaves running in the background would hold a pipe open.
        with TemporaryFile() as output:
            try:
                process = subprocess.Popen(  # noqa: S603 - the command is the device owner's own
                    list(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # a group of its own, which can be killed as a whole
                )
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise ChannelError(f"{name}: cannot be run ({reason}); check its path") from error
            try:
                _wait(process, output.fileno(), name, timeout)
            except BaseException:  # also what stops us: a signal must not wait for the command's end
                _kill(process)
                raise
            if process.returncode != 0:
                raise ChannelError(
                    f"{name}: failed with status {process.returncode}; run it by hand to see why"
                )
            output.seek(0)
            return _one(output.read(MAX_CHANNEL_BYTES + 1), name)

    return run


def from_plugin(reference: str) -> ChannelSource:
    """A source that calls ``package.module:callable``, imported when it is first asked.

    Raises:
        ConfigurationError: the reference has another form.
    """
    if not all(reference.partition(":")):
        raise ConfigurationError(f"channel plugin {reference!r}: write it as package.module:callable")

    def call() -> RawChannel:
        from importlib import import_module

        module, _, attribute = reference.partition(":")
        try:
            plugin: ChannelSource = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ChannelError(
                f"channel plugin {reference!r}: cannot be loaded ({type(error).__name__}); is it installed, "
                "and its name right?"
            ) from None
        return plugin()

    return call


def _wait(process: subprocess.Popen[bytes], output: int, name: str, timeout: float) -> None:
    """Wait for a program's end, but not longer than it may take, and not for more than it may say."""
    from subprocess import TimeoutExpired
    from time import monotonic

    deadline = monotonic() + timeout
    while True:
        try:
            process.wait(COMMAND_POLL_SECONDS)
        except TimeoutExpired:
            if os.fstat(output).st_size > MAX_CHANNEL_BYTES:
                raise ChannelError(f"{name}: says more than any push channel; correct it") from None
            if monotonic() >= deadline:
                raise ChannelError(f"{name}: gave nothing within {timeout:g} s; make it faster") from None
        else:
            return


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with all that it started, and collect it if that takes no time."""
    from subprocess import TimeoutExpired

    if process.returncode is not None:  # its number may be another's by now
        return
    try:
        _kill_group(process)
    except OSError:  # it has just ended, or became another user's
        pass
    try:
        process.wait(KILLED_SECONDS)
    except TimeoutExpired:  # it is collected some time later
        pass


def _is_coroutine(raw: object) -> bool:
    close = getattr(raw, "close", None) if hasattr(raw, "cr_code") else None
    if close is not None:
        close()  # else Python warns that nobody awaited it
    return close is not None


def _one(content: bytes, name: str) -> str:
    """The one channel that a file or a program gives."""
    text = _text(content, name).strip()
    if not text:
        raise ChannelError(
            f"{name}: is empty; there is no push channel yet: see that it gets one", pending=True
        )
    if "\n" in text and not text.startswith("{"):
        raise ChannelError(f"{name}: holds several lines; it must hold one push channel")
    return text


def _text(content: bytes, name: str) -> str:
    if len(content) > MAX_CHANNEL_BYTES:
        raise ChannelError(f"{name}: gave more than {MAX_CHANNEL_BYTES} bytes; a push channel is shorter")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ChannelError(f"{name}: gave no text; a push channel is text") from None


if sys.platform == "win32":

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        process.kill()  # Windows has no such groups: what it started lives on

else:

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
