"""Keys that die: the hub refuses one, and another source of the credential chain may hold its successor."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nhagent import ConnectionString
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, CredentialError, Forbidden, HubError, Unauthorized
from nhagent.report import StartState
from tests.device_under_test import Device


def dead(hub: Emulator) -> str:
    """A connection string whose key the hub does not know any more."""
    key = ConnectionString.parse(hub.listen).key.reveal()
    return hub.listen.replace(key, "ZGVhZC1rZXktdGhhdC13YXMtcmVnZW5lcmF0ZWQ=")


@pytest.fixture
def chain(
    device: Device, monkeypatch: pytest.MonkeyPatch, secret_file: Callable[[str], str]
) -> Callable[[str, str], None]:
    """Sets the file and the variable of the credential chain."""

    def fill(file: str, variable: str) -> None:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", secret_file(file))
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", variable)

    return fill


def test_other_source_of_the_chain_is_tried_when_the_hub_refuses_the_first(
    device: Device, chain: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    chain(dead(device.hub), device.hub.listen)
    agent = device.agent(connection_string=None)
    report = agent.start()
    assert (report.outcome, report.requests) == ("registered", 2)
    assert [entry.status for entry in device.hub.log()] == [401, 200]
    assert "$NHAGENT_CONNECTION_STRING_FILE holds a key that the hub refuses" in caplog.text
    device.channel = "https://push.example/2"
    assert agent.start().requests == 1, "the dead key is not tried again by this process"


def test_dead_key_with_no_other_is_named_by_its_source(
    device: Device, chain: Callable[[str, str], None]
) -> None:
    chain(dead(device.hub), dead(device.hub))
    with pytest.raises(Unauthorized, match=r"key is that of \$NHAGENT_CONNECTION_STRING_FILE, and no other"):
        device.start(connection_string=None)
    assert device.seen() == ["PUT"], "the same key from another source is not tried again"
    chain(dead(device.hub), device.hub.listen.replace("Listen", "Other"))
    with pytest.raises(Unauthorized, match=r"CONNECTION_STRING_FILE, \$NHAGENT_CONNECTION_STRING, and no"):
        device.start(connection_string=None)
    assert device.seen() == ["PUT", "PUT"]


@pytest.mark.parametrize("status", [401, 403])
def test_key_that_the_app_gave_stands_alone(
    device: Device, chain: Callable[[str, str], None], status: int
) -> None:
    chain(device.hub.listen, device.hub.listen)
    device.hub.fail("*", status=status)
    given = device.hub.listen if status == 403 else dead(device.hub)
    with pytest.raises((Unauthorized, Forbidden), match="that of connection_string, which the app gave"):
        device.start(connection_string=given)
    assert device.seen() == ["PUT"]


def test_other_source_is_tried_after_a_403_as_after_a_401(
    device: Device, chain: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    chain(device.hub.listen.replace("Listen", "Other"), device.hub.listen)
    device.hub.fail("PUT", status=403, body="")
    assert device.start(connection_string=None).outcome == "registered"
    assert device.seen() == ["PUT", "PUT"]
    assert "$NHAGENT_CONNECTION_STRING_FILE holds a key that the hub refuses" in caplog.text


def test_keys_without_the_right_are_named_by_their_sources(
    device: Device, chain: Callable[[str, str], None]
) -> None:
    chain(device.hub.listen.replace("Listen", "Other"), device.hub.listen)
    device.hub.fail("PUT", status=403, body="", times=2)
    with pytest.raises(Forbidden, match=r"_FILE, \$NHAGENT_CONNECTION_STRING, and no other") as caught:
        device.start(connection_string=None)
    assert "Listen right" in caught.value.hint
    assert device.seen() == ["PUT", "PUT"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403, "body": "<Error><Code>403</Code><Detail>Too many devices: quota</Detail></Error>"},
        {"status": 403, "headers": {"Retry-After": "2"}},
        {"status": 404},
    ],
)
def test_other_source_is_not_tried_where_the_key_is_not_what_is_wrong(
    device: Device, chain: Callable[[str, str], None], fault: dict[str, Any]
) -> None:
    chain(device.hub.listen.replace("Listen", "Other"), device.hub.listen)
    device.hub.fail("PUT", **fault)
    try:
        device.agent(connection_string=None).start(timeout=0)
    except HubError as error:
        assert not isinstance(error, Unauthorized)
    assert device.seen() == ["PUT"]


@pytest.mark.parametrize("name", ["absent", "folder", "others may read it"])
def test_source_that_is_named_and_cannot_be_used_is_told_though_another_has_a_key(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name != "absent":
        path.write_text(device.hub.listen)
        path.chmod(0o644)
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", device.hub.listen)
    with pytest.raises(CredentialError, match="connection string file"):
        device.start(connection_string=None)
    assert device.seen() == []


def test_source_that_cannot_be_used_does_not_stop_the_search_for_another_key(
    device: Device, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Once the hub has refused a key, what cannot be used is passed over."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "nhagent.connection-string").write_text(dead(device.hub))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", str(tmp_path / "absent"))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", device.hub.listen)
    assert device.start(connection_string=None).outcome == "registered"


def test_token_callable_whose_token_is_refused_is_named(device: Device) -> None:
    token = "SharedAccessSignature sr=http%3a%2f%2f127.0.0.1&sig=QUJD&se=1&skn=k"
    endpoint = ConnectionString.parse(device.hub.listen).endpoint
    with pytest.raises(Unauthorized, match="is that of the token callable"):
        device.start(connection_string=lambda: token, endpoint=endpoint)


def test_token_callable_of_a_backend_registers_a_device_without_a_key(device: Device) -> None:
    connection = ConnectionString.parse(device.hub.listen)
    given: list[str] = []

    def token() -> str:
        from datetime import UTC, datetime

        given.append(connection.token(f"{connection.endpoint}/{device.hub.hub}", datetime.now(UTC)))
        return given[-1]

    report = device.start(connection_string=token, endpoint=connection.endpoint)
    assert (report.outcome, len(given)) == ("registered", 1)


def test_key_of_another_namespace_does_not_stand_in(
    device: Device, chain: Callable[[str, str], None]
) -> None:
    with Emulator(device.hub.hub) as elsewhere:
        chain(dead(device.hub), elsewhere.listen)
        with pytest.raises(Unauthorized):
            device.start(connection_string=None)
        assert elsewhere.log() == []


@pytest.mark.parametrize("given", ["token", "key"])
def test_no_key_stands_in_for_what_the_app_gave(
    device: Device, chain: Callable[[str, str], None], given: str
) -> None:
    token = "SharedAccessSignature sr=http%3a%2f%2f127.0.0.1&sig=QUJD&se=1&skn=k"
    settings = {
        "connection_string": (lambda: token) if given == "token" else dead(device.hub),
        "endpoint": device.hub.endpoint,
    }
    with Emulator(device.hub.hub) as elsewhere:
        for file in (elsewhere.listen, device.hub.listen):
            chain(file, device.hub.listen)
            with pytest.raises(Unauthorized):
                device.start(**settings)
            assert device.seen() == ["PUT"]
        assert elsewhere.log() == []


def test_key_of_the_hub_stands_in_though_one_of_another_namespace_comes_before_it(
    device: Device, chain: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "nhagent.connection-string").write_text(dead(device.hub))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    with Emulator(device.hub.hub) as elsewhere:
        chain(elsewhere.listen, device.hub.listen)
        agent = device.agent(connection_string=None)
        assert agent.start().outcome == "registered"
        device.channel = "https://push.example/2"
        assert agent.start().outcome == "updated"
        assert elsewhere.log() == []


def test_401_while_the_clock_is_wrong_says_nothing_of_the_key(
    device: Device, chain: Callable[[str, str], None], caplog: pytest.LogCaptureFixture
) -> None:
    chain(device.hub.listen, dead(device.hub))
    device.hub.set_clock(3600)
    report = device.start(connection_string=None)
    assert (report.outcome, report.requests) == ("registered", 2)
    assert "is tried instead" not in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_device_whose_credentials_are_refused_is_blocked_until_they_are_good(
    device: Device, status: int
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    for tries in (1, 2):
        device.hub.fail("*", status=status)
        with pytest.raises((Unauthorized, Forbidden)):
            device.start()
        assert device.agent().status().state is StartState.BLOCKED
        assert json.loads(device.files["state.json"].read_text())["trouble"]["tries"] == tries
    assert device.start().outcome == "updated"
    assert device.agent().status().state is StartState.IN_SYNC
    assert device.start().requests == 0


def test_device_without_any_credentials_is_blocked_once_it_has_something_to_send(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    device.start()
    assert device.start(connection_string=None).requests == 0
    device.channel = "https://push.example/2"
    with pytest.raises(CredentialError, match="nhagent login"):
        device.start(connection_string=None)
    assert device.agent().status().state is StartState.BLOCKED


QUOTED = '\ufeff "{}";\r\n'


@pytest.mark.parametrize("source", ["argument", "variable", "file", "credential"])
def test_what_pasting_and_piping_add_is_dropped_from_every_source(
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
    secret_file: Callable[[str], str],
    tmp_path: Path,
    source: str,
) -> None:
    text = QUOTED.format(device.hub.listen)
    if source == "variable":
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", text)
    elif source == "file":
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", secret_file(text))
    elif source == "credential":
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        (tmp_path / "nhagent.connection-string").write_text(text, encoding="utf-8")
    given = text if source == "argument" else None
    assert device.start(connection_string=given).outcome == "registered"


@pytest.mark.parametrize("source", ["argument", "variable", "file"])
@pytest.mark.parametrize("odd", ["\n", "\u200b", " "])
def test_character_inside_a_key_that_nobody_sees_sends_nothing(
    device: Device, monkeypatch: pytest.MonkeyPatch, secret_file: Callable[[str], str], source: str, odd: str
) -> None:
    text = f"{device.hub.listen[:-8]}{odd}{device.hub.listen[-8:]}"
    if source == "variable":
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", text)
    elif source == "file":
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", secret_file(text))
    with pytest.raises(ConfigurationError, match="SharedAccessKey holds white space"):
        device.start(connection_string=text if source == "argument" else None)
    assert (device.seen(), device.files) == ([], {})
