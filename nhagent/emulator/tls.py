"""A certificate authority for one run, and the certificate that it issues to the emulator, good or bad.

Good ones pass ``ssl.VERIFY_X509_STRICT``, which is Python's default from 3.13 on.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
"""Longest validity that browsers and Apple's systems accept."""
_BACKDATED = timedelta(hours=1)
"""Time since a good certificate became valid, so that a client whose clock is a little behind accepts it."""
_STARTS = {"expired": timedelta(days=-_SERVER_DAYS - 1), "early": timedelta(days=1)}
"""Start of the validity, from now, of certificates that expired a day ago or become valid in a day."""
_ELSEWHERE = "elsewhere.invalid"
"""The only name in the certificate for a wrong name."""


def server_context(
    host: str, folder: Path, *, kind: str = "good", names: Iterable[str] = ()
) -> ssl.SSLContext:
    """Return a context with a certificate for localhost, its addresses, ``host`` and further names.

    The authority's certificate is written to ``folder/ca.pem``. Its private key never leaves this function.

    Args:
        host: the name or address that the emulator listens on.
        folder: an existing folder that only its owner may enter.
        kind: what is wrong with the certificate, one of `nhagent.emulator.options.CERTIFICATES`.
        names: further names or addresses that it is valid for.
    """
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority = _authority_certificate(authority_key)
    alternatives = _alternative_names(["localhost", "127.0.0.1", "::1", host, *names])
    if kind == "wrong-name":
        alternatives = _alternative_names([_ELSEWHERE])
    server = _server_certificate(
        server_key,
        alternatives,
        _now() + _STARTS.get(kind, -_BACKDATED),
        authority.subject,
        server_key if kind == "self-signed" else authority_key,
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # ssl reads keys from files only; mkstemp makes this one with mode 0600.
    descriptor, path = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(private + server.public_bytes(pem))
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
    return context


def _authority_certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("nhagent emulator CA")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _builder(name, name, key.public_key(), _now() - _BACKDATED, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName],
    start: datetime,
    authority: x509.Name,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = _name("nhagent emulator")
    issuer = subject if authority_key is key else authority
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    return (
        _builder(subject, issuer, key.public_key(), start, _SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, start: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(texts: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for text in dict.fromkeys(map(str.lower, texts)):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(text)))
        except ValueError:
            names.append(x509.DNSName(text))
    return names


def _now() -> datetime:
    return datetime.now(UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
