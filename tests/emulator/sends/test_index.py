"""A send to a tag reads the devices that carry it, however many others there are."""

from __future__ import annotations

from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller


@pytest.mark.slow
@pytest.mark.parametrize(
    ("expression", "read"),
    [
        ("few", 3),
        ("few && all", 3),
        ("all && few && !other", 3),
        ("few || rare", 4),
        ("$InstallationId:{7}", 1),
        ("(few || rare) && all", 4),
    ],
)
def test_a_send_to_a_tag_reads_the_rows_of_that_tag_alone(expression: str, read: int) -> None:
    with Emulator("h") as emulator, Caller(emulator.endpoint, emulator.full, "h") as backend:
        emulator.restore({"installations": [device(number) for number in range(2_000)]})
        table = emulator._parts().hub.table
        seen: list[str] = []
        table._database.set_trace_callback(seen.append)
        headers = {
            "ServiceBusNotification-Format": "gcm",
            "ServiceBusNotification-Tags": expression,
        }
        reply = backend.send("POST", "/h/messages?api-version=2020-06", '{"data":{}}', headers=headers)
        assert reply.status == 201
        table._database.set_trace_callback(None)
        wanted = [query for query in seen if query.startswith("SELECT") and "registration_tags" in query]
        assert wanted
        for query in wanted:
            plan = table._database.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            steps = [str(step[-1]) for step in plan]
            assert not [step for step in steps if step.startswith("SCAN registrations")], (query, steps)
            assert not [step for step in steps if step.startswith("SCAN registration_tags")], (query, steps)
        assert len(table._database.execute(wanted[-1]).fetchall()) == read


def device(number: int) -> dict[str, Any]:
    tags = ["all", *(["few"] if number % 700 == 0 else []), *(["rare"] if number == 5 else [])]
    return {
        "installationId": str(number),
        "platform": "gcm",
        "pushChannel": f"handle-{number}",
        "tags": tags,
    }
