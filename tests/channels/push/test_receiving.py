"""What is sent to a device reaches its app: at least once, in order, and no more often than it must."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from nhagent import AsyncAgent
from nhagent.channels import Message
from nhagent.channels.messages import MAX_MESSAGES
from nhagent.errors import ConfigurationError
from tests.channels.push.conftest import FakeTime, HeadlessDevice
from tests.events import happens

pytestmark = pytest.mark.slow


def codes(headless: HeadlessDevice) -> list[int]:
    """The codes with which messages were acknowledged."""
    log = headless.hub.push_service.log()
    return [update["code"] for said in log if said.get("messageType") == "ack" for update in said["updates"]]


def waiting(headless: HeadlessDevice) -> list[Any]:
    """The messages that wait on disk."""
    return list(json.loads(headless.path("messages.json").read_text())["kept"]["waiting"])


def test_message_is_handed_on_acknowledged_and_struck_out(headless: HeadlessDevice) -> None:
    agent = headless.agent()
    with headless.receiving(agent.receive) as received:
        assert happens(lambda: headless.hub.contents()["installations"])
        assert headless.push("hello, attic ☂") == 201
        assert happens(lambda: received.texts == ["hello, attic ☂"])
        assert happens(lambda: codes(headless) == [100])
    assert waiting(headless) == []
    assert received.messages[0].data == "hello, attic ☂".encode()
    assert "hello" not in repr(received.messages[0])


def test_messages_that_waited_at_the_push_service_come_in_order(headless: HeadlessDevice) -> None:
    headless.agent().start()
    texts = [f"message {number}" for number in range(25)]
    for text in texts:
        headless.push(text)
    with headless.receiving(headless.agent().receive) as received:
        assert happens(lambda: len(received.messages) == 25)
        headless.push("the last one")
        assert happens(lambda: len(received.messages) == 26)
    assert received.texts == [*texts, "the last one"]
    [user] = headless.hub.push_service.state().values()
    assert user["stored"] == []


def test_message_that_comes_twice_is_handed_on_once_and_acknowledged_twice(headless: HeadlessDevice) -> None:
    headless.agent().start()
    headless.hub.push_service.sends_twice = True
    with headless.receiving(headless.agent().receive) as received:
        headless.push("once")
        assert happens(lambda: codes(headless) == [100, 100])
        headless.push("and another")
        assert happens(lambda: len(codes(headless)) == 4)
    assert received.texts == ["once", "and another"]


def test_app_that_fails_gets_the_message_again_before_any_other(headless: HeadlessDevice) -> None:
    headless.agent().start()
    failures = iter([ValueError("not now"), OSError("nor now")])
    tried: list[str | None] = []

    def take(message: Message) -> None:
        tried.append(message.text)
        for failure in failures:
            raise failure

    fake = FakeTime()
    with headless.receiving(headless.agent(sleep=fake.sleep).receive, take) as received:
        headless.push("first")
        headless.push("second")
        assert happens(lambda: len(received.messages) == 2)
    assert tried == ["first", "first", "first", "second"]
    assert len({message.id for message in received.messages}) == 2


def test_message_that_fails_five_times_is_dropped_with_a_warning(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    headless.agent().start()
    tried: list[str | None] = []

    def take(message: Message) -> None:
        tried.append(message.text)
        if message.text == "poison":
            raise ValueError("SharedAccessKey=do-not-show")

    fake = FakeTime()
    with headless.receiving(headless.agent(sleep=fake.sleep).receive, take) as received:
        headless.push("poison")
        headless.push("food")
        assert happens(lambda: received.texts == ["food"])
    assert tried == ["poison"] * 5 + ["food"]
    assert "is dropped: it was handed on 5 times in vain" in caplog.text
    assert "do-not-show" not in caplog.text
    assert waiting(headless) == []


def test_failures_are_counted_across_restarts(headless: HeadlessDevice) -> None:
    headless.agent().start()
    headless.push("poison")
    tried = 0

    class Died(BaseException):
        pass

    def fail(_: Message) -> None:
        nonlocal tried
        tried += 1
        if tried in {2, 4}:
            raise Died
        raise ValueError

    for _ in range(2):
        with pytest.raises(Died):
            headless.agent(sleep=FakeTime().sleep).receive(fail)
    assert [message["failures"] for message in waiting(headless)] == [2]


def test_process_that_dies_with_a_message_gets_it_again(headless: HeadlessDevice) -> None:
    headless.agent().start()

    class Died(BaseException):
        pass

    def die(_: Message) -> None:
        raise Died

    headless.push("survivor")
    with pytest.raises(Died):
        headless.agent().receive(die)
    [user] = headless.hub.push_service.state().values()
    assert user["stored"] == []  # it was acknowledged: the device alone has it
    with headless.receiving(headless.agent().receive) as received:
        assert happens(lambda: received.texts == ["survivor"])
    with headless.receiving(headless.agent().receive) as received:
        headless.push("next")
        assert happens(lambda: received.messages)
    assert received.texts == ["next"]


def test_full_spool_leaves_what_comes_at_the_push_service_until_there_is_room(
    headless: HeadlessDevice,
) -> None:
    headless.agent().start()
    go_on = Event()
    texts = [f"message {number}" for number in range(MAX_MESSAGES + 20)]
    fake = FakeTime()
    with headless.receiving(headless.agent(sleep=fake.sleep).receive, lambda _: go_on.wait(60)) as received:
        for text in texts[:MAX_MESSAGES]:
            headless.push(text)
        assert happens(lambda: len(codes(headless)) == MAX_MESSAGES)
        for text in texts[MAX_MESSAGES:]:
            headless.push(text)
        assert len(waiting(headless)) == MAX_MESSAGES
        go_on.set()
        assert happens(lambda: len(received.messages) == len(texts))
    assert received.texts == texts
    assert waiting(headless) == []


def test_message_for_other_keys_is_acknowledged_as_such_and_dropped(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    headless.agent().start()
    from nhagent.channels.encryption import new_keys
    from nhagent.emulator.push.sender import post
    from nhagent.emulator.push.vapid import Pair

    subscription = {**headless.held["pushChannel"], "p256dh": new_keys().p256dh}
    with headless.receiving(headless.agent().receive) as received:
        posted = post(subscription, b"for somebody else", Pair(headless.hub.vapid_private_key))
        assert posted.status == 201
        assert happens(lambda: codes(headless) == [101])
        headless.push("for us")
        assert happens(lambda: received.texts == ["for us"])
    assert "cannot be decrypted, and is dropped" in caplog.text


def test_receiving_twice_at_once_is_refused(headless: HeadlessDevice) -> None:
    channel = headless.channel()
    agent = headless.agent(channel=channel)
    with headless.receiving(agent.receive), pytest.raises(ConfigurationError, match="receives already"):
        channel.receive(print)


def test_message_sent_while_the_app_is_busy_is_on_disk_already(headless: HeadlessDevice) -> None:
    headless.agent().start()
    go_on = Event()
    with headless.receiving(headless.agent().receive, lambda _: go_on.wait(60)) as received:
        headless.push("first")
        headless.push("second")
        assert happens(lambda: codes(headless) == [100, 100])
        assert len(waiting(headless)) == 2
        go_on.set()
        assert happens(lambda: len(received.messages) == 2)


def test_registered_again_while_it_receives_after_it_was_unregistered(headless: HeadlessDevice) -> None:
    agent = headless.agent()
    with headless.receiving(agent.receive) as received:
        assert happens(lambda: headless.hub.contents()["installations"])
        assert agent.unregister().outcome == "disabled"
        assert headless.subscriptions == []
        agent.enable()
        assert happens(headless.is_connected)
        headless.push("back again")
        assert happens(lambda: received.texts == ["back again"])


def test_asynchronous_app_is_done_with_a_message_when_it_asks_for_the_next(headless: HeadlessDevice) -> None:
    headless.agent().start()
    for text in ("one", "two", "three"):
        headless.push(text)
    taken: list[str | None] = []

    async def main(number: int) -> None:
        given: dict[str, Any] = {
            "app": "sensor",
            "hub": headless.hub.hub,
            "channel": headless.channel(),
            "tags": ["attic"],
            "connection_string": headless.hub.listen,
            "state_dir": headless.folder,
            "machine": lambda: headless.machine,
        }
        async with AsyncAgent(**given) as agent:
            messages = agent.messages()
            async for message in messages:
                taken.append(message.text)
                if len(taken) == number:
                    break
            await messages.aclose()  # type: ignore[attr-defined]

    asyncio.run(main(2))
    assert taken == ["one", "two"]
    asyncio.run(main(4))
    assert taken == ["one", "two", "two", "three"]  # the second was not done


def test_asynchronous_app_hears_why_nothing_can_be_received(headless: HeadlessDevice, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncAgent(
            app="sensor",
            hub=headless.hub.hub,
            platform="wns",
            channel="https://push.example/1",
            connection_string=headless.hub.listen,
            state_dir=tmp_path,
        ) as agent:
            async for _ in agent.messages():
                raise AssertionError

    with pytest.raises(ConfigurationError, match="its source receives nothing"):
        asyncio.run(main())
