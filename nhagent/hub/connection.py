"""Connection strings, and the SAS tokens that are signed with them.

A connection string is what the Azure portal shows under "Access Policies":
``Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY``. The key
never leaves this module but inside a signature: it is in no ``repr``, ``str``, exception or log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from nhagent import validation
from nhagent.errors import ConfigurationError

EXCHANGE_SECONDS: Final = 30.0
"""For one exchange with a hub, from the first byte of the request to the last of the reply."""
TOKEN_SECONDS: Final = 300
"""Life of a SAS token: enough for one exchange on a slow link, and of little use once stolen."""

MAX_KEY_CHARACTERS: Final = 256
_FULL_ACCESS: Final = ("full", "manage")
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionString:
    """One key of a hub or namespace, and where it is used.

    Attributes:
        endpoint: the namespace's base URL, https (or http to loopback), without a trailing slash.
        key_name: the access policy's name.
        key: the access policy's key; a secret.
        entity_path: the hub's name where the string carries one, else None.
    """

    endpoint: str
    key_name: str
    key: str
    entity_path: str | None = None

    @classmethod
    def parse(cls, text: str) -> ConnectionString:
        """Read a connection string: keys in any order and case, ``=`` in values, with or without EntityPath.

        Raises:
            ConfigurationError: a part is missing, doubled or malformed. The message never holds the key.
        """
        if not validation.is_text(text):
            raise ConfigurationError(
                f"connection string: is {type(text).__name__}, not readable text; copy it again"
            )
        values: dict[str, str] = {}
        for number, part in enumerate(text.strip().strip("\"'").split(";"), start=1):
            name, equals, value = part.strip().partition("=")
            if not name and not equals:
                continue
            if not equals or not name.strip():
                raise ConfigurationError(
                    f'connection string: part {number} is no "Name=value"; copy it whole'
                )
            key = name.strip().lower()
            if values.setdefault(key, value.strip()) != value.strip():
                raise ConfigurationError(f"connection string: {name.strip()} stands there twice; give one")
        for name in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey"):
            if not values.get(name.lower()):
                raise ConfigurationError(
                    f"connection string: {name} is missing; copy all of it from the hub's access policies"
                )
        for name in ("SharedAccessKeyName", "SharedAccessKey"):
            if len(values[name.lower()]) > MAX_KEY_CHARACTERS:
                raise ConfigurationError(
                    f"connection string: {name} has more than {MAX_KEY_CHARACTERS} characters; copy it again"
                )
        return cls(
            endpoint=read_endpoint(values["endpoint"], "connection string: Endpoint"),
            key_name=values["sharedaccesskeyname"],
            key=values["sharedaccesskey"],
            entity_path=values.get("entitypath") or None,
        )

    def __repr__(self) -> str:
        return f"<connection string of key {self.key_name!r} at {self.namespace}>"

    @property
    def namespace(self) -> str:
        """The host, and port where one is given, that the key belongs to."""
        return namespace_of(self.endpoint)

    @property
    def allows_more_than_listen(self) -> bool:
        """Whether the key's name says that it may do more than a device needs."""
        return any(word in self.key_name.lower() for word in _FULL_ACCESS)

    def check_hub(self, hub: str) -> None:
        """Check that a connection string which names its hub names this one.

        Raises:
            ConfigurationError: it names another.
        """
        if self.entity_path is not None and self.entity_path.lower() != hub.lower():
            raise ConfigurationError(
                f'connection string: is for hub "{self.entity_path}", not "{hub}"; take that of this hub'
            )

    def token(self, resource: str, now: datetime) -> str:
        """Sign a SAS token for one resource, valid for `TOKEN_SECONDS`.

        Args:
            resource: the URL that the token is for, without its query: the narrowest audience.
            now: the time by the hub's clock, aware.

        Returns:
            The value of an Authorization header.
        """
        import hmac
        from base64 import b64encode

        audience = quote(resource.lower(), safe="")
        expiry = int(now.timestamp()) + TOKEN_SECONDS
        digest = hmac.digest(self.key.encode(), f"{audience}\n{expiry}".encode(), "sha256")
        signature = quote(b64encode(digest), safe="")
        name = quote(self.key_name, safe="")
        return f"SharedAccessSignature sr={audience}&sig={signature}&se={expiry}&skn={name}"


def read_endpoint(text: str, name: str) -> str:
    """Read a namespace's address: ``sb://`` and ``https://`` of any host and port, ``http://`` of loopback.

    Returns:
        The base URL, without a trailing slash.

    Raises:
        ConfigurationError: it is no such address; http to another machine would show the device's tokens.
    """
    refusal = ConfigurationError(
        f"{name}: is no address of a namespace; it looks like sb://NAMESPACE.servicebus.windows.net/"
    )
    if not validation.is_text(text) or validation.has_control_characters(text.strip()):
        raise refusal
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refusal from None
    if not host or "@" in parts.netloc or parts.scheme not in {"sb", "https", "http"}:
        raise refusal
    if parts.scheme == "http" and not is_loopback(text):
        raise ConfigurationError(
            f"{name} http://{host}: plain http is for loopback alone; use sb:// or https://"
        )
    scheme = "http" if parts.scheme == "http" else "https"
    if port == {"http": 80, "https": 443}[scheme]:
        port = None  # the same namespace, written longer
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port else "")


def namespace_of(endpoint: str) -> str:
    """The host, and port where one is given, of a base URL."""
    return urlsplit(endpoint).netloc.lower()


def is_loopback(url: str) -> bool:
    """Whether a URL points at this machine itself."""
    return _LOOPBACK.fullmatch(urlsplit(url).hostname or "") is not None
