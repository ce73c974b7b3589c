"""Between the loop of an asyncio program and the threads in which its agent works.

A `Call` goes from the loop to a thread. `Ways` lead back: to the app's own coroutine functions and callbacks,
which run in the loop, and to its plain sources, each in a thread that can be left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from inspect import isawaitable, iscoroutinefunction
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from nhagent.channels.source import seconds_left
from nhagent.interruption import Interrupted, Interruption, check, run_beside, wait, waker
from nhagent.logs import Log
from nhagent.models import SecondaryTile, altered
from nhagent.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from nhagent.interruption import Waker

_T = TypeVar("_T")

TOKEN_SECONDS: Final = 30.0
"""How long a source of tokens may take."""
_SOURCES: Final = ("channel", "connection_string", "token")
_CALLBACKS: Final = ("on_registered", "on_error")

_log = Log(__name__)


class Call(Generic[_T]):
    """Work in a thread of its own, whose end the loop hears of.

    Args:
        work: what is done there.

    Attributes:
        future: its result or error, in the loop; cancelled where it was interrupted.
        thread: where it is done.
    """

    def __init__(self, work: Callable[[], _T]) -> None:
        self._loop = asyncio.get_running_loop()
        self._work = work
        self._interruption = Interruption()
        self.future: asyncio.Future[_T] = self._loop.create_future()
        context = copy_context()
        self.thread = Thread(target=lambda: context.run(self._run), name="nhagent", daemon=True)
        self.thread.start()

    def interrupt(self) -> None:
        """Let it end at once, wherever it waits. Not in the loop's thread."""
        self._interruption.interrupt()

    async def ended(self) -> None:
        """Wait until its thread has ended, however often that is cancelled."""
        while not self.future.done() or self.thread.is_alive():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([self.future])
                await asyncio.sleep(0)
        if not self.future.cancelled():
            self.future.exception()  # else asyncio logs that nobody asked for it

    def _run(self) -> None:
        settle: Callable[[], object]
        try:
            with self._interruption:
                check()
                result = self._work()
        except Interrupted:
            settle = self.future.cancel
        except BaseException as error:  # noqa: BLE001 - whatever it is, who awaits it is told
            failure = error
            settle = lambda: self.future.set_exception(failure)  # noqa: E731
        else:
            settle = lambda: self.future.set_result(result)  # noqa: E731
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self._loop.call_soon_threadsafe(settle)


class Ways:
    """From an agent's threads to what an app gave it.

    Args:
        loop: where the app's coroutine functions and callbacks run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left: list[Thread] = []

    def leave_behind(self, thread: Thread) -> None:
        """Take note of a thread that nobody waits for any more."""
        self._left = [*(other for other in self._left if other.is_alive()), thread]

    def wait_for_the_left(self, seconds: float) -> None:
        """Wait a little for the threads that were left behind: most were about to end."""
        until = monotonic() + seconds
        for thread in self._left:
            thread.join(max(0.0, until - monotonic()))
        if any(thread.is_alive() for thread in self._left):
            _log.warning("a channel source, or one of tokens, still gives no answer; its thread is left")

    def through(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the arguments of an agent with each callable replaced by a way to it."""
        replaced = dict(given)
        for name in _SOURCES:
            if callable(given.get(name)):
                replaced[name] = _Source(self, given[name])
        for name in _CALLBACKS:
            if callable(given.get(name)):
                replaced[name] = self._callback(given[name])
        if callable(given.get("sleep")):
            replaced["sleep"] = _checked(given["sleep"])
        replaced["secondary_tiles"] = self.tiles_through(given.get("secondary_tiles"))
        return replaced

    def tiles_through(self, tiles: Any) -> Any:
        """Give tiles with the source of each replaced by a way to it."""
        if not isinstance(tiles, Mapping):
            return tiles
        return {name: self._tile_through(tile) for name, tile in tiles.items()}

    def _tile_through(self, tile: object) -> object:
        if not isinstance(tile, SecondaryTile) or not callable(tile.channel):
            return tile
        return altered(tile, channel=_Source(self, tile.channel))

    def _callback(self, call: Callable[[Any], object]) -> Callable[[Any], None]:
        async def in_the_loop(news: object) -> None:
            result = call(news)
            if isawaitable(result):
                await result

        return lambda news: self.awaited(in_the_loop(news), None)

    def awaited(self, awaitable: Awaitable[_T], seconds: float | None) -> _T:
        """Run what is awaitable in the loop, and give what it gave.

        Args:
            awaitable: a coroutine, or another awaitable.
            seconds: how long it may take; None: as long as it likes.

        Raises:
            TimeoutError: it took longer, and was cancelled.
            RuntimeError: the loop was closed.
            Interrupted: this thread was told to stop; it was cancelled.
        """
        errand = _Errand(self._loop, _coroutine(awaitable), waker())
        try:
            if errand.ended(seconds):
                return errand.result()
        finally:
            errand.cancel()
        raise _too_late(seconds)


class _Errand(Generic[_T]):
    """A coroutine on its way from a thread through the loop, whose thread never waits for it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _T], woken: Waker
    ) -> None:
        self._loop = loop
        self._coroutine = coroutine
        self._woken = woken
        self._task: asyncio.Task[_T] | None = None
        self._has_ended = False
        try:
            loop.call_soon_threadsafe(self._begin)
        except RuntimeError:
            coroutine.close()  # else Python warns that nobody awaited it
            raise

    def ended(self, seconds: float | None) -> bool:
        """Wait for its end; see `nhagent.interruption.wait`."""
        return wait(self._woken, lambda: self._has_ended, seconds)

    def result(self) -> _T:
        """Give what it gave, or raise what it raised."""
        assert self._task is not None  # it has ended
        return self._task.result()

    def cancel(self) -> None:
        """End it, unless it has ended."""
        if not self._has_ended:
            with suppress(RuntimeError):  # the loop was closed, and it with it
                self._loop.call_soon_threadsafe(self._cancel)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[_T]) -> None:
        if not task.cancelled():
            task.exception()  # else asyncio logs that nobody asked for it
        self._has_ended = True
        self._woken.put(None)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class _Source:
    """A way to a source of the app's own. What else that says of itself, such as its platform, shows."""

    def __init__(self, ways: Ways, source: Callable[..., Any]) -> None:
        self._ways = ways
        self._source = Secret(source)
        self._left: Thread | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python's own questions are about this object
            raise AttributeError(name)
        return getattr(self._source.reveal(), name)

    def __repr__(self) -> str:
        return "<source>"

    def __call__(self, *about: str) -> Any:
        left = seconds_left()
        seconds = TOKEN_SECONDS if left is None else left
        source = self._source.reveal()
        given = source(*about) if iscoroutinefunction(source) else self._beside(source, about, seconds)
        return self._ways.awaited(given, seconds) if isawaitable(given) else given

    def _beside(self, source: Callable[..., Any], about: tuple[str, ...], seconds: float) -> Any:
        """Call a plain source in a thread of its own, which is left behind where it takes too long."""
        if self._left is not None and self._left.is_alive():
            raise TimeoutError("it still gives no answer to an earlier call")
        outcome: Future[Any] = Future()
        context = copy_context()

        def call() -> None:
            try:
                outcome.set_result(context.run(source, *about))
            except BaseException as error:  # noqa: BLE001 - it is raised where the source was called
                outcome.set_exception(error)

        def given_up(thread: Thread) -> None:
            self._left = thread
            self._ways.leave_behind(thread)

        run_beside(call, seconds, "nhagent source", given_up=given_up)
        if not outcome.done():
            raise _too_late(seconds)
        return outcome.result()


def _checked(sleep: Callable[[float], object]) -> Callable[[float], None]:
    """An app's own sleep, after which a thread that was told to stop does so."""

    def sleep_and_check(seconds: float) -> None:
        sleep(seconds)
        check()

    return sleep_and_check


def _coroutine(awaitable: Awaitable[_T]) -> Coroutine[Any, Any, _T]:
    """Give a coroutine as it is: one around it, cancelled before it began, would leave it unawaited."""

    async def around() -> _T:
        return await awaitable

    return awaitable if isinstance(awaitable, Coroutine) else around()


def _too_late(seconds: float | None) -> TimeoutError:
    return TimeoutError(f"it gave no answer within {seconds:g} s")


def living(calls: Iterable[Call[Any]]) -> set[Call[Any]]:
    """Give the calls whose threads have not ended."""
    return {call for call in calls if call.thread.is_alive()}
