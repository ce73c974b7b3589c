"""A push channel that its source obtains by itself: where its state is kept, and what the hub knows of it."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, cast

from nhagent.channels.store import Home
from nhagent.device.channel_store import DeviceChannelStore
from nhagent.errors import ConfigurationError, NhagentError, StateLocked
from nhagent.logs import Log
from nhagent.reconcile.declaration import PRIMARY
from nhagent.report import Outcome
from nhagent.retry import backoff
from nhagent.retry.state import uptime

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event
    from typing import TypeAlias

    from nhagent.channels.messages import Message
    from nhagent.device.store import Store
    from nhagent.reconcile.settings import Settings
    from nhagent.report import Report

    _Receive: TypeAlias = Callable[[Callable[[Message], object], Event | None], None]

_HELD: Final = frozenset({Outcome.REGISTERED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.RECREATED})

_log = Log(__name__)


def received_by(source: object) -> _Receive:
    """Give how a channel source receives what is sent to its push channel.

    Raises:
        ConfigurationError: it cannot.
    """
    receive: Any = getattr(source, "receive", None)
    if not callable(receive):
        raise ConfigurationError(
            "channel: its source receives nothing",
            "give one that does, such as nhagent.channels.WebPushChannel",
        )
    return cast("_Receive", receive)


class OwnChannel:
    """The channel source of an agent that keeps state and may have a new push channel at any time.

    Args:
        settings: the agent's, whose source it is.
        store: the device's files, beside which its state is kept.
        poke: lets whoever keeps the device fresh look at once; gives whether there is somebody.
        start: makes the hub know the device.

    Raises:
        ConfigurationError: the source belongs to another agent.
    """

    def __init__(
        self, settings: Settings, store: Store, poke: Callable[[], bool], start: Callable[[], Report]
    ) -> None:
        source: Any = settings.source
        self._source = source
        self._settings = settings
        self._poke = poke
        self._start = start
        self._lock = Lock()
        self._is_new = self._is_registering = False
        self._source.belong_to(
            Home(
                store=DeviceChannelStore(
                    store.folder,
                    settings.app,
                    settings.hub,
                    machine=settings.machine,
                    clock=settings.clock,
                    disk=store.disk,
                ),
                clock=settings.clock,
                lived=uptime,
                sleep=settings.wait,
                random=settings.random,
                on_channel=self._register_soon,
            )
        )

    def follow(self, report: Report) -> None:
        """Tell the source what became of its push channel. It then gives back what nobody needs any more.

        Args:
            report: what a run came to.
        """
        try:
            if report.outcome is Outcome.DISABLED and report.error is None:
                self._source.forget()
            elif report.outcome in _HELD and PRIMARY not in report.channel_errors:
                self._source.accepted(report.channels.get(PRIMARY, ""))
        except StateLocked as busy:  # the daemon has the connection, and gives back what is left
            _log.info("%s", busy)
        except NhagentError as error:
            _log.warning("%s", error)

    def _register_soon(self) -> None:
        """Register a new push channel: whoever keeps the device fresh does it, else a thread of its own."""
        if self._poke():
            return
        with self._lock:
            self._is_new = True
            if self._is_registering:
                return
            self._is_registering = True
        Thread(target=self._register, name="nhagent", daemon=True).start()

    def _register(self) -> None:
        while True:
            with self._lock:
                if not self._is_new:
                    self._is_registering = False
                    return
                self._is_new = False
            try:
                report = self._start()
            except NhagentError as error:  # a person must act, and the next start does the rest
                _log.error("the new push channel is not registered: %s", error)
                continue
            if report.outcome is Outcome.WAITING:
                self._is_new = True
                self._settings.sleep(self._seconds_until_next(report))

    def _seconds_until_next(self, report: Report) -> float:
        if report.next_attempt is None:
            return backoff.LOCAL_SECONDS
        left = (report.next_attempt - self._settings.clock()).total_seconds()
        return min(max(left, backoff.FAULT_SECONDS), backoff.LONGEST_WAIT_SECONDS)
