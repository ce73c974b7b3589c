"""Whatever the page is asked, it answers without a fault of its own."""

from __future__ import annotations

import random
from urllib.parse import quote

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller, toast, wns

WORDS = [
    "",
    "\0",
    "x" * 3000,
    "kitchen && (",
    "-1",
    "9" * 40,
    "1e999",
    "nan",
    "é\u202e",
    "<b>",
    "&=;",
    "%",
    "i",
    "away",
]
NAMES = [
    "action",
    "back",
    "installation",
    "registration",
    "preset",
    "offset",
    "format",
    "tags",
    "body",
    "delivery",
]
NAMES += ["match", "why", "filter", "page", "lone", "reach", "request", "before", "problem", "snapshot"]
ACTIONS = [
    "reset",
    "clear-deliveries",
    "clear-log",
    "clear-faults",
    "fault",
    "clock",
    "expire",
    "forget",
    "gone",
    "send",
]
KINDS = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "text/plain",
    "",
]


@pytest.mark.parametrize("seed", range(6))
def test_no_query_and_no_form_brings_out_a_fault(seed: int, capfd: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(seed)
    with (
        Emulator("my-hub", lenient=True) as emulator,
        Caller(emulator.endpoint, emulator.full, "my-hub") as hub,
    ):
        for _ in range(150):
            emulator.clear_faults()
            hub.put(wns(installationId="i", templates={"t": toast()}))
            fields = "&".join(
                f"{draw.choice(NAMES)}={quote(draw.choice(WORDS), safe=draw.choice(['', '%&=']))}"
                for _ in range(draw.randrange(5))
            )
            if draw.random() < 0.5:
                view = draw.choice(["", "hub", "requests", "faults", "send", "x"])
                reply = hub.send("GET", f"/_emulator/ui/{view}?{fields.replace(chr(0), '')}", sign_it=False)
                assert reply.status in (200, 404)
            else:
                place = draw.choice(["do", "do", "restore"])
                body = (
                    f"action={draw.choice(ACTIONS)}&{fields}" if draw.random() < 0.8 else draw.choice(WORDS)
                )
                headers = {"Content-Type": draw.choice(KINDS)}
                reply = hub.send(
                    "POST", f"/_emulator/ui/{place}", body.encode(), headers=headers, sign_it=False
                )
                assert reply.status in (303, 400), reply.text
        emulator.set_clock(0)
        assert hub.get("i").status in (200, 404)
    assert capfd.readouterr() == ("", "")
