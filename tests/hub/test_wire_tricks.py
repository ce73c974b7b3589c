"""The wire's tricks: each is one passing error, in time and in little memory."""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, errors
from nhagent.addresses import Address, in_turn
from nhagent.emulator import Emulator
from nhagent.hub.adapter import Adapter, tls_context
from tests.events import HANG_SECONDS, HELD_SECONDS, comes_back, happens

DEVICE = Installation("device", Platform.GCM, "handle")
TIMEOUT = 0.5
"""Seconds for an exchange that only its deadline ends; every other has as long as the machine needs."""
OUT_OF_TIME = f"no whole reply within {TIMEOUT:g} s"
MEGABYTE = 1 << 20
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def hub(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(tls=request.param) as emulator:
        yield emulator


@pytest.fixture
def client(hub: Emulator) -> Iterator[HubClient]:
    with HubClient(hub.listen, hub.hub, ca_bundle=hub.ca, timeout=HANG_SECONDS) as client:
        client.put_installation(DEVICE)  # the connection is open before the trick
        hub.clear_log()
        yield client
    hub.clear_faults()


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 16 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trick", "words"),
    [
        # Python takes a reset below TLS for an end.
        ({"reset": "before"}, "no answer from .*: .*(reset|closed).*; .*a later attempt may succeed"),
        ({"reset": "after"}, "no answer from .*: .*(reset|closed).*; .*a later attempt may succeed"),
        ({"cut_after": 30}, "no answer from .*: the reply broke off within its head; .* attempt may succeed"),
        ({"cut_after": 420}, "no answer from .*: the reply broke off; .*a later attempt may succeed"),
        ({"drip": 0.1}, OUT_OF_TIME),
        ({"status": 200, "headers": {"Content-Length": "999999"}, "body": "{", "drip": 0.001, "size": 999999},
         OUT_OF_TIME),
        ({"chunked": "garbage"}, "no answer from .*: the reply broke off; .*a later attempt may succeed"),
        ({"chunked": "endless"}, "the reply is larger than 4194304 bytes"),
        ({"chunked": "endless", "drip": 0.001, "cut_after": 900_000}, OUT_OF_TIME),
        ({"encoding": "gzip"}, "the reply is compressed, though no compression was asked for"),
        ({"encoding": "gzip", "size": 1 << 30}, "the reply is compressed"),
        ({"encoding": "gzip", "size": 1 << 27, "status": 200, "headers": {"Content-Encoding": "identity"}},
         "cannot be read|of kind application/xml"),
        ({"size": 100 * MEGABYTE}, "the reply is larger than 4194304 bytes"),
        ({"size": 100 * MEGABYTE, "status": 200, "headers": {"Content-Length": str(100 * MEGABYTE)}},
         "the reply is larger than 4194304 bytes"),
        ({"size": 100 * MEGABYTE, "status": 503, "headers": HTML}, "the reply is larger than 4194304 bytes"),
        ({"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "OK"},
         r"\(200\) is of kind text/plain, which no hub sends; something stands in between"),
        ({"status": 200, "headers": HTML, "body": "<!DOCTYPE html><form action='/login'>"},
         r"\(200\) is a web page, .* sign in there"),
        ({"status": 302, "headers": {"Location": "http://portal.test/login"}}, "302, a redirect"),
        ({"status": 302, "headers": {"Location": "http://portal.test/login", **HTML}, "body": "<html>"},
         r"\(302\) is a web page"),
        ({"status": 307, "headers": {"Location": "https://127.0.0.1:9/"}, "chunked": "endless"},
         "larger than"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)  # fmt: skip
def test_trick_of_the_wire_is_a_passing_error_in_time_and_in_little_memory(
    hub: Emulator, client: HubClient, trick: dict[str, Any], words: str
) -> None:
    hub.fail("GET", **trick)
    if words == OUT_OF_TIME:
        client._exchange.allow(TIMEOUT)
    with little_memory(), pytest.raises(errors.HubUnavailable) as caught:
        comes_back(lambda: client.get_installation("device"))
    client._exchange.allow(HANG_SECONDS)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert caught.value.retryable
    assert happens(lambda: len(hub.log()) > 0)
    assert len(hub.log()) == 1, "nothing is repeated and no redirect followed"
    assert client.get_installation("device") == DEVICE, "the next exchange is whole"


@pytest.mark.parametrize(("reset", "held"), [("before", 0), ("after", 1)])
def test_write_whose_reply_was_lost_to_a_reset_is_simply_made_again(reset: Any, held: int) -> None:
    with Emulator() as hub, HubClient(hub.listen, hub.hub) as client:
        hub.fail("PUT", reset=reset)
        with pytest.raises(errors.HubUnavailable):
            client.put_installation(DEVICE)
        assert len(hub.contents()["installations"]) == held
        client.put_installation(DEVICE)
        assert len(hub.contents()["installations"]) == 1


@pytest.mark.parametrize("trick", [{"size": 100 * MEGABYTE}, {"chunked": "garbage"}], ids=str)
def test_body_beside_a_204_is_not_taken_for_the_next_reply(
    hub: Emulator, client: HubClient, trick: dict[str, Any]
) -> None:
    hub.fail("DELETE", **trick)
    with little_memory(), pytest.raises(errors.HubUnavailable, match=r"larger than|broke off"):
        client.delete_installation("device")
    client.put_installation(DEVICE)
    assert [entry.status for entry in hub.log()] == [204, 200]


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("early", "by this device's clock (TODAY) its certificate is not valid yet; the clock is"),
        ("expired", "by this device's clock (TODAY) its certificate has expired; set the clock if"),
        ("wrong-name", "certificate is not valid for 'localhost'"),
        ("self-signed", "certificate"),
    ],
)  # fmt: skip
def test_certificate_that_cannot_be_trusted_is_refused_in_words_that_help(
    certificate: str, words: str
) -> None:
    days = [datetime.now(UTC).strftime("%Y-%m-%d")]
    with (
        Emulator(tls=True, certificate=certificate) as hub,
        HubClient(hub.listen, hub.hub, ca_bundle=hub.ca, timeout=HANG_SECONDS) as client,
    ):
        with pytest.raises(errors.HubUnavailable) as caught:
            client.put_installation(DEVICE)
        days.append(datetime.now(UTC).strftime("%Y-%m-%d"))
        assert hub.log() == [], "no token was sent"
        port = hub.endpoint.rpartition(":")[2]
    assert caught.value.retryable
    assert str(caught.value).startswith(f"TLS with localhost:{port} failed ")
    assert any(words.replace("TODAY", day) in str(caught.value) for day in days), str(caught.value)


class Proxy:
    """A proxy that opens tunnels, to one place alone, as a name server of its own.

    Args:
        port: where every tunnel leads.
        pause: seconds that it takes for each step: the opening, and the first bytes of the way back.
        refusal: what it answers instead of opening a tunnel.
    """

    def __init__(self, port: int, *, pause: float = 0.0, refusal: bytes = b"") -> None:
        self._port = port
        self._pause = pause
        self._refusal = refusal
        self.asked: list[str] = []
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._run(self._accept)

    def close(self) -> None:
        self._closing.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._sockets:
            each.close()

    def _run(self, act: Callable[..., None], *arguments: Any) -> None:
        def quietly() -> None:
            with suppress(OSError):
                act(*arguments)

        thread = threading.Thread(target=quietly)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._sockets.append(client)
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        self.asked.append(head.split(b"\r\n")[0].decode())
        self._closing.wait(self._pause)
        if self._refusal:
            client.sendall(self._refusal)
            client.shutdown(socket.SHUT_WR)
            return
        there = socket.create_connection(("127.0.0.1", self._port))
        self._sockets.append(there)
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self._run(self._pump, client, there, 0.0)
        self._pump(there, client, self._pause)

    def _pump(self, source: socket.socket, target: socket.socket, pause: float) -> None:
        while piece := source.recv(65536):
            self._closing.wait(pause)
            pause = 0.0
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def far_hub() -> Iterator[Emulator]:
    """A hub whose name only a proxy can resolve."""
    with Emulator(tls=True, names=["hub.test"]) as emulator:
        yield emulator


@pytest.fixture
def far_client(far_hub: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubClient]:
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    listen = far_hub.listen.replace("localhost", "hub.test")
    with HubClient(listen, far_hub.hub, ca_bundle=far_hub.ca, timeout=HANG_SECONDS) as client:
        yield client
    far_hub.clear_faults()
    far_hub.clear_log()


def port_of(hub: Emulator) -> int:
    return int(hub.endpoint.rpartition(":")[2])


def test_proxy_of_the_environment_leads_to_a_hub_elsewhere(
    far_hub: Emulator, far_client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Proxy(port_of(far_hub))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        far_client.put_installation(DEVICE)
        assert far_client.get_installation("device") == DEVICE
        assert [line.rpartition(" ")[0] for line in proxy.asked] == [f"CONNECT hub.test:{port_of(far_hub)}"]
        far_hub.fail("GET", chunked="endless")
        with little_memory(), pytest.raises(errors.HubUnavailable, match="larger than"):
            far_client.get_installation("device")
        assert far_client.get_installation("device") == DEVICE
        with HubClient(far_hub.listen, far_hub.hub, ca_bundle=far_hub.ca) as near:
            assert near.get_installation("device") == DEVICE
        assert len(proxy.asked) == 2, "this machine itself is reached without a proxy"


def test_hub_that_nobody_can_resolve_is_a_passing_error(far_client: HubClient) -> None:
    with pytest.raises(errors.HubUnavailable, match=r"no answer from hub\.test"):
        far_client.put_installation(DEVICE)


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://portal.test/\r\nContent-Length: 0\r\n\r\n",
        b"<html>sign in</html>",
        b"HTTP/1.1 200 Connection established\r\n\r\nsurprise",
    ],
    ids=["407", "portal", "nonsense", "no tunnel"],
)
def test_proxy_that_opens_no_tunnel_is_a_passing_error(
    far_hub: Emulator, far_client: HubClient, monkeypatch: pytest.MonkeyPatch, refusal: bytes
) -> None:
    with closing(Proxy(port_of(far_hub), refusal=refusal)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//someone:secret@"))
        with pytest.raises(errors.HubUnavailable) as caught:
            far_client.put_installation(DEVICE)
    assert "hub.test" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert far_hub.log() == []


def test_proxy_that_is_not_there_is_a_passing_error(
    far_client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://someone:secret@127.0.0.1:{port}")
    with pytest.raises(errors.HubUnavailable, match=r"no answer from hub\.test") as caught:
        far_client.put_installation(DEVICE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway", "503 Busy"]
)
def test_proxy_that_refuses_is_told_as_the_proxy(
    far_hub: Emulator, far_client: HubClient, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    refusal = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    with closing(Proxy(port_of(far_hub), refusal=refusal)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//someone:secret@"))
        with pytest.raises(errors.HubUnavailable) as caught:
            far_client.put_installation(DEVICE)
    assert f"by way of the proxy {proxy.url.rpartition('/')[2]}, which the environment" in caught.value.fact
    assert status in caught.value.fact
    assert "check $HTTPS_PROXY" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("http://someone:secret@no-such-proxy.invalid:3128/", "the proxy no-such-proxy.invalid:3128,"),
        ("no-such-proxy.invalid:3128", "the proxy no-such-proxy.invalid:3128,"),
        ("http://no-such-proxy.invalid?secret", "the proxy no-such-proxy.invalid,"),
        ('"http://no-such-proxy.invalid:3128"', "a proxy,"),
        ("http://someone:secret", "a proxy,"),
    ],
)
def test_proxy_that_nobody_knows_is_told_as_the_proxy(
    far_client: HubClient, monkeypatch: pytest.MonkeyPatch, named: str, told: str
) -> None:
    with pytest.raises(errors.HubUnavailable) as caught:
        far_client.put_installation(DEVICE)
    assert "Endpoint" in caught.value.hint, "without one it is the hub's own name"
    assert "proxy" not in str(caught.value)
    monkeypatch.setenv("all_proxy", named)
    with pytest.raises(errors.HubUnavailable) as caught:
        far_client.put_installation(DEVICE)
    assert f"by way of {told}" in caught.value.fact
    assert "Endpoint" not in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_slow_tunnel_does_not_outlive_the_deadline(
    far_hub: Emulator, far_client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline strikes within the handshake, when there is no socket to cut; then the reply drips."""
    far_hub.fail("GET", drip=1.0)
    far_client._exchange.allow(TIMEOUT)
    with closing(Proxy(port_of(far_hub), pause=0.7 * TIMEOUT)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(errors.HubUnavailable, match=OUT_OF_TIME):
            comes_back(lambda: far_client.get_installation("device"))


@contextmanager
def nobody_listening(host: str = "127.0.0.1") -> Iterator[int]:
    """A port of this machine where nobody takes a connection up."""
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind((host, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(4):  # the queue is full then: what comes later is not answered
            sock = waiting.enter_context(socket.socket())
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect((host, port))
        yield port


@pytest.fixture
def silent() -> Iterator[str]:
    """A connection string to a place on this machine where nobody takes a connection up."""
    with nobody_listening() as port:
        yield f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=Listen;SharedAccessKey=YQ=="


class Named(Adapter):
    """A host that has these addresses."""

    def __init__(self, *found: tuple[int, tuple[Any, ...]]) -> None:
        super().__init__(tls_context(None))
        self.found = found

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        return [(family, socket.SOCK_STREAM, 0, "", address) for family, address in self.found]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses, or a cut waits")
@pytest.mark.parametrize("swallowing", [1, 2, 3])
def test_addresses_that_swallow_everything_leave_time_for_one_that_answers(swallowing: int) -> None:
    """As those of IPv6 where a network promises it and leads nowhere; a full queue stands for them."""
    with nobody_listening() as port, closing(socket.create_server(("127.0.0.1", 0))) as live:
        dead = (socket.AF_INET, ("127.0.0.1", port))
        adapter = Named(*[dead] * swallowing, (socket.AF_INET, live.getsockname()))
        with closing(adapter), closing(adapter.reach("hub.test", 443, 0.8, ())) as reached:
            assert reached.getpeername() == live.getsockname()
            assert reached.gettimeout() == 0.8


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses, or a cut waits")
def test_addresses_that_all_swallow_everything_are_given_up_in_time() -> None:
    with nobody_listening() as port:
        adapter = Named(*[(socket.AF_INET, ("127.0.0.1", port))] * 5)
        with closing(adapter), pytest.raises(TimeoutError):
            comes_back(lambda: adapter.reach("hub.test", 443, 0.2, ()))


def test_address_of_a_kind_that_this_machine_does_not_have_is_passed_over() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as live:
        adapter = Named((99, ("nowhere", 1)), (socket.AF_INET, live.getsockname()))
        with closing(adapter), closing(adapter.reach("hub.test", 443, HANG_SECONDS, ())) as reached:
            assert reached.getpeername() == live.getsockname()


def test_kinds_of_address_take_turns_and_the_one_that_led_there_comes_first() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found: list[Address] = [(six, 1), (six, 2), (six, 3), (four, 4), (four, 5)]
    assert [address[1] for address in in_turn(found)] == [1, 4, 2, 5, 3]
    assert [address[1] for address in in_turn(found, four)] == [4, 1, 5, 2, 3]
    assert in_turn([], six) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses, or a cut waits")
def test_cut_ends_the_wait_for_a_connection_and_outlasts_it(silent: str) -> None:
    """Another that is not cut still waits when it ends."""

    def connect(client: HubClient) -> None:
        with pytest.raises(errors.HubUnavailable):
            client.put_installation(DEVICE)

    with (
        HubClient(silent, "hub", timeout=HELD_SECONDS) as client,
        HubClient(silent, "hub", timeout=HELD_SECONDS) as other,
    ):
        waiting = threading.Thread(target=connect, args=[other])
        waiting.start()
        threading.Timer(0.3, client._exchange.cut).start()
        for _ in range(2):
            with pytest.raises(errors.HubUnavailable, match="the exchange was ended on this side"):
                client.put_installation(DEVICE)
        assert waiting.is_alive()
        other._exchange.cut()
        waiting.join()


def reset_pair() -> socket.socket:
    """A connected socket whose peer has reset the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()
    return near


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
def test_peer_that_has_gone_before_the_handshake_costs_no_descriptor() -> None:
    context = tls_context(None)
    with closing(Adapter(context)):
        before, kept = descriptors(), list[OSError]()
        for _ in range(5):
            with pytest.raises(OSError) as caught:
                context.wrap_socket(reset_pair(), server_hostname="hub.test")
            kept.append(caught.value)  # what an exception holds is not collected
        assert descriptors() == before


def test_peer_that_resets_at_once_is_a_hub_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def reset() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    peer, _ = listener.accept()
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    peer.close()

        server = threading.Thread(target=reset, daemon=True)
        server.start()
        key = f"Endpoint=http://127.0.0.1:{listener.getsockname()[1]};SharedAccessKeyName=a;SharedAccessKey=b"
        with HubClient(key, "hub") as client:
            for _ in range(100):
                with pytest.raises(errors.HubUnavailable):
                    client.get_installation("device")
        ended.set()
        with suppress(OSError):
            socket.create_connection(listener.getsockname()).close()
        server.join(HANG_SECONDS)
