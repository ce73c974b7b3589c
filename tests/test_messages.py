"""What errors say: about which object, what is so, and what to do next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, Template
from nhagent.channels import from_file
from nhagent.commands.config import read_agent
from nhagent.errors import ChannelError, ConfigurationError, HubUnavailable
from tests.device_under_test import Device

HANDLE = "AB" * 32
BODY = "templates['alert'].body: platform apns needs a JSON object"
NO_NAME = "Expecting property name enclosed in double quotes at line 2, column 1"
NESTED = '{"a":' * 100_000


def installation(**fields: Any) -> Installation:
    return Installation(**{"installation_id": "a", "platform": "apns", "push_channel": HANDLE, **fields})


@pytest.mark.parametrize(
    ("fields", "fact", "hint"),
    [
        (
            {"templates": {"alert": Template('{"aps": {"alert": $(m)}}')}},
            f"{BODY}, and this is not JSON (Expecting value at line 1, column 19)",
            "correct the body at line 1, column 19",
        ),
        (
            {"templates": {"alert": Template("{\n'a': 1}")}},
            f"{BODY}, and this is not JSON ({NO_NAME})",
            "correct the body at line 2, column 1",
        ),
        (
            {"templates": {"alert": Template("[1]")}},
            f"{BODY}, and this is JSON of another type",
            "give the notification of platform apns: a JSON object, {…}",
        ),
        (
            {"templates": {"alert": Template(NESTED)}},
            f"{BODY}, and this one is beyond any that can be read",
            "give the notification of platform apns: a JSON object, {…}",
        ),
        ({"user_id": 5}, "user_id 5: not text", "give text, between quotation marks"),
        ({"tags": [5]}, "tags 5: not text", "give text, between quotation marks"),
        (
            {"installation_id": 5},
            "installation_id 5: not text",
            "give text, between quotation marks",
        ),
        (
            {"templates": {5: Template("{}")}},
            "templates 5: not text",
            "give text, between quotation marks",
        ),
        (
            {"user_id": "a b"},
            "user_id 'a b': has other characters than a user id may",
            "give one of letters, digits and - _ @ # . : =",
        ),
    ],
)
def test_wrong_value_is_told_by_what_it_is_what_is_wrong_and_what_is_right(
    fields: dict[str, Any], fact: str, hint: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        installation(**fields)
    assert (caught.value.fact, caught.value.hint) == (fact, hint)


@pytest.mark.parametrize(
    ("config", "fact", "hint"),
    [
        ("[hub]\n[device]", "app: is missing", 'write app = "…" at the top of the file'),
        ('app = "a"', "hub: is missing", "write a line [hub], and its keys below it"),
        ('app = "a"\n[hub]\n[device]', "hub.name: is missing", 'write name = "…" in [hub]'),
        ('app = "a"\n[hub]\nname = "h"\n[device]', "device.platform: is missing",
         'write platform = "…" in [device]'),
        ('app = "a"\n[device]\n[hub]\nname = 5', "hub.name: is of type int", "write text in quotes"),
    ],
)  # fmt: skip
def test_what_is_missing_in_a_configuration_is_told_with_how_to_write_it(
    write_config: Callable[[str], str], config: str, fact: str, hint: str
) -> None:
    path = write_config(config)
    with pytest.raises(ConfigurationError) as caught:
        read_agent(path)
    assert (caught.value.fact, caught.value.hint) == (f"configuration file {path}: {fact}", hint)


def test_host_that_cannot_be_resolved_is_told_as_that_and_asked_for_once() -> None:
    key = "Endpoint=sb://no-such-host.invalid/;SharedAccessKeyName=L;SharedAccessKey=QQ=="
    with HubClient(key, "hub") as client, pytest.raises(HubUnavailable) as caught:
        client.put_installation(Installation("a", Platform.GCM, "handle"))
    assert caught.value.fact.startswith("no answer from no-such-host.invalid: its name cannot be resolved (")
    assert caught.value.hint.startswith("check the host's name in the connection string's Endpoint")
    assert "tried again" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429},
        {"status": 302},
        {"status": 409},
        {"reset": "before"},
        {"cut_after": 30},
    ],
)
def test_report_of_a_start_says_what_is_true_for_whoever_reads_it(
    device: Device, fault: dict[str, Any]
) -> None:
    device.hub.fail("*", times=9, **fault)
    report = device.agent().start(timeout=0)
    assert report.error is not None and report.next_attempt is not None
    assert "tried again" not in str(report.error)
    assert report.error.fact and report.error.hint


def test_channel_file_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(ChannelError) as caught:
        from_file("/no/such/channel")()
    assert caught.value.fact == "channel file '/no/such/channel': is not there yet"
    assert caught.value.hint == "see who writes it, and whether the path is right"
