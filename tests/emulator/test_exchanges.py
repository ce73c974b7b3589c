"""What the emulator keeps of its latest requests, for people who look at them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.log import SHOWN_BYTES, WHOLE_KEPT, Exchange

from .caller import Caller, wns


@pytest.fixture
def lenient() -> Iterator[tuple[Emulator, Caller]]:
    with (
        Emulator("my-hub", lenient=True) as running,
        Caller(running.endpoint, running.listen, running.hub) as caller,
    ):
        yield running, caller


def exchanges(emulator: Emulator) -> list[Exchange]:
    return emulator._parts().log.exchanges()


def test_a_request_is_kept_with_its_reply_but_without_its_token(emulator: Emulator, hub: Caller) -> None:
    emulator.set_clock(60)
    hub.put(wns())
    hub.get("other")
    failed, written = exchanges(emulator)
    assert (written.number, failed.number) == (1, 2)
    assert [each.entry for each in (written, failed)] == emulator.log()
    assert written.body == emulator.bodies()[0]
    assert written.headers["Host"] == emulator.endpoint.removeprefix("http://")
    assert "authorization" not in map(str.lower, written.headers)
    assert hub.token().partition(" ")[2] not in repr(written)
    assert "sr=" not in repr(written.headers)
    assert written.reply_headers["Server"] == "Kestrel"
    assert b"Installation not found" in failed.reply_body
    assert written.at == pytest.approx(emulator._parts().clock.now(), abs=600)
    assert written.strict is failed.strict is None


def test_a_reset_connection_is_kept_as_not_carried_out(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", reset="before")
    with pytest.raises(ConnectionError):
        hub.put(wns())
    (exchange,) = exchanges(emulator)
    assert (exchange.entry.status, exchange.reply_body) == (0, b"")


def test_only_the_latest_are_kept_whole_and_a_page_goes_on_before_a_number(
    emulator: Emulator, hub: Caller
) -> None:
    for _ in range(WHOLE_KEPT + 3):
        hub.delete("none")
    log = emulator._parts().log
    assert [each.number for each in log.exchanges(2)] == [WHOLE_KEPT + 3, WHOLE_KEPT + 2]
    assert [each.number for each in log.exchanges(2, before=6)] == [5, 4]
    assert log.exchange(4).number == 4
    for number in (3, WHOLE_KEPT + 4):
        with pytest.raises(KeyError):
            log.exchange(number)
    emulator.clear_log()
    assert log.exchanges() == []


def test_long_bodies_are_shown_in_part(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(tags=["x" * (SHOWN_BYTES + 9)]))
    (exchange,) = exchanges(emulator)
    assert len(exchange.body) == len(exchange.reply_body) == SHOWN_BYTES
    assert len(emulator.bodies()[0]) > SHOWN_BYTES


def test_a_lenient_hub_says_what_the_service_would_have_refused(lenient: tuple[Emulator, Caller]) -> None:
    emulator, hub = lenient
    refused = wns(pushChannel="not an address")
    assert hub.put(refused).status == 200
    assert hub.put(wns(installationId="fine")).status == 200
    assert hub.put(wns(platform="nothing")).status == 400
    wrong, fine, first = exchanges(emulator)
    assert first.strict is not None
    assert first.strict[0] == 400
    assert "not an absolute http or https address" in first.strict[1]
    assert fine.strict is None
    # This hub refused it too.
    assert wrong.strict is None


def test_asking_what_the_service_would_do_changes_nothing(lenient: tuple[Emulator, Caller]) -> None:
    emulator, hub = lenient
    hub.put(wns())
    before = hub.control("GET", "/snapshot").json
    assert hub.delete("i").status == 204
    hub.put(wns())
    after = hub.control("GET", "/snapshot").json
    assert after["installations"] == before["installations"]
    assert [each["etag"] for each in after["registrations"]] == ["1"]
    assert all(each.strict is None for each in exchanges(emulator))
