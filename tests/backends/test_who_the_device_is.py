"""By what a backend knows a device: tokens in their places; test_certificates.py has certificates."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import Backend
from nhagent.commands.cli import main
from nhagent.errors import ConfigurationError, CredentialError, HubUnavailable
from nhagent.session.bearer import checked_token
from tests.backend_double import TOKEN
from tests.events import HANG_SECONDS

from .conftest import Phone


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("https://api.example.com/devices", "https://api.example.com/devices"),
        ("https://API.example.com:443/Devices/", "https://api.example.com/Devices"),
        ("https://api.example.com", "https://api.example.com"),
        (" https://api.example.com:8443/v1/devices ", "https://api.example.com:8443/v1/devices"),
        ("http://127.0.0.1:8000/devices", "http://127.0.0.1:8000/devices"),
        ("http://localhost/devices", "http://localhost/devices"),
        ("https://[::1]:5000/d", "https://[::1]:5000/d"),
    ],
)
def test_a_url_is_read_in_one_form(given_url: str, url: str) -> None:
    backend = Backend("acme", given_url)
    assert backend.url == url
    assert backend.place == url.partition("://")[2]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://api.example.com/devices", "plain http is for loopback alone"),
        ("ftp://api.example.com/", "is not a backend's URL"),
        ("sb://ns.servicebus.windows.net/", "is not a backend's URL"),
        ("api.example.com/devices", "is not a backend's URL"),
        ("https://user:pw@api.example.com/devices", "has a user, a query or a fragment"),
        ("https://api.example.com/devices?key=1", "has a user, a query or a fragment"),
        ("https://api.example.com/devices#x", "has a user, a query or a fragment"),
        ("https://api.example.com/a/../devices", "is not a backend's URL"),
        ("https://api.example.com/a b", "is not a backend's URL"),
        ("https://api.example.com/ä", "is not a backend's URL"),
        ("https://", "is not the address"),
        ("https://exa mple/", "is not the address"),
        (None, "is not a backend's URL"),
        (
            "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=" + "A" * 43 + "=",
            "holds a key or a token",
        ),
    ],
)
def test_what_is_no_url_of_a_backend_is_refused_and_shows_nothing(url: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Backend("acme", url)
    assert words in str(caught.value)
    for secret in ("pw@", "key=1", "AAAA"):
        assert secret not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_a_clear_refusal(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.example.com/{text}"):
        try:
            backend = Backend("acme", url)
        except ConfigurationError:
            continue
        assert Backend("acme", backend.url).url == backend.url
        assert backend.url.startswith(("https://", "http://"))
        assert backend.url.isascii() and backend.url.isprintable()


@pytest.mark.parametrize("name", ["", "a b", "../x", "a//b", "ä", None, 5])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a backend's name"):
        Backend(name, "https://api.example.com/")


def test_a_backend_shows_no_token_and_is_equal_to_its_copy() -> None:
    backend = Backend("acme", "https://api.example.com/devices", token=TOKEN)
    assert repr(backend) == "<backend 'acme' at https://api.example.com/devices>"
    assert TOKEN not in f"{backend} {vars(backend)}"
    assert copy.deepcopy(backend) == backend
    assert hash(copy.copy(backend)) == hash(backend)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(backend)


def test_a_coroutine_function_gives_no_token() -> None:
    async def token() -> str:
        return TOKEN

    call: Any = token
    with pytest.raises(ConfigurationError, match="coroutine function"):
        Backend("acme", "https://api.example.com/", token=call)
    number: Any = 5
    with pytest.raises(ConfigurationError, match="token: is int"):
        Backend("acme", "https://api.example.com/", token=number)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"connection_string": "x"}, "connection_string: is for a hub"),
        ({"token": lambda _: ""}, "give it to the Backend"),
        ({"endpoint": "sb://x"}, "endpoint: is for a hub"),
        ({"ca_bundle": "/x"}, "give it to the Backend"),
        ({"allow_full_access": True}, "allow_full_access: is for a hub"),
        ({"style": "registration"}, "a backend takes installations alone"),
        ({"owns_tags": False, "tags": None}, "a backend decides which tags are granted"),
    ],
)
def test_what_belongs_to_a_hub_is_refused_beside_a_backend(
    phone: Phone, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        phone.agent(**change)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no bearer token"),
        ("two words", "holds no bearer token"),
        ("line\nbreak", "holds no bearer token"),
        ("ä", "holds no bearer token"),
        ("x" * 20_000, "holds no bearer token"),
        ("Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=abc=", "is a connection string"),
        (None, "holds no bearer token"),
    ],
)
def test_what_cannot_be_a_token_is_refused_and_not_shown(text: Any, words: str) -> None:
    with pytest.raises(CredentialError) as caught:
        checked_token(text, "the place")
    assert str(caught.value).startswith(f"the place: {words}")
    assert "abc=" not in str(caught.value)


class NetworkDown(OSError):
    """As an app's own HTTP library might raise it."""


class ConnectError(Exception):
    """As httpx raises it, which does not derive from OSError."""

    __module__ = "httpx"


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (NetworkDown("token-that-leaks"), HubUnavailable),
        (ConnectError("token-that-leaks"), HubUnavailable),
        (ValueError("token-that-leaks"), CredentialError),
    ],
)
def test_a_token_callable_that_fails_is_told_without_its_words(
    phone: Phone, failure: Exception, error: type[Exception]
) -> None:
    def token() -> str:
        raise failure

    phone.token = token
    if error is HubUnavailable:
        report = phone.start()
        assert isinstance(report.error, HubUnavailable)
        assert "token-that-leaks" not in str(report.error)
    else:
        with pytest.raises(CredentialError, match="the token callable failed") as caught:
            phone.start()
        assert "token-that-leaks" not in str(caught.value)
    assert phone.seen() == []


def test_what_a_token_callable_raises_of_our_errors_is_redacted(phone: Phone) -> None:
    def token() -> str:
        raise CredentialError(f"Bearer token-that-leaks for {phone.channel}", "ask for another")

    phone.token = token
    with pytest.raises(CredentialError, match="ask for another") as caught:
        phone.start()
    assert "token-that-leaks" not in str(caught.value)
    assert "push.example" not in str(caught.value)


def configured(phone: Phone, folder: Path, *lines: str) -> str:
    path = folder / "config.toml"
    path.write_text(
        'app = "thermostat"\n[backend]\nname = "hub"\n'
        f'url = "{phone.backend.url}"\n' + "\n".join(lines) + "\n"
        '[device]\nplatform = "wns"\n[channel]\nvalue = "https://push.example/1"\n'
    )
    return str(path)


def registered(path: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code = main(["register", "--config", path, "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **found}


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))


def test_a_token_file_is_read_at_every_start(
    phone: Phone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    path = configured(phone, tmp_path, 'token_file = "token"')
    assert registered(path, capsys)["outcome"] == "registered"
    token.write_text("stale")
    phone.backend.forget(installation=phone.held()[0]["installationId"])
    (tmp_path / "config.toml").write_text(Path(path).read_text().replace("push.example/1", "push.example/2"))
    found = registered(path, capsys)
    assert (found["code"], found["error"]["type"]) == (77, "Unauthorized")
    assert "it is that of token file" in found["error"]["message"]
    assert "stale" not in found["error"]["message"]


def test_a_token_file_that_others_may_read_is_refused(
    phone: Phone, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o644)
    found = registered(configured(phone, tmp_path, 'token_file = "token"'), capsys)
    assert (found["code"], found["error"]["type"]) == (78, "CredentialError")
    assert "others may read it" in found["error"]["message"]
    assert phone.seen() == []


def test_a_systemd_credential_holds_the_token(
    phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = configured(phone, tmp_path, 'token_credential = "device-token"')
    assert registered(path, capsys)["error"]["type"] == "CredentialError"
    (tmp_path / "device-token").write_text(TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert registered(path, capsys)["outcome"] == "registered"


@pytest.mark.slow
def test_login_puts_the_token_into_the_key_ring_and_a_start_finds_it(phone: Phone, tmp_path: Path) -> None:
    """In processes of their own, whose key ring is nhagent's vault."""
    path = configured(phone, tmp_path)
    environment = {
        **os.environ,
        "NHAGENT_VAULT_KEY_FILE": str(tmp_path / "vault.key"),
        "PYTHON_KEYRING_BACKEND": "nhagent.device.vault.Vault",
    }

    def run(*arguments: str, stdin: str = "") -> tuple[int, dict[str, Any]]:
        ended = subprocess.run(
            [sys.executable, "-m", "nhagent", *arguments, "--config", path, "--json"],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert TOKEN not in ended.stdout + ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return ended.returncode, found

    assert run("vault", "init")[0] == 0
    code, found = run("register")
    assert (code, found["error"]["type"]) == (78, "CredentialError")
    assert "nhagent login" in found["error"]["message"]
    code, told = run("login", stdin=TOKEN + "\n")
    assert (code, told["hub"], told["key_name"], told["key_ring"]) == (0, "hub", None, "Vault")
    code, found = run("register")
    assert (code, found["outcome"]) == (0, "registered")
    code, told = run("logout")
    assert (code, told["removed_from"]) == (0, ["Vault"])
    phone.backend.forget(installation=found["installation_id"])
    Path(path).write_text(Path(path).read_text().replace("push.example/1", "push.example/2"))
    assert run("register")[1]["error"]["type"] == "CredentialError"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (('token_file = "a"', 'token_credential = "b"'), "there is a token_credential beside it"),
        (('client_key = "a"',), "there is no client_cert"),
        (("[hub]", 'name = "h"'), "there is a backend beside it"),
        (('tokn_file = "a"',), 'unknown key "tokn_file"; did you mean "token_file"?'),
    ],
)
def test_what_is_wrong_in_the_table_is_told(
    phone: Phone, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], words: str
) -> None:
    found = registered(configured(phone, tmp_path, *lines), capsys)
    assert found["code"] == 78
    assert words in found["error"]["message"], found["error"]["message"]
