from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from nhagent.emulator import Emulator

from .caller import HANG_SECONDS, Caller, fields, wns


def strict(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def test_a_strict_client_is_served_under_every_name() -> None:
    with Emulator(tls=True, host="127.0.0.1") as emulator:
        port = int(emulator.endpoint.rpartition(":")[2])
        assert emulator.endpoint == f"https://localhost:{port}"
        assert (
            fields(emulator.listen)["Endpoint"]
            == fields(emulator.full)["Endpoint"]
            == f"sb://localhost:{port}/"
        )
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, strict(emulator.ca)) as hub:
            assert hub.put(wns()).status == 200
            assert hub.get().json["platform"] == "wns"
        for name in ("localhost", "127.0.0.1", "::1"):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as connection,
                strict(emulator.ca).wrap_socket(connection, server_hostname=name) as secured,
            ):
                assert secured.version() in ("TLSv1.2", "TLSv1.3")


def test_a_client_that_does_not_know_the_authority_refuses_and_harms_nobody() -> None:
    with Emulator(tls=True) as emulator:
        with (
            Caller(
                emulator.endpoint, emulator.listen, emulator.hub, ssl.create_default_context()
            ) as stranger,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            stranger.get()
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, strict(emulator.ca)) as hub:
            assert hub.get().status == 404


def test_a_client_that_says_nothing_or_no_tls_keeps_nobody_waiting(capfd: pytest.CaptureFixture[str]) -> None:
    with Emulator(tls=True) as emulator:
        port = int(emulator.endpoint.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS),
            socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as plain,
            Caller(emulator.endpoint, emulator.listen, emulator.hub, strict(emulator.ca)) as hub,
        ):
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert hub.get().status == 404
            with suppress(ConnectionResetError):
                while plain.recv(100):
                    pass
            emulator.close()
    assert capfd.readouterr() == ("", "")


def test_the_authority_is_made_anew_and_removed_with_its_folder(tmp_path: Path) -> None:
    emulator = Emulator(tls=True, data=str(tmp_path / "hub.db"))
    authorities = []
    for _ in range(2):
        with emulator:
            assert emulator.ca is not None
            path = Path(emulator.ca)
            authorities.append(path.read_bytes())
            assert [file.name for file in path.parent.iterdir()] == ["ca.pem"]
            assert b"PRIVATE" not in authorities[-1]
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert not path.parent.exists()
    assert authorities[0] != authorities[1]


def test_both_certificates_say_what_strict_verifiers_want() -> None:
    with Emulator(tls=True, host="127.0.0.2") as emulator:
        assert emulator.ca is not None
        authority = x509.load_pem_x509_certificate(Path(emulator.ca).read_bytes())
        port = int(emulator.endpoint.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.2", port), timeout=HANG_SECONDS) as connection,
            strict(emulator.ca).wrap_socket(connection, server_hostname="127.0.0.2") as secured,
        ):
            found = secured.getpeercert(binary_form=True)
            assert found is not None
            leaf = x509.load_der_x509_certificate(found)
    for certificate in (authority, leaf):
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).critical
        assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert lifetime(leaf) <= timedelta(days=397)
    assert lifetime(authority) == timedelta(days=3650)
    age = datetime.now(UTC).replace(tzinfo=None) - naive(leaf, "not_valid_before")
    assert timedelta(minutes=59) < age < timedelta(minutes=62)


def naive(certificate: x509.Certificate, name: str) -> datetime:
    # cryptography before 42 knows only the form without a zone, later ones warn of it.
    if hasattr(certificate, f"{name}_utc"):
        at = getattr(certificate, f"{name}_utc").replace(tzinfo=None)
    else:
        at = getattr(certificate, name)
    assert isinstance(at, datetime)
    return at


def lifetime(certificate: x509.Certificate) -> timedelta:
    return naive(certificate, "not_valid_after") - naive(certificate, "not_valid_before")


@pytest.mark.parametrize(
    ("certificate", "code"),
    [("expired", 10), ("early", 9), ("wrong-name", 62), ("self-signed", 18)],
)
def test_a_bad_certificate_is_refused_by_whoever_trusts_the_authority(certificate: str, code: int) -> None:
    with (
        Emulator(tls=True, certificate=certificate) as emulator,
        Caller(emulator.endpoint, emulator.listen, emulator.hub, strict(emulator.ca)) as hub,
    ):
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            hub.get()
        assert caught.value.verify_code == code
        hub.connection.close()
        heedless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        heedless.check_hostname = False
        heedless.verify_mode = ssl.CERT_NONE
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, heedless) as careless:
            assert careless.get().status == 404, "nothing but the certificate is wrong"


def test_a_certificate_is_for_further_names() -> None:
    with Emulator(tls=True, names=["Hub.test", "192.0.2.1"]) as emulator:
        port = int(emulator.endpoint.rpartition(":")[2])
        for name in ("hub.test", "192.0.2.1", "localhost"):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as connection,
                strict(emulator.ca).wrap_socket(connection, server_hostname=name),
            ):
                pass


@pytest.mark.parametrize(("tls", "certificate"), [(True, "stale"), (False, "expired")])
def test_a_certificate_that_cannot_be_shown_is_refused(tls: bool, certificate: str) -> None:
    with pytest.raises(ValueError, match=certificate):
        Emulator(tls=tls, certificate=certificate)


def test_without_tls_there_is_no_authority(emulator: Emulator) -> None:
    assert emulator.ca is None
    assert emulator.endpoint.startswith("http://127.0.0.1:")
    assert fields(emulator.listen)["Endpoint"] == emulator.endpoint + "/"


@pytest.mark.skipif(not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 here")
@pytest.mark.parametrize("tls", [True, False])
def test_an_ipv6_address_is_listened_on(tls: bool) -> None:
    with Emulator(host="::1", tls=tls) as emulator:
        context = strict(emulator.ca) if tls else None
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, context) as hub:
            assert hub.put(wns()).status == 200
