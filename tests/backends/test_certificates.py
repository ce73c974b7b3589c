"""Mutual TLS: a backend knows a device by its certificate."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nhagent import Agent, Backend
from nhagent.emulator.tls import server_context
from nhagent.errors import ConfigurationError
from tests.backend_double import TOKEN, BackendDouble

from .conftest import Phone


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
