"""Write registrations as the service does: Atom entries and feeds, on one line, without XML declaration."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from nhagent.emulator.atom.descriptions import COMPACT, HEADERS, Registration
from nhagent.emulator.atom.escaping import cdata, escaped, quoted
from nhagent.emulator.atom.reader import ATOM, CONTRACT, INSTANCE

METADATA = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"

_NEVER = "9999-12-31T23:59:59.999"


def etag_of(registration: Registration) -> str:
    """Return a registration's ETag as the header carries it."""
    return f'W/"{registration.etag}"'


def write_entry(registration: Registration, address: str, now: float, *, written: bool) -> str:
    """Write the document that answers a request about one registration.

    Args:
        registration: as the hub keeps it.
        address: its URL.
        now: the time of the reply, seconds since 1970; the service shows no other.
        written: the request was a write. The service then leaves the zone out of the expiration time.
    """
    return _entry(registration, address, now, f'xmlns="{ATOM}" ', "" if written else "Z")


def write_feed(
    registrations: list[tuple[Registration, str]], address: str, following: str | None, now: float
) -> str:
    """Write the document that answers a list.

    Args:
        registrations: each with its URL.
        address: the URL of the request.
        following: the URL of the next page, or None.
        now: the time of the reply, seconds since 1970.
    """
    parts = [
        f'<feed xmlns="{ATOM}"><title type="text">Registrations</title><id>{escaped(address)}</id>',
        f'<updated>{_time(now)}</updated><link rel="self" href={quoted(address)}/>',
    ]
    if following is not None:
        parts.append(f'<link rel="next" href={quoted(following)}/>')
    parts += [_entry(registration, url, now, "", "Z") for registration, url in registrations]
    return "".join([*parts, "</feed>"])


def _entry(registration: Registration, address: str, now: float, atom: str, zone: str) -> str:
    return (
        f'<entry a:etag={quoted(etag_of(registration))} {atom}xmlns:a="{METADATA}">'
        f'<id>{escaped(address)}</id><title type="text">{escaped(registration.id)}</title>'
        f"<published>{_time(now)}</published><updated>{_time(now)}</updated>"
        f'<link rel="self" href={quoted(address)}/>'
        f'<content type="application/xml">{_description(registration, zone)}</content></entry>'
    )


def _description(registration: Registration, zone: str) -> str:
    kind = registration.description.kind
    name = f"{kind.name}RegistrationDescription"
    elements = "".join(_elements(registration, zone))
    return f'<{name} xmlns="{CONTRACT}" xmlns:i="{INSTANCE}">{elements}</{name}>'


def _elements(registration: Registration, zone: str) -> Iterator[str]:
    description = registration.description
    own = {
        "ETag": str(registration.etag),
        "ExpirationTime": registration.expiration or _NEVER + zone,
        "RegistrationId": registration.id,
    }
    values: dict[str, Any] = description.values | own
    for element in description.kind.elements:
        name = element.name
        if name in values:
            yield f"<{name}>{_content(name, values[name])}</{name}>"
        elif name == "Expiry":
            # Only Apple's templates show elements that are unset.
            yield '<Expiry i:nil="true"/>'
        elif name == "ApnsHeaders":
            yield "<ApnsHeaders/>"


def _content(name: str, value: Any) -> str:
    if name == "Tags":
        return escaped(",".join(value))
    if name == "PushVariables":
        return escaped(COMPACT.encode(value))
    if name in HEADERS:
        return "".join(
            _header(HEADERS[name], header, value[header]) for header in sorted(value, key=str.lower)
        )
    return cdata(value) if name == "BodyTemplate" else escaped(value)


def _header(one: str, name: str, value: str) -> str:
    return f"<{one}><Header>{escaped(name)}</Header><Value>{escaped(value)}</Value></{one}>"


def _time(seconds: float) -> str:
    return _whole_time(int(seconds))


@lru_cache(maxsize=1)  # a feed needs it two hundred times
def _whole_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
