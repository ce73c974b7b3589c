"""Channel sources that read a file, a variable or a credential, run a command, or call a plug-in.

``os.path`` and ``open`` stand here in place of ``pathlib``, since a start that reads its channel from a file
would pay for its import.
"""

from __future__ import annotations

import os
import sys

from nhagent import validation
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.filesystem import NotARegularFile, open_regular
from nhagent.secret import hiding_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from typing import Final

    from nhagent.channels.source import ChannelSource
    from nhagent.models import RawChannel

COMMAND_SECONDS: Final = 30.0
"""How long a command may take."""
COMMAND_POLL_SECONDS: Final = 0.05
"""How often a running command's output is measured."""
KILLED_SECONDS: Final = 1.0
"""How long to wait for a killed command: one that is stuck in the kernel does not die at once."""
MAX_CHANNEL_BYTES: Final = 64 * 1024
"""The longest text that is read as a push channel."""


@hiding_arguments
def from_file(path: str | os.PathLike[str]) -> ChannelSource:
    """Make a channel source that reads a text file, which others replace.

    While the file is absent or empty the source raises a pending `nhagent.errors.ChannelError`.

    Args:
        path: the file's path.
    """
    path = os.fspath(path)
    validation.check_setting("channel file", path)
    name = f"channel file {path!r}"

    def read() -> RawChannel:
        try:
            with open_regular(path) as file:
                content = file.read(MAX_CHANNEL_BYTES + 1)
        except FileNotFoundError:
            raise ChannelError(
                f"{name}: is not there yet", "who writes it, and is the path right?", pending=True
            ) from None
        except NotARegularFile:
            raise ChannelError(
                f"{name}: is not a regular file", "name one that holds the push channel"
            ) from None
        except OSError as error:
            raise ChannelError(f"{name}: {error.strerror}", "let nhagent read it") from error
        return _single_channel(content, name)

    return read


@hiding_arguments
def from_credential(name: str, environ: Mapping[str, str] = os.environ) -> ChannelSource:
    """Make a channel source that reads a systemd credential.

    Args:
        name: the credential's name.
        environ: the environment, whose $CREDENTIALS_DIRECTORY names the folder of the credentials.
    """
    validation.check_setting("channel credential", name)

    def read() -> RawChannel:
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ChannelError(
                f"channel credential {name!r}: systemd gave none", f"add LoadCredential={name}"
            )
        return from_file(os.path.join(folder, name))()

    return read


@hiding_arguments
def from_environment(variable: str, environ: Mapping[str, str] = os.environ) -> ChannelSource:
    """Make a channel source that reads an environment variable.

    While the variable is unset or empty the source raises a pending `nhagent.errors.ChannelError`.

    Args:
        variable: the variable's name.
        environ: the environment.
    """
    validation.check_setting("channel variable", variable)

    def read() -> RawChannel:
        handle = environ.get(variable, "")
        if not handle.strip():
            raise ChannelError(
                f"channel variable ${variable}: is not set", "set it before the start", pending=True
            )
        return handle

    return read


@hiding_arguments
def from_command(arguments: Sequence[str], timeout: float = COMMAND_SECONDS) -> ChannelSource:
    """Make a channel source that runs a program and reads its standard output.

    While the program prints nothing the source raises a pending `nhagent.errors.ChannelError`.

    Args:
        arguments: the program and its arguments; they do not pass through a shell.
        timeout: seconds after which the program is killed, together with all that it started.

    Raises:
        ConfigurationError: the arguments are one text, which a shell would have to split, or none at all.
    """
    if isinstance(arguments, str) or not arguments:
        raise ConfigurationError(
            f"channel command {validation.shown(arguments)}: is not a list",
            "give the program and each of its arguments as texts of their own",
        )
    for argument in arguments:
        validation.check_setting("channel command", argument)
    name = f"channel command {arguments[0]!r}"

    def run() -> RawChannel:
        from tempfile import TemporaryFile

        # A file, not a pipe: what the program leaves running in the background would hold a pipe open.
        with TemporaryFile() as output:
            process = _started(arguments, output.fileno(), name)
            try:
                _wait(process, output.fileno(), name, timeout)
            except BaseException:  # KeyboardInterrupt too: whoever stops us must not wait for the program
                _kill(process)
                raise
            if process.returncode != 0:
                raise ChannelError(
                    f"{name}: failed with status {process.returncode}", "run it by hand to see why"
                )
            output.seek(0)
            return _single_channel(output.read(MAX_CHANNEL_BYTES + 1), name)

    return run


@hiding_arguments
def from_plugin(reference: str) -> ChannelSource:
    """Make a channel source that calls a callable of a package, imported when it is first called.

    Args:
        reference: the callable, as ``package.module:callable``.

    Raises:
        ConfigurationError: the reference has another form.
    """
    validation.check_setting("channel plugin", reference)
    name = f"channel plugin {reference!r}"
    module, _, attribute = reference.partition(":")
    if not module or not attribute:
        raise ConfigurationError(f"{name}: is not a reference", "write it as package.module:callable")

    def call() -> RawChannel:
        from importlib import import_module

        try:
            plugin: ChannelSource = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ChannelError(
                f"{name}: cannot be loaded ({type(error).__name__})", "is it installed, and its name right?"
            ) from None
        return plugin()

    return call


def _started(arguments: Sequence[str], output: int, name: str) -> subprocess.Popen[bytes]:
    import subprocess

    try:
        return subprocess.Popen(  # noqa: S603 - the command is the device owner's own
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a group of its own, which can be killed as a whole
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ChannelError(f"{name}: cannot be run ({reason})", "check its path") from error


def _wait(process: subprocess.Popen[bytes], output: int, name: str, timeout: float) -> None:
    """Wait until a program ends.

    Raises:
        ChannelError: it takes too long, or prints too much.
    """
    from subprocess import TimeoutExpired
    from time import monotonic

    deadline = monotonic() + timeout
    while True:
        try:
            process.wait(COMMAND_POLL_SECONDS)
        except TimeoutExpired:
            if os.fstat(output).st_size > MAX_CHANNEL_BYTES:
                raise ChannelError(f"{name}: says more than any push channel", "correct it") from None
            if monotonic() >= deadline:
                raise ChannelError(f"{name}: gave nothing within {timeout:g} s", "make it faster") from None
        else:
            return


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with all that it started, and reap it if that takes no time."""
    from subprocess import TimeoutExpired

    if process.returncode is not None:  # its process id may be another's by now
        return
    try:
        _kill_group(process)
    except OSError:  # it has just ended, or became another user's
        pass
    try:
        process.wait(KILLED_SECONDS)
    except TimeoutExpired:  # it is reaped some time later
        pass


def _single_channel(content: bytes, name: str) -> str:
    """Read the one push channel that a file or a program gives."""
    text = _text(content, name).strip()
    if not text:
        raise ChannelError(
            f"{name}: is empty", "there is no push channel yet: see that it gets one", pending=True
        )
    if "\n" in text and not text.startswith("{"):
        raise ChannelError(f"{name}: holds several lines", "it must hold one push channel")
    return text


def _text(content: bytes, name: str) -> str:
    if len(content) > MAX_CHANNEL_BYTES:
        raise ChannelError(
            f"{name}: gave more than {MAX_CHANNEL_BYTES} bytes", "a push channel is shorter; correct it"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ChannelError(f"{name}: gave no text", "a push channel is text; correct it") from None


if sys.platform == "win32":

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        process.kill()  # Windows has no process groups: what the program started lives on

else:

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        import signal

        os.killpg(process.pid, signal.SIGKILL)
