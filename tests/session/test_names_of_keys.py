"""A key is judged by the words of its name, as far as a name can tell what it may do."""

from __future__ import annotations

import pytest

from nhagent import Agent, ConnectionString
from nhagent.errors import CredentialError
from nhagent.hub.connection import words_of_name
from tests.device_under_test import Device

MORE = [
    "DefaultFullSharedAccessSignature", "RootManageSharedAccessKey", "rootmanagesharedaccesskey", "Manage",
    "device-manage", "manage_2", "FULL", "FullAccess", "fullKey", "HUBFull2", "Root.Manage", "myManageKey",
    "defaultfullsharedaccesssignature", "RootManage", "rootmanage", "Listen+Manage",
]  # fmt: skip
NO_MORE = [
    "DefaultListenSharedAccessSignature", "DeviceManager", "Management", "fulfilment", "Carefully", "Managed",
    "Listen", "devices", "Fullerton", "UnmanagedDevices", "a", "Hauptschluessel",
]  # fmt: skip


@pytest.mark.parametrize("name", MORE)
def test_key_whose_name_says_that_it_may_do_more_is_refused(device: Device, name: str) -> None:
    given = device.hub.listen.replace("DefaultListenSharedAccessSignature", name)
    assert ConnectionString.parse(given).allows_more_than_listen
    with pytest.raises(CredentialError, match="may do more than listen"):
        device.agent(connection_string=given)
    assert isinstance(device.agent(connection_string=given, allow_full_access=True), Agent)


@pytest.mark.parametrize("name", NO_MORE)
def test_key_in_whose_name_such_a_word_is_only_a_part_of_another_is_taken(device: Device, name: str) -> None:
    given = device.hub.listen.replace("DefaultListenSharedAccessSignature", name)
    assert not ConnectionString.parse(given).allows_more_than_listen
    assert isinstance(device.agent(connection_string=given), Agent)


def test_words_of_a_name_end_where_a_reader_sees_their_end() -> None:
    assert words_of_name("RootManageKey2") == ["root", "manage", "key"]
    assert words_of_name("HTTPFull-key_b") == ["http", "full", "key", "b"]
    assert words_of_name("") == words_of_name("2-3") == []
