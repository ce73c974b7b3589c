"""Read a list of 1,000 registrations and plan 1,000 rows, again and again: ``ROUNDS``; prints JSON.

The answer has milliseconds by name. What is measured is checked: how many rows, steps and deletions come out.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

from nhagent import Installation, Registration, Template
from nhagent.device.accepted import Accepted
from nhagent.hub.atom import from_entry, from_feed, to_entry
from nhagent.hub.held import HeldRegistration
from nhagent.reconcile.planner import next_steps
from nhagent.registrars.adoption import adopted
from nhagent.registrars.protocol import WritePolicy
from nhagent.registrars.records import RegistrationRecord
from nhagent.registrars.registration import RegistrationRegistrar
from nhagent.registrars.rows import rows_of, to_json

ROWS = 1_000
PAGE = 100
"""Rows that the service gives at once."""
ATOM = "{http://www.w3.org/2005/Atom}"
CONNECT = "{http://schemas.microsoft.com/netservices/2010/10/servicebus/connect}"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
TEMPLATE = Template('{"data":{"message":"$(message)"}}')


def entry_of(number: int) -> str:
    """Write an entry as a hub lists it."""
    registration = Registration(
        "gcm", f"handle-{number}", ("kitchen", f"device:{number}"), {}, TEMPLATE, "alert"
    )
    written = to_entry(registration).decode()
    given = (
        f"<ETag>{number}</ETag><ExpirationTime>9999-12-31T23:59:59.9999999Z</ExpirationTime>"
        f"<RegistrationId>{number}-{number}-1</RegistrationId>"
    )
    return written.replace("<Tags>", f"{given}<Tags>", 1)


def by_hand(pages: list[bytes]) -> list[tuple[str | None, str | None]]:
    return [
        (entry.findtext(f".//{CONNECT}RegistrationId"), entry.findtext(f".//{CONNECT}GcmRegistrationId"))
        for page in pages
        for entry in ET.fromstring(page).findall(f"{ATOM}entry")
    ]


def read(pages: list[bytes]) -> list[HeldRegistration]:
    return [row for page in pages for row in from_feed(page)]


def no_hub() -> Any:
    raise AssertionError("a plan asks no hub")


def accepted_of(rows: dict[str, Registration]) -> Accepted:
    """Return what a hub has accepted that holds all rows."""
    records = {
        name: RegistrationRecord(id=f"{number}-1-1", row=to_json(row), accepted_at=NOW).to_json()
        for number, (name, row) in enumerate(rows.items())
    }
    return Accepted(style="registration", records=records, accepted_at=NOW, whole_at=NOW)


def timed(rounds: int, work: Callable[[], Any], expected: int) -> list[float]:
    """Return the milliseconds of each round; one before them is not counted."""
    found = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        result = work()
        found.append((time.perf_counter() - began) * 1000)
        assert len(result) == expected, (len(result), expected)
    return found[1:]


def main() -> None:
    rounds = int(sys.argv[1])
    entries = [entry_of(number) for number in range(ROWS)]
    pages = [
        f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(entries[first : first + PAGE])}</feed>'.encode()
        for first in range(0, ROWS, PAGE)
    ]
    installation = Installation(
        "device", "gcm", "handle", templates={f"t{number}": TEMPLATE for number in range(ROWS - 1)}
    )
    registrar, policy = RegistrationRegistrar(no_hub), WritePolicy()
    all_accepted = accepted_of(rows_of(installation))
    listed = read(pages)

    def steps(accepted: Accepted) -> Callable[[], Any]:
        return lambda: next_steps(registrar, installation, policy, accepted, NOW)

    print(
        json.dumps(
            {
                "list: ElementTree, two fields": timed(rounds, lambda: by_hand(pages), ROWS),
                "list: nhagent, pages of 100": timed(rounds, lambda: read(pages), ROWS),
                "list: nhagent, entries one by one": timed(
                    rounds, lambda: [from_entry(entry.encode()) for entry in entries], ROWS
                ),
                "plan: nothing accepted yet": timed(rounds, steps(Accepted(style="registration")), 2 * ROWS),
                "plan: all accepted": timed(rounds, steps(all_accepted), 0),
                "plan: all listed are stale": timed(
                    rounds, lambda: adopted({}, {"": listed}, Accepted(), None).to_delete, ROWS
                ),
            }
        )
    )
