"""Connection strings, and the SAS tokens that are signed with them.

A connection string is what the Azure portal shows under "Access Policies":
``Endpoint=sb://NAMESPACE.servicebus.windows.net/;SharedAccessKeyName=NAME;SharedAccessKey=KEY``. The key
leaves this module only inside a signature: it is in no ``repr``, ``str``, exception, log or pickle.
"""

from __future__ import annotations

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.secret import Secret, hiding_arguments
from nhagent.values import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from typing import Final

EXCHANGE_SECONDS: Final = 30.0
"""Timeout of one exchange with a hub, from the first byte of the request to the last of the reply."""
TOKEN_SECONDS: Final = 300
"""Life of a SAS token: enough for one exchange on a slow link, and of little use once stolen."""

MAX_KEY_CHARACTERS: Final = 256
_NAMES: Final = frozenset({"endpoint", "sharedaccesskeyname", "sharedaccesskey", "entitypath"})
_MORE_THAN_LISTEN: Final = frozenset({"full", "manage", "rootmanage"})
_DEFAULT_POLICIES: Final = frozenset({"rootmanagesharedaccesskey", "defaultfullsharedaccesssignature"})
"""Policies with all rights that Azure makes, in lower case, which hides where their words end."""
_COPY_AGAIN: Final = "copy it again"
_SCHEMES: Final = frozenset({"sb", "https", "http"})
MAX_PORT: Final = 65535
MAX_PORT_CHARACTERS: Final = 5
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_HOST_CHARACTERS: Final = 253
MAX_LABEL_CHARACTERS: Final = 63
_IN_NAMES: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
"""Names in other scripts are written as the DNS has them, with ``xn--``."""
_IN_IPV6: Final = frozenset("0123456789abcdef:")
"""Without the ``%`` of a zone, which no certificate is for, and the dot of an IPv4 address in it."""
_AROUND: Final = (
    " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
    + validation.BYTE_ORDER_MARK
    + ";\"'\u201c\u201d\u201e\u2018\u2019"
)
"""White space, a byte order mark, quotation marks and semicolons: what pasting, quoting and piping add."""
_MARK_IN_CP1252: Final = "\xef\xbb\xbf"
"""A byte order mark that was read by the code page of Windows."""


class ConnectionString(Frozen):
    """One key of a hub or namespace, and where it is used.

    Attributes:
        endpoint: the namespace's base URL, https (or http to loopback), without a trailing slash.
        key_name: the access policy's name.
        key: the access policy's key, which only ``key.reveal()`` shows; it is given as text. So the whole
            can be copied, but not pickled.
        entity_path: the hub's name where the string carries one, else None.
    """

    endpoint: str
    key_name: str
    key: Secret[str]
    entity_path: str | None = None

    def __init__(
        self, endpoint: str, key_name: str, key: str | Secret[str], entity_path: str | None = None
    ) -> None:
        self.__dict__.update(endpoint=endpoint, key_name=key_name, key=Secret(key), entity_path=entity_path)

    @classmethod
    @hiding_arguments
    def parse(cls, text: str) -> ConnectionString:
        """Read a connection string: keys in any order and case, ``=`` in values, with or without EntityPath.

        Args:
            text: as the portal shows it; what `bare` drops does not matter.

        Returns:
            Its parts.

        Raises:
            ConfigurationError: a part is missing, doubled or malformed. The message never holds the key.
        """
        if not validation.is_text(text):
            raise ConfigurationError(
                f"connection string: is {type(text).__name__}, not readable text", _COPY_AGAIN
            )
        values = _named_parts(str.__str__(text))  # a key ring may give a subclass, with ways of its own
        for name in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey"):
            if not values.get(name.lower()):
                raise ConfigurationError(
                    f"connection string: {name} is missing", "copy all of it from the hub's access policies"
                )
        for name in ("SharedAccessKeyName", "SharedAccessKey"):
            value = values[name.lower()]
            if len(value) > MAX_KEY_CHARACTERS:
                raise ConfigurationError(
                    f"connection string: {name} has more than {MAX_KEY_CHARACTERS} characters", _COPY_AGAIN
                )
            if not value.isascii() or not value.isprintable() or " " in value:
                raise ConfigurationError(
                    f"connection string: {name} holds white space, or a character that is not ASCII or "
                    "cannot be seen",
                    "copy it again, in one line",
                )
        return cls(
            endpoint=read_endpoint(values["endpoint"], "connection string: Endpoint"),
            key_name=values["sharedaccesskeyname"],
            key=Secret(values["sharedaccesskey"]),
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
        """Whether the key's name says that it may do more than a device needs, in one of its words."""
        is_default = self.key_name.lower() in _DEFAULT_POLICIES
        return is_default or not _MORE_THAN_LISTEN.isdisjoint(words_of_name(self.key_name))

    def check_hub(self, hub: str) -> None:
        """Check that a connection string which names its hub names this one.

        Args:
            hub: the hub's name.

        Raises:
            ConfigurationError: it names another.
        """
        if self.entity_path is not None and self.entity_path.lower() != hub.lower():
            raise ConfigurationError(
                f'connection string: is for hub "{self.entity_path}", not "{hub}"', "take that of this hub"
            )

    def token(self, resource: str, now: datetime, lifetime: timedelta | None = None) -> str:
        """Sign a SAS token for one resource.

        Args:
            resource: the URL that the token is for, without its query: the narrowest audience.
            now: the time by the hub's clock, aware.
            lifetime: how long it is valid; None: `TOKEN_SECONDS`.

        Returns:
            The value of an Authorization header.
        """
        import hmac
        from base64 import b64encode
        from urllib.parse import quote

        audience = quote(resource.lower(), safe="")
        expiry = int(now.timestamp() + (TOKEN_SECONDS if lifetime is None else lifetime.total_seconds()))
        digest = hmac.digest(self.key.reveal().encode(), f"{audience}\n{expiry}".encode(), "sha256")
        signature = quote(b64encode(digest), safe="")
        name = quote(self.key_name, safe="")
        return f"SharedAccessSignature sr={audience}&sig={signature}&se={expiry}&skn={name}"


def bare(text: str) -> str:
    """Drop what pasting, quoting and piping put around a connection string."""
    return text.removeprefix(_MARK_IN_CP1252).strip(_AROUND)


def _named_parts(text: str) -> dict[str, str]:
    """Read the parts of a connection string, by name in lower case."""
    values: dict[str, str] = {}
    for number, part in enumerate(bare(text).split(";"), start=1):
        name, equals, value = (piece.strip() for piece in part.strip().partition("="))
        if not name and not equals:
            continue
        if not equals or not name:
            raise ConfigurationError(f'connection string: part {number} is not "Name=value"', "copy it whole")
        if values.setdefault(name.lower(), value) != value:
            called = name if name.lower() in _NAMES else f"the name of part {number}"
            raise ConfigurationError(
                f"connection string: {called} is given twice, with two values", "give one"
            )
    return values


def words_of_name(name: str) -> list[str]:
    """Part a name into its words, in lower case: ``RootManageKey2`` has root, manage and key.

    Args:
        name: words end at what is no letter, before a capital after a small letter, and before the last of
            several capitals where a small letter follows.
    """
    words = [""]
    for at, letter in enumerate(name):
        if not letter.isalpha():
            words.append("")
            continue
        before, after = name[at - 1 : at], name[at + 1 : at + 2]
        if letter.isupper() and (before.islower() or (before.isupper() and after.islower())):
            words.append("")
        words[-1] += letter.lower()
    return [word for word in words if word]


def read_endpoint(text: str, name: str) -> str:
    """Read a namespace's address: ``sb://`` and ``https://`` of any host and port, ``http://`` of loopback.

    Args:
        text: the address; without a scheme it is one of https.
        name: what to call it in an error.

    Returns:
        The base URL, without a trailing slash.

    Raises:
        ConfigurationError: not such an address; http to another machine would show the device's tokens.
    """
    if not isinstance(text, str) or not text.strip().isprintable() or " " in text.strip():
        raise _not_an_address(name)
    validation.check_setting(name, text)
    text = text.strip()
    try:
        scheme, host, port = _parts_of(text if "://" in text else f"https://{text}")
    except ValueError:
        raise _not_an_address(name) from None
    if not host or port == 0 or scheme not in _SCHEMES:
        raise _not_an_address(name)
    if host in _SCHEMES:  # what a tool left of one that took its // for an odd path
        raise _not_an_address(name)
    if scheme == "http":
        from nhagent.loopback import is_loopback_host

        if not is_loopback_host(host):
            raise ConfigurationError(
                f"{name} http://{host}: plain http is for loopback alone", "use sb:// or https://"
            )
    # What no resolver takes would be asked for again and again.
    labels = host.removesuffix(".").split(".")
    is_name = _IN_NAMES.issuperset(host) and "" not in labels and len(host) <= MAX_HOST_CHARACTERS
    is_name = is_name and len(max(labels, key=len)) <= MAX_LABEL_CHARACTERS
    if not is_name and not (":" in host and _IN_IPV6.issuperset(host)):
        raise _not_an_address(name)
    scheme = "http" if scheme == "http" else "https"
    if port == _DEFAULT_PORTS[scheme]:
        port = None  # the same namespace, written longer
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port else "")


def _parts_of(address: str) -> tuple[str, str, int | None]:
    """Part an address into scheme, host, both in lower case, and port.

    One of the usual form is read here: loading ``urllib.parse``, which reads all others, would cost an
    unchanged start a twentieth.

    Raises:
        ValueError: it is none, or names a user.
    """
    scheme, _, rest = address.partition("://")
    host, colon, port = rest.removesuffix("/").lower().partition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) <= MAX_PORT_CHARACTERS
    if scheme in _SCHEMES and host and _IN_NAMES.issuperset(host) and (is_port or not colon):
        number = int(port) if colon else None
    else:
        from urllib.parse import urlsplit

        parts = urlsplit(address)
        if "@" in parts.netloc:
            raise ValueError
        scheme, host, number = parts.scheme, parts.hostname or "", parts.port
    if number is not None and number > MAX_PORT:
        raise ValueError
    return scheme, host, number


def _not_an_address(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name}: is not the address of a namespace", "give one like sb://NAMESPACE.servicebus.windows.net/"
    )


def namespace_of(endpoint: str) -> str:
    """Give the host of a base URL, with the port where one is given, in lower case."""
    return endpoint.partition("://")[2].partition("/")[0].lower()
