"""By what a backend knows a device: tokens in their places, and certificates."""

from __future__ import annotations

import copy
import json
import os
import pickle
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyring
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from nhagent import Agent, Backend
from nhagent.commands.cli import main
from nhagent.emulator.tls import server_context
from nhagent.errors import ConfigurationError, CredentialError, HubUnavailable
from nhagent.session.bearer import checked_token
from tests.backend_double import TOKEN, BackendDouble

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


@pytest.mark.parametrize(
    ("failure", "error"),
    [(NetworkDown("token-that-leaks"), HubUnavailable), (ValueError("token-that-leaks"), CredentialError)],
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


class MemoryRing(keyring.backend.KeyringBackend):
    """A key ring of the test's own."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError


@pytest.fixture
def ring() -> Any:
    before, ring = keyring.get_keyring(), MemoryRing()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_login_puts_the_token_into_the_key_ring_and_a_start_finds_it(
    phone: Phone,
    ring: MemoryRing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import io

    path = configured(phone, tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "tests.backends.test_who_the_device_is.MemoryRing")
    found = registered(path, capsys)
    assert (found["code"], found["error"]["type"]) == (78, "CredentialError")
    assert "nhagent login" in found["error"]["message"]
    monkeypatch.setattr("sys.stdin", io.StringIO(TOKEN + "\n"))
    assert main(["login", "--config", path, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["hub"], told["key_name"]) == ("hub", None)
    assert list(ring.entries) == [("nhagent", "thermostat/hub#backend")]
    assert registered(path, capsys)["outcome"] == "registered"
    assert main(["logout", "--config", path]) == 0
    assert ring.entries == {}
    assert TOKEN not in capsys.readouterr().out


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


def authority(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate for a device, its key, and the authority that signed it."""
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("authority", "device")]
    certificates = [
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(names[0])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=name is names[0], path_length=None), critical=True)
        .sign(keys[0], hashes.SHA256())
        for name, key in zip(names, keys, strict=True)
    ]
    paths = folder / "device.pem", folder / "device.key", folder / "authority.pem"
    paths[0].write_bytes(certificates[1].public_bytes(serialization.Encoding.PEM))
    paths[1].touch(0o600)
    paths[1].write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    paths[2].write_bytes(certificates[0].public_bytes(serialization.Encoding.PEM))
    return paths


def test_a_certificate_opens_the_way_where_the_backend_asks_for_one(tmp_path: Path) -> None:
    certificate, key, signer = authority(tmp_path)
    context = server_context("127.0.0.1", tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(signer)
    ca = str(tmp_path / "ca.pem")
    with BackendDouble(context) as backend:
        backend.tokens[""] = "one"  # who came by certificate needs no token
        settings: dict[str, Any] = {
            "app": "thermostat",
            "platform": "wns",
            "channel": "https://push.example/1",
            "state_dir": tmp_path / "phone",
        }
        bare = Backend("hub", backend.url, token=TOKEN, ca_bundle=ca)
        assert Agent(hub=bare, **settings).start(timeout=0).outcome == "waiting"
        assert backend.log() == []
        known = Backend("hub", backend.url, client_cert=(certificate, key), ca_bundle=ca)
        agent = Agent(hub=known, **{**settings, "state_dir": tmp_path / "other"})
        assert agent.start(timeout=0).outcome == "registered"


def test_a_certificate_that_cannot_be_used_is_told_before_anything_is_sent(
    tmp_path: Path, phone: Phone
) -> None:
    certificate, key, _ = authority(tmp_path)

    def agent(given_cert: Any) -> Agent:
        return phone.agent(hub=Backend("hub", phone.backend.url, client_cert=given_cert))

    with pytest.raises(ConfigurationError, match=r"client_cert '.*missing'"):
        agent((tmp_path / "missing", key))
    with pytest.raises(ConfigurationError, match=r"client_key '.*device.pem': is not such"):
        agent(certificate)
    with pytest.raises(ConfigurationError, match="is neither a path nor two"):
        agent((certificate, key, key))
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        agent((tmp_path, key))
    key.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others may read it"):
        agent((certificate, key))
    assert phone.seen() == []


def test_a_key_with_a_password_is_refused_and_asks_nobody(tmp_path: Path, phone: Phone) -> None:
    certificate, key, _ = authority(tmp_path)
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    os.chmod(key, 0o600)
    agent = phone.agent(hub=Backend("hub", phone.backend.url, client_cert=(certificate, key)))
    with pytest.raises(ConfigurationError, match="TLS cannot use it with its key"):
        agent.start(timeout=0)
    assert phone.seen() == []
