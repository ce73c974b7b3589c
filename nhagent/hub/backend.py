"""An app's backend that registers its devices: where it is, and who the device is there."""

from __future__ import annotations

from urllib.parse import urlsplit

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.connection import read_endpoint
from nhagent.secret import hidden, hiding_arguments
from nhagent.values import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Final, TypeAlias

    from nhagent.secret import HiddenCallable, Secret

    ClientCert: TypeAlias = "str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]]"

_SCHEMES: Final = ("https://", "http://")
_IN_PATHS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/%"
)
"""What RFC 3986 lets stand in a path."""


class Backend(Frozen):
    """An app's backend that writes installations to the hub, so that a device needs no key of the hub.

    Source: docs/backends.md has the contract.

    Attributes:
        name: by which the device's state is found, as by a hub's name.
        url: to which an installation's id is added: https, or http to this machine; without a trailing slash.
        token: bearer token, as text or a callable that gives it; None: there is none. Nothing shows it.
        client_cert: the PEM file of a certificate with its key, or two files; None: there is none.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.

    Raises:
        ConfigurationError: one of them is wrong; the files are looked at when an agent is made.
    """

    name: str
    url: str
    token: Secret[str] | HiddenCallable | None
    client_cert: ClientCert | None
    ca_bundle: str | None

    @hiding_arguments
    def __init__(
        self,
        name: str,
        url: str,
        token: str | Callable[[], str] | Secret[str] | HiddenCallable | None = None,
        client_cert: ClientCert | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        if callable(token):
            validation.check_not_async("token", token)
        elif token is not None and not isinstance(token, str) and not hasattr(token, "reveal"):
            raise ConfigurationError(
                f"token: is {type(token).__name__}", "give text, or a callable that gives it"
            )
        self.__dict__.update(
            name=_checked_name(name),
            url=read_url(url),
            token=hidden(token),
            client_cert=client_cert,
            ca_bundle=ca_bundle,
        )

    def __repr__(self) -> str:
        return f"<backend {self.name!r} at {self.url}>"

    @property
    def place(self) -> str:
        """The URL without its scheme: what is written down of where a device is registered."""
        return self.url.partition("://")[2]


def _checked_name(name: object) -> str:
    try:
        return validation.checked_hub_name(name)
    except ConfigurationError:
        raise ConfigurationError(
            f"backend {validation.shown(name)}: is not a backend's name",
            "give letters, digits, '-', '_' and '.'",
        ) from None


def read_url(text: object) -> str:
    """Read a backend's URL.

    Args:
        text: as an app or a configuration gives it.

    Returns:
        It, without a trailing slash, its host in lower case.

    Raises:
        ConfigurationError: not https, nor http to loopback, or it has a user, a query or a fragment.
    """
    validation.check_setting("url", text)
    if not isinstance(text, str) or not text.strip().lower().startswith(_SCHEMES):
        raise _not_a_url(text)
    text = text.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        raise _not_a_url(text) from None
    if "?" in text or "#" in text or "@" in parts.netloc:
        raise ConfigurationError(
            "url: has a user, a query or a fragment",
            "give scheme, host and path alone, and the token as token",
        )
    path = parts.path.rstrip("/")
    if not _IN_PATHS.issuperset(path) or "//" in path or {".", ".."} & set(path.split("/")):
        raise _not_a_url(text)
    return read_endpoint(f"{parts.scheme}://{parts.netloc}", "url") + path


def _not_a_url(text: object) -> ConfigurationError:
    return ConfigurationError(
        f"url {validation.shown(text)}: is not a backend's URL",
        "give one like https://api.example.com/devices",
    )
