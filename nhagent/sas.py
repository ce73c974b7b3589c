"""SAS tokens for devices that hold no key: a backend makes one, a device's agent is given it.

On the server: `token_for_installation`. On the device: ``Agent(token=…)``, a callable that asks the server.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.connection import ConnectionString
from nhagent.secret import Secret, hidden, hiding_arguments
from nhagent.values import Frozen

__all__ = ["SasToken", "token_for_installation"]

LONGEST: Final = timedelta(days=30)
"""Longest life of a token: what a device keeps for longer is as good as a key."""


class SasToken(Frozen):
    """A SAS token for one installation. No ``repr`` shows it.

    Attributes:
        value: the value of an Authorization header, ``SharedAccessSignature sr=…``.
        expires_at: when it ends, aware.
    """

    value: str
    expires_at: datetime
    _hidden = frozenset({"value"})


@hiding_arguments
def token_for_installation(
    connection_string: str | ConnectionString,
    hub: str,
    installation_id: str,
    lifetime: timedelta = timedelta(hours=1),
    *,
    now: datetime | None = None,
) -> SasToken:
    """Make a token with which a device can write, read and delete one installation, and nothing else.

    Source: the service takes a token for every address below its audience, ``sr``.

    Args:
        connection_string: of a policy with the Listen right; a full one makes a token that may not do more.
        hub: the hub's name.
        installation_id: the device's.
        lifetime: from a second to 30 days.
        now: the time, aware; None: this machine's.

    Raises:
        ConfigurationError: an argument is wrong.
    """
    credential = hidden(connection_string)
    if isinstance(credential, Secret):
        connection = ConnectionString.parse(credential.reveal())
    elif isinstance(credential, ConnectionString):
        connection = credential
    else:
        raise ConfigurationError(
            f"connection_string: is {type(connection_string).__name__}", "give text or a ConnectionString"
        )
    connection.check_hub(validation.checked_hub_name(hub))
    validation.check_installation_id(installation_id)
    if not isinstance(lifetime, timedelta) or not timedelta(seconds=1) <= lifetime <= LONGEST:
        raise ConfigurationError(
            f"lifetime {validation.shown(lifetime)}: is not such a duration",
            "give a timedelta from a second to 30 days",
        )
    resource = f"{connection.endpoint}/{quote(hub)}/installations/{quote(installation_id, safe='')}"
    moment = datetime.now(UTC) if now is None else now
    if moment.tzinfo is None:
        raise ConfigurationError("now: has no time zone", "give an aware datetime")
    ends = datetime.fromtimestamp(int((moment + lifetime).timestamp()), UTC)
    return SasToken(connection.token(resource, moment, lifetime), ends)
