"""Channel sources that read a file, a variable or a credential, run a command, or call a plug-in.

``os.path`` and ``open`` stand here in place of ``pathlib``, since a start that reads its channel from a file
would pay for its import.
"""

from __future__ import annotations

import os

from nhagent import validation
from nhagent.channels.source import followed, seconds_left
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.regular_files import UTF8_MARK, NotARegularFile, read_start
from nhagent.secret import hiding_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from nhagent.channels.source import ChannelSource
    from nhagent.models import RawChannel

COMMAND_SECONDS: Final = 30.0
"""How long a command may take."""
MAX_CHANNEL_BYTES: Final = 64 * 1024
"""The longest text that is read as a push channel."""
CONNECTION_STRING: Final = "NHAGENT_CONNECTION_STRING"
"""The variable that holds the connection string: no program gets it."""
_IN_VARIABLES: Final = validation.LETTERS_AND_DIGITS | {"_"}


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
            content = read_start(path, MAX_CHANNEL_BYTES + 1)
        except FileNotFoundError:
            raise ChannelError(
                f"{name}: is not there yet", "see who writes it, and whether the path is right", pending=True
            ) from None
        except NotARegularFile:
            raise ChannelError(
                f"{name}: is not a regular file", "name one that holds the push channel"
            ) from None
        except OSError as error:
            raise ChannelError(
                f"{name}: cannot be read ({error.strerror})", "let nhagent's user read it"
            ) from error
        return _single_channel(content, name)

    return followed(read, path)


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
def from_command(
    arguments: Sequence[str], timeout: float = COMMAND_SECONDS, pass_environment: Sequence[str] = ()
) -> ChannelSource:
    """Make a channel source that runs a program and reads its standard output.

    The program gets little of the environment: PATH, HOME, LANG, TZ, XDG_RUNTIME_DIR and
    DBUS_SESSION_BUS_ADDRESS. What it leaves running in the background is killed when it ends. While the
    program prints nothing the source raises a pending `nhagent.errors.ChannelError`.

    Args:
        arguments: the program and its arguments; they do not pass through a shell.
        timeout: seconds after which the program is killed, together with all that it started. A start that
            has less time left gives it that.
        pass_environment: names of other environment variables that it gets, where they are set.

    Raises:
        ConfigurationError: the arguments are one text, which a shell would have to split, or none at all; or
            a name cannot be that of a variable.
    """
    if isinstance(arguments, str) or not arguments:
        raise ConfigurationError(
            f"channel command {validation.shown(arguments)}: is not a list",
            "give the program and each of its arguments as texts of their own",
        )
    for argument in arguments:
        validation.check_setting("channel command", argument)
    name = f"channel command {arguments[0]!r}"
    variables = checked_variables(pass_environment)

    def run() -> RawChannel:
        from nhagent.channels import child

        left = seconds_left()
        try:
            ended = child.run(
                arguments,
                seconds=timeout if left is None else min(timeout, left),
                cap=MAX_CHANNEL_BYTES,
                environment=child.environment(variables),
            )
        except child.ChildFailed as error:
            raise ChannelError(f"{name}: {error.fact}", error.hint) from error.__cause__
        if ended.status != 0:
            raise ChannelError(f"{name}: failed with status {ended.status}", "run it by hand to see why")
        return _single_channel(ended.output, name)

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

        from nhagent.channels.trust import check_plugin

        check_plugin(name, module.partition(".")[0])
        try:
            plugin: ChannelSource = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ChannelError(
                f"{name}: cannot be loaded ({type(error).__name__})", "is it installed, and its name right?"
            ) from None
        return plugin()

    return call


def checked_variables(names: Iterable[str]) -> tuple[str, ...]:
    """Give the names of the variables that a program gets.

    Raises:
        ConfigurationError: they are not a list of such names, or one is the connection string's.
    """
    if isinstance(names, str) or not hasattr(names, "__iter__"):
        raise ConfigurationError(
            f"pass_environment {validation.shown(names)}: is not a list", "give the name of each variable"
        )
    variables = tuple(names)
    for name in variables:
        if not isinstance(name, str) or not name or not _IN_VARIABLES.issuperset(name):
            raise ConfigurationError(
                f"pass_environment {validation.shown(name)}: is not the name of a variable",
                "a name has letters, digits and _",
            )
        if name == CONNECTION_STRING:
            raise ConfigurationError(
                f"pass_environment {name!r}: holds the connection string",
                "remove it: a channel command must not see that",
            )
    return variables


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
        return content.removeprefix(UTF8_MARK).decode()
    except UnicodeDecodeError:
        raise ChannelError(f"{name}: gave no text", "a push channel is text; correct it") from None
