"""Tests of an app that uses nhagent: what it registers, and what it does when things go wrong.

Install nhagent beside pytest and run ``pytest test_my_app.py``: the fixtures are there without an import.
"""

from __future__ import annotations

from nhagent import Agent, HubClient, Outcome
from nhagent.emulator import Emulator

BODY = '{"message": {"notification": {"body": "Dinner"}}}'


def my_agent(hub: Emulator, handle: str = "dQw4:APA91b-good_1x") -> Agent:
    """The app under test would make it."""
    return Agent(app="kitchen-display", hub=hub.hub, platform="fcmv1", channel=handle, tags=["kitchen"])


def test_first_start_registers_and_the_second_sends_nothing(notification_hub: Emulator) -> None:
    assert my_agent(notification_hub).start().outcome is Outcome.REGISTERED
    notification_hub.clear_log()
    assert my_agent(notification_hub).start().outcome is Outcome.UNCHANGED
    assert notification_hub.log() == []


def test_new_handle_is_one_request(notification_hub: Emulator) -> None:
    my_agent(notification_hub).start()
    notification_hub.clear_log()
    my_agent(notification_hub, "dQw4:APA91b-other_1x").start()
    assert [entry.method for entry in notification_hub.log()] == ["PATCH"]


def test_app_starts_while_the_hub_is_away(notification_hub: Emulator) -> None:
    notification_hub.fail("*", status=503, times=100)
    report = my_agent(notification_hub).start(timeout=0)
    assert report.outcome is Outcome.WAITING
    notification_hub.clear_faults()
    assert my_agent(notification_hub).start().in_sync


def test_message_to_the_kitchen_arrives(notification_hub: Emulator) -> None:
    installation = my_agent(notification_hub).start().installation_id
    with HubClient(notification_hub.full, notification_hub.hub) as backend:
        backend.send("fcmv1", BODY, tags="kitchen && !guest")
    [message] = notification_hub.wait_for_delivery(tag="kitchen").matched
    assert message.installation == installation
    assert "Dinner" in message.body
