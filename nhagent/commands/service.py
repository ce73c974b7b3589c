"""``--service``: a command of root's that looks at the device of a system service."""

from __future__ import annotations

import os

from nhagent.device.paths import SYSTEM_CONFIG
from nhagent.errors import ConfigurationError

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    import argparse
    from collections.abc import MutableMapping
    from typing import Final

FOLDER: Final = SYSTEM_CONFIG.rpartition("/")[0]
"""Where the configurations of services are."""
STATE_FOLDERS: Final = "/var/lib"
"""Where systemd keeps the state of services."""
CONNECTION_STRING_FILE: Final = "NHAGENT_CONNECTION_STRING_FILE"
CREDENTIALS: Final = "/etc/credstore"
"""Where systemd looks for a credential that a unit names without a path."""


def take_place_of_service(
    options: argparse.Namespace,
    environ: MutableMapping[str, str] = os.environ,
    *,
    is_root: bool | None = None,
) -> None:
    """Let a command find what the units in ``systemd/`` give the service.

    What the environment names already stays. A credential that is encrypted is systemd's alone: it is not
    found here.

    Args:
        options: the command's; its configuration becomes the service's where none was named.
        environ: the environment, which is changed.
        is_root: whether root runs this; None: ask the system.

    Raises:
        ConfigurationError: the configuration that was named is not that of a unit; or this is not root, who
            alone may look at a service's connection string and state.
    """
    if not (is_system_administrator() if is_root is None else is_root):
        raise ConfigurationError(
            "--service: a service's state and connection string are root's alone to see",
            "run this as root, such as with sudo",
        )
    config = options.config or environ.get("NHAGENT_CONFIG") or SYSTEM_CONFIG
    folder, _, name = config.rpartition("/")
    if folder != FOLDER or name[-5:] != ".toml":
        raise ConfigurationError(
            f"--service: {config} is not a service's configuration",
            f"leave --config out, or name {FOLDER}/NAME.toml of nhagent@NAME.service",
        )
    options.config = config
    instance, credential = instance_of(config), credential_of(config)
    environ.setdefault("NHAGENT_STATE_DIR", f"{STATE_FOLDERS}/nhagent{f'-{instance}' if instance else ''}")
    if CONNECTION_STRING_FILE not in environ and os.access(credential, os.F_OK):
        environ[CONNECTION_STRING_FILE] = credential


def instance_of(config: str) -> str:
    """Name the one of several services whose configuration this is; "" for the one without a name.

    Args:
        config: the path of a service's configuration, as `take_place_of_service` takes it.
    """
    return "" if config == SYSTEM_CONFIG else config.rpartition("/")[2].removesuffix(".toml")


def unit_of(config: str) -> str:
    """Name the unit whose configuration this is."""
    instance = instance_of(config)
    return f"nhagent{f'@{instance}' if instance else ''}.service"


def credential_of(config: str) -> str:
    """Name the file in which systemd looks for the connection string of a configuration's unit."""
    instance = instance_of(config)
    return f"{CREDENTIALS}/nhagent.{f'{instance}.' if instance else ''}connection-string"


def is_system_administrator() -> bool:
    """Whether root runs this process."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
