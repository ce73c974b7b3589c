"""``nhagent init``: writes a commented configuration for a device, and says what to do next."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

from nhagent import validation
from nhagent.commands.service import (
    FOLDER,
    credential_of,
    instance_of,
    is_system_administrator,
    unit_of,
)
from nhagent.device import credential_sources, paths
from nhagent.errors import ConfigurationError
from nhagent.models import Platform
from nhagent.values import Value

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

MODE: Final = 0o644
"""Of the file: it holds no secret, and a service of its own user reads it."""
_INSTANCE: Final = r"[A-Za-z0-9:_.-]+"
"""What systemd takes for the name of one of many services."""
_ATTEMPTS: Final = 5
"""How often a person is asked for the same thing."""

_TEMPLATES: Final[dict[Platform, tuple[str, dict[str, str]]]] = {
    Platform.WNS: (
        (
            '<toast><visual><binding template="ToastText01"><text id="1">$(message)</text></binding></visual>'
            "</toast>"
        ),
        {"X-WNS-Type": "wns/toast"},
    ),
    Platform.MPNS: (
        (
            '<wp:Notification xmlns:wp="WPNotification"><wp:Toast><wp:Text1>$(message)</wp:Text1></wp:Toast>'
            "</wp:Notification>"
        ),
        {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"},
    ),
    Platform.APNS: ('{"aps": {"alert": "$(message)"}}', {}),
    Platform.FCMV1: ('{"message": {"notification": {"body": "$(message)"}}}', {}),
    Platform.BROWSER: ('{"message": "$(message)"}', {}),
}
"""A template for each platform that has one of its own; the others take `_PLAIN`."""
_PLAIN: Final = ('{"data": {"message": "$(message)"}}', dict[str, str]())

_WHO_GIVES_IT: Final = {
    Platform.WNS: "the ChannelUri of PushNotificationChannelManager",
    Platform.APNS: "the device token, in hexadecimal digits",
    Platform.FCMV1: "the registration token of Firebase Cloud Messaging",
    Platform.GCM: "the registration token; new apps take fcmv1",
}


class Given(Value):
    """What is known of the device before anything is asked; None: that is asked for.

    Attributes:
        config: the file that is written; None: the system's for root, else the user's.
        app: the app's name.
        hub: the hub's name.
        platform: the platform's name.
        channel_file: the file that the push channel is read from.
        vapid_public_key: by which a Web Push service knows the hub.
    """

    config: str | None = None
    app: str | None = None
    hub: str | None = None
    platform: str | None = None
    channel_file: str | None = None
    vapid_public_key: str | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Given:
        """Take it from the command line."""
        return cls(**{name: getattr(options, name) for name in cls._fields})


def initialise(
    given: Given, *, ask: Callable[[str], str] | None = None, is_root: bool | None = None
) -> tuple[dict[str, Any], str]:
    """Write a configuration.

    Args:
        given: what is known already.
        ask: asks a person a question; None: on the terminal, or not at all where standard input is none.
        is_root: whether the system's file is written where none was named; None: ask the system.

    Returns:
        The object for ``--json``, and the text for people.

    Raises:
        ConfigurationError: the file is there already, or cannot be written; or something is missing or wrong.
    """
    root = is_system_administrator() if is_root is None else is_root
    path = _path_of(given, is_root=root)
    _refuse_present(path)  # before anything is asked
    asking = _Asking(_ask_on_terminal() if ask is None else ask)
    app = asking("app", given.app, "The app's name, such as thermostat", validation.checked_app_name)
    hub = asking("hub", given.hub, "The notification hub's name", validation.checked_hub_name)
    names = ", ".join(platform.value for platform in Platform)
    platform = asking("platform", given.platform, f"The platform ({names})", Platform.parse)
    channel = _channel(asking, given, app, platform, is_root=root)
    _write(path, _head(app, hub, platform) + channel + _tail(platform))
    commands = _commands(path, is_root=root)
    lines = [f"written: {path}"]
    file = re.search(r"^file = (.+)$", channel, re.MULTILINE)
    if file is not None:
        lines.append(f"your app writes the push channel into {json.loads(file[1])}")
    lines.append("next:")
    lines += [f"  {number}. {command}" for number, command in enumerate(commands, 1)]
    return {"config": path, "commands": commands, "error": None}, "\n".join(lines)


class _Asking:
    """Takes what is given, or asks for it until it is right."""

    def __init__(self, ask: Callable[[str], str] | None) -> None:
        self._ask = ask

    def __call__(self, name: str, given: str | None, question: str, check: Callable[[str], Any]) -> Any:
        if given is not None:
            return check(given)
        option = f"--{name.replace('_', '-')}"
        if self._ask is None:
            raise ConfigurationError(
                f"{option}: was not given, and nobody can be asked", "give it, or run this on a terminal"
            )
        for _ in range(_ATTEMPTS):
            try:
                return check(self._ask(f"{question}: ").strip())
            except ConfigurationError as error:
                print(f"  {error}", file=sys.stderr)
        raise ConfigurationError(f"{option}: was not answered", f"give it as {option}")


def _ask_on_terminal() -> Callable[[str], str] | None:
    if sys.stdin is None or not sys.stdin.isatty() or sys.stderr is None:
        return None

    def ask(question: str) -> str:
        # On stderr: what is printed on stdout is the result.
        sys.stderr.write(question)
        sys.stderr.flush()
        answer = sys.stdin.readline()
        if not answer:
            raise KeyboardInterrupt  # Ctrl-D
        return answer

    return ask


def _path_of(given: Given, *, is_root: bool) -> str:
    named = given.config or os.environ.get("NHAGENT_CONFIG")
    if named:
        return paths.config_file(named)
    return paths.SYSTEM_CONFIG if is_root else paths.users_config_file()


def _refuse_present(path: str) -> None:
    if os.path.lexists(path):
        raise ConfigurationError(
            f"configuration file {path}: is there already, and was left alone",
            "edit it, or write another with --config FILE",
        )


def _head(app: str, hub: str, platform: Platform) -> str:
    return f"""\
# The device that nhagent keeps registered. This is the whole declaration: what is not in it is not declared.
app = {_quoted(app)}

[hub]
name = {_quoted(hub)}
# style = "registration"       # the older kind of record, one for each template
# ca_bundle = "ca.pem"         # a certificate authority to trust beside the usual ones

[device]
platform = {_quoted(platform.value)}
tags = []                      # what the device can be reached by, such as ["kitchen", "floor:2"]
# user_id = "somebody"
# owns_tags = false            # the tags are the backend's: never written
# expires_after = "90d"        # a device that is not heard of for so long is dropped by the hub
# installation_id = "machine"  # the same id after the storage was lost

"""


def _channel(asking: _Asking, given: Given, app: str, platform: Platform, *, is_root: bool) -> str:
    if platform is Platform.BROWSER and given.channel_file is None:
        from nhagent.channels.push_settings import checked_public_key

        question = "The VAPID public key of the pair in the hub (nhagent vapid makes one)"
        key = asking("vapid_public_key", given.vapid_public_key, question, checked_public_key)
        return f"""\
# nhagent subscribes to a Web Push service by itself, and receives what the hub sends.
[channel]
webpush = {{ vapid_public_key = {_quoted(key)} }}

# [receive]                    # a program that gets each message on its standard input
# command = ["/usr/local/bin/on-message"]

"""
    usual = f"/var/lib/{app}/channel" if is_root else f"~/.local/share/{app}/channel"
    question = f"The file that the push channel is read from [{usual}]"
    path = asking("channel_file", given.channel_file, question, lambda text: _checked_path(text or usual))
    told = _WHO_GIVES_IT.get(platform, "the handle that the platform's push service gave this device")
    return f"""\
# Where the push channel comes from: {told}.
# Write it beside the file and rename it: nhagent follows within seconds.
# A program can give it instead: command = ["/usr/bin/get-channel"]
[channel]
file = {_quoted(path)}

"""


def _tail(platform: Platform) -> str:
    body, headers = _TEMPLATES.get(platform, _PLAIN)
    shown = ", ".join(f"{_quoted(name)} = {_quoted(value)}" for name, value in headers.items())
    lines = ["# [templates.alert]            # the backend sends properties, the device says how they look"]
    lines += [f"# body = {_literal(body)}"]
    lines += [f"# headers = {{ {shown} }}"] * bool(headers)
    return "\n".join(
        [
            *lines,
            "",
            "# [hooks]                      # programs that get the report, or the error, as JSON on stdin",
            '# on_registered = ["/usr/local/bin/registered"]',
            '# on_error = ["/usr/local/bin/failed"]',
            "",
            "# [metrics]                    # for node_exporter's textfile collector",
            '# file = "/var/lib/prometheus/node-exporter/nhagent.prom"',
            "",
            "[refresh]",
            'every = "1d"                   # an unchanged record is written again after so long',
            "",
        ]
    )


def _quoted(text: str) -> str:
    """Write TOML's basic string; JSON's escapes are TOML's too, but DEL must be one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _literal(text: str) -> str:
    """Write TOML's literal string where that needs no escapes."""
    return _quoted(text) if "'" in text else f"'{text}'"


def _checked_path(text: str) -> str:
    validation.check_setting("channel file", text)
    return text


def _write(path: str, text: str) -> None:
    """Make a file, which is not there yet, and the folders above it."""
    file = Path(path)
    is_first = not file.parent.exists()
    try:
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if is_first and str(file.parent) == FOLDER:
            file.parent.chmod(0o755)  # whatever the umask says: the service runs as a user of its own
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
        file.chmod(MODE)
    except FileExistsError:
        _refuse_present(path)
        raise
    except OSError as error:
        raise ConfigurationError(
            f"configuration file {path}: cannot be written ({error.strerror})",
            "write another with --config FILE, or run this as its folder's owner",
        ) from None


def _commands(path: str, *, is_root: bool) -> list[str]:
    """Name the three commands that make the device registered; two where its connection string is there."""
    if is_root and re.fullmatch(rf"{re.escape(FOLDER)}/{_INSTANCE}\.toml", path):
        instance = instance_of(path)
        of_instance = f" && systemctl enable --now {unit_of(path)}" if instance else ""
        return [
            f"install -D -m 600 /dev/stdin {credential_of(path)}   # paste it, then Ctrl-D",
            f"nhagent units --install{of_instance}",
            " && ".join(
                f"nhagent --service{f' --config {path}' if instance else ''} {command}"
                for command in ("wait", "doctor")
            ),
        ]
    named = "" if path == paths.users_config_file() else f" --config {_shell_quoted(path)}"
    runs_daemon = not named and which("systemctl") is not None
    # A daemon has another environment than the shell that has the connection string in its own.
    needs_login = runs_daemon or not credential_sources.present()
    return [
        *([f"nhagent login{named}"] if needs_login else []),
        "nhagent units --user --install" if runs_daemon else f"nhagent register{named}",
        "nhagent wait && nhagent doctor" if runs_daemon else f"nhagent doctor{named}",
    ]


def _shell_quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
