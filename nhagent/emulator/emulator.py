"""The emulator as its users see it: one object that combines hub, gateway, control routes and web server."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nhagent.emulator.assembly import Lasting, assemble
from nhagent.emulator.callers import is_loopback
from nhagent.emulator.control import state_routes
from nhagent.emulator.control.control import Control
from nhagent.emulator.control.face import WithState
from nhagent.emulator.http_messages import Request
from nhagent.emulator.hub.face import WithContents
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import LogEntry
from nhagent.emulator.options import check_options
from nhagent.emulator.page_front import RESTORE, PageFront
from nhagent.emulator.parts import Parts
from nhagent.emulator.push.face import WithPushService, subscription_in
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.request_body import BODY_LIMIT
from nhagent.emulator.rest.gateway import Gateway
from nhagent.emulator.sas import FULL_RULE, LISTEN_RULE, new_rules
from nhagent.emulator.sends.face import WithSends
from nhagent.emulator.server import Server
from nhagent.emulator.storage import Storage
from nhagent.emulator.trouble import WithTrouble


class Emulator(WithContents, WithSends, WithState, WithTrouble, WithPushService):
    """A notification hub on a port of this machine, from `start` to `close` or through a ``with`` block.

    Closed and started again it listens on the same port with the same keys; its contents are kept only if
    ``data`` names a file.

    Args:
        hub: the hub's name; may be a path such as ``a/b``.
        host: name or address to listen on.
        port: 0 for any free port.
        data: a file that keeps hub, keys and contents from run to run, or ``:memory:``.
        tls: serve https, with a certificate from an authority that is made for each run, even when ``data``
            is a file: `ca` is another certificate each time.
        certificate: with TLS, the kind of certificate shown: ``good``, ``expired`` for a day, ``early`` by a
            day, for a ``wrong-name``, or ``self-signed``. Clients that trust `ca` accept only the good one.
        names: with TLS, further names that the certificate is valid for.
        rate: requests a second above which the hub answers 429; None for no limit.
        lenient: accept what the service refuses or accepts only in part: elements in any order, ids, push
            channels and templates of any form, a DELETE without If-Match, a signature with an uncoded ``+``,
            a list by a channel in another spelling.
        max_devices: channels above which new registrations and installations get a 403 about the quota; None
            for no limit.
        rules: further access rules, each with its rights among ``Listen``, ``Send`` and ``Manage``.
        deliver: post what is sent to devices whose channel is an ``http`` address on loopback, as their
            platform's push service would be spoken to. Without it nothing leaves the emulator, except to its
            own push service.
        seed: a file that fills the hub at every start where it is empty: a `snapshot`, a hub's `contents`, or
            installations and registrations as JSON, one a line.
        on_request: called with every entry of `log` once its answer is decided, by many threads at once. It
            raises nothing.

    Attributes:
        hub: as given.

    Raises:
        ValueError: an invalid name, right, rate, certificate or number of devices.
    """

    def __init__(
        self,
        hub: str = "emulated-hub",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        data: str = ":memory:",
        tls: bool = False,
        certificate: str = "good",
        names: Iterable[str] = (),
        rate: float | None = None,
        lenient: bool = False,
        max_devices: int | None = None,
        rules: Mapping[str, Iterable[str]] | None = None,
        deliver: bool = False,
        seed: str | None = None,
        on_request: Callable[[LogEntry], object] | None = None,
    ) -> None:
        check_options(hub, certificate, tls=tls, rate=rate, max_devices=max_devices)
        self.hub = hub
        self._host = host
        self._port = port
        self._data = data
        self._tls = tls
        self._certificate = certificate
        self._names = [names] if isinstance(names, str) else list(names)
        self._rate = rate
        self._lenient = lenient
        self._max_devices = max_devices
        self._deliver = deliver
        self._seed = seed
        self._rules = new_rules(rules or {})
        self._lasting = Lasting()
        if on_request is not None:
            self._lasting.log.tell = on_request
        self._now_running: _Running | None = None

    def start(self) -> Self:
        """Begin to listen. No-op when it listens already.

        Returns:
            Itself.

        Raises:
            OSError, sqlite3.OperationalError: the address cannot be bound, or a file not opened.
            ValueError: the data file holds another hub, or is not an emulator data file; or the seed is not
                one.
        """
        if self._now_running is None:
            self._lasting.changes.begin()
            with ExitStack() as resources:
                self._now_running = self._open(resources)
        return self

    def close(self) -> None:
        """End every exchange and release all resources, within about a second. Idempotent."""
        running, self._now_running = self._now_running, None
        if running is not None:
            self._lasting.changes.end()
            running.resources.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Its URL: ``http://127.0.0.1:PORT``, with TLS ``https://localhost:PORT``, or for its ``host``."""
        return f"{'https' if self._tls else 'http'}://{self._authority}"

    @property
    def ui(self) -> str:
        """The page's URL, for a browser on this machine."""
        return f"{self.endpoint}/_emulator/ui/"

    @property
    def listen(self) -> str:
        """The connection string for devices."""
        return self.connection_string(LISTEN_RULE)

    @property
    def full(self) -> str:
        """The connection string for backends, with all rights."""
        return self.connection_string(FULL_RULE)

    @property
    def ca(self) -> str | None:
        """The path of the authority's certificate (PEM), which exists until `close`; None without TLS."""
        return self._running.ca

    def connection_string(self, rule: str) -> str:
        """Return the connection string with the key of one access rule.

        Raises:
            KeyError: there is no such rule.
        """
        authority = self._authority
        key = self._rules[rule].key
        scheme = "sb" if self._tls else "http"
        return f"Endpoint={scheme}://{authority}/;SharedAccessKeyName={rule};SharedAccessKey={key}"

    def log(self) -> list[LogEntry]:
        """Return every request so far, oldest first. A request is there once its answer is decided."""
        return self._lasting.log.entries()

    def bodies(self) -> list[bytes]:
        """Return the requests' bodies, in the order of `log`. The control routes never show them."""
        return self._lasting.log.bodies()

    def clear_log(self) -> None:
        """Remove every entry of `log` and `bodies`."""
        self._lasting.log.clear()

    def _open(self, resources: ExitStack) -> _Running:
        ca = context = None
        if self._tls:
            from nhagent.emulator.tls import server_context

            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="nhagent-emulator-")))
            context = server_context(self._host, folder, kind=self._certificate, names=self._names)
            ca = str(folder / "ca.pem")
        lasting = self._lasting
        storage = Storage(self._data, self.hub, self._rules, on_write=lambda: lasting.changes.note("hub"))
        resources.callback(storage.close)
        # From now on the keys are those in the file, so that connection strings outlive a run.
        self._rules = storage.rules()
        hub = Hub(self.hub, storage, lenient=self._lenient, max_devices=self._max_devices)
        push = PushFront(storage, lasting.clock, lambda: self.endpoint, ca, is_used=self._push_was_used)
        parts = assemble(
            lasting,
            hub,
            storage,
            push,
            port=lambda: server.port,
            is_secure=self._tls,
            deliver=self._deliver,
        )
        resources.callback(parts.sender.courier.close)
        resources.callback(parts.agenda.close)
        if self._seed is not None:
            state_routes.seed(parts, self._seed)
        page = PageFront(parts, self._host, self._addresses)
        answer = _answering(parts, Gateway(parts, self._rules, rate=self._rate), page)
        server = Server(self._host, self._port, answer, context, body_limit=_body_limit)
        resources.callback(server.close)
        resources.callback(push.close)
        resources.callback(page.close)
        server.start()
        # Started again, it listens at the address that clients know.
        self._port = server.port
        return _Running(parts, server, ca, resources.pop_all())

    def _addresses(self) -> dict[str, str]:
        return {"endpoint": self.endpoint, "listen": self.listen, "full": self.full}

    def _push_front(self) -> PushFront:
        self._push_was_used = True
        return self._running.parts.push

    def _time_has_changed(self) -> None:
        if self._now_running is not None:
            self._now_running.parts.agenda.wake()

    def _parts(self) -> Parts:
        return self._running.parts

    def _subscription_of(self, installation: str) -> dict[str, Any]:
        return subscription_in(self._hub_now().installations, installation)

    def _hub_now(self) -> Hub:
        return self._running.parts.present_hub()

    @property
    def _running(self) -> _Running:
        if self._now_running is None:
            raise RuntimeError("The emulator is not running: start it first.")
        return self._now_running

    @property
    def _authority(self) -> str:
        """Host and port as clients write them."""
        port = self._running.server.port
        if self._tls and self._host == "127.0.0.1":
            return f"localhost:{port}"
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"


def _answering(parts: Parts, gateway: Gateway, page: PageFront) -> Callable[[Request], Answer]:
    """Return what answers each request: the page, the control routes, the push service, or the hub."""
    control = Control(parts)

    def answer(request: Request) -> Answer:
        shown = page.answer(request)
        if shown is not None:
            return shown
        if control.concerns(request.path):
            return control.answer(request)
        return parts.push.answer(request) or gateway.answer(request)

    return answer


def _body_limit(path: str, peer: str) -> int:
    """Return how large a request's body may be, in bytes."""
    takes_snapshots = path in (state_routes.RESTORE, RESTORE)
    return state_routes.SNAPSHOT_LIMIT if takes_snapshots and is_loopback(peer) else BODY_LIMIT


@dataclass(frozen=True, slots=True)
class _Running:
    """What exists only between `start` and `close`."""

    parts: Parts
    server: Server
    ca: str | None
    resources: ExitStack
