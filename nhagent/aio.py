"""The agent for asyncio: what `nhagent.agent.Agent` does, awaitable.

Each call runs in a thread of its own, so that nothing that may take its time (files, locks, the hub, a key
ring, an app's own source) runs in the thread of the loop. A call that is cancelled ends at once, wherever it
was; only then is the cancellation passed on, so that nothing is sent or written afterwards.
"""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from nhagent.agent import DEFAULT_TIMEOUT, Agent
from nhagent.bridge import Call, Ways, living
from nhagent.errors import ConfigurationError
from nhagent.feed import Feed
from nhagent.reconcile.settings import KEEP
from nhagent.secret import Secret

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from datetime import datetime, timedelta
    from typing import Required, TypeAlias, TypedDict, Unpack

    from nhagent.channels.messages import Message
    from nhagent.device.machine import MachineName
    from nhagent.errors import NhagentError
    from nhagent.filesystem import Disk
    from nhagent.hub.backend import Backend
    from nhagent.literals import PlatformName, StyleName
    from nhagent.models import Platform, RawChannel, SecondaryTile, Template
    from nhagent.reconcile.settings import Keep
    from nhagent.report import Plan, Report, Status, Verification
    from nhagent.retry.background import Background

    _Source: TypeAlias = Callable[[], RawChannel | Awaitable[RawChannel]]

    class AgentArguments(TypedDict, total=False):
        """The arguments of `nhagent.agent.Agent`, where coroutine functions are taken too."""

        app: Required[str]
        hub: Required[str | Backend]
        platform: Platform | PlatformName | None
        channel: Required[RawChannel | _Source]
        tags: Iterable[str] | None
        initial_tags: Iterable[str] | None
        templates: Mapping[str, Template] | None
        secondary_tiles: Mapping[str, SecondaryTile] | None
        user_id: str | Keep | None
        push_variables: Mapping[str, str] | None
        expires_after: timedelta | None
        owns_tags: bool
        style: StyleName
        connection_string: str | Callable[[], str | Awaitable[str]] | None
        token: Callable[[str], str | Awaitable[str]] | None
        endpoint: str | None
        ca_bundle: str | None
        allow_full_access: bool
        installation_id: str | None
        state_dir: str | os.PathLike[str] | None
        refresh_every: timedelta
        first_run_list: bool
        startup_spread: timedelta
        on_registered: Callable[[Report], object] | None
        on_error: Callable[[NhagentError], object] | None
        clock: Callable[[], datetime | float] | None
        sleep: Callable[[float], None] | None
        random: Callable[[], float] | None
        machine: MachineName | None
        disk: Disk | None


_T = TypeVar("_T")

LEAVING_SECONDS: Final = 1.0
"""How long sources that were left behind are waited for at the end."""


class _CuttableAgent(Agent):
    """An agent whose threads can be kept from the hub one by one."""

    def cut(self, thread: Thread) -> None:
        self._session.cut(thread)


class AsyncAgent:
    """Keeps one device known to one hub, for programs on asyncio. An asynchronous context manager.

    Entering sends nothing; leaving ends its threads, and whatever they were at. It belongs to the loop in
    which it was entered, and is entered once.

    Args:
        **given: as for `nhagent.agent.Agent`. The sources of channels, ``connection_string``, ``token``,
            ``on_registered`` and ``on_error`` may be coroutine functions, which run in the loop. Callbacks
            run there in any case; other plain callables run in a thread, where they may block.
    """

    def __init__(self, **given: Unpack[AgentArguments]) -> None:
        self._given: Secret[Mapping[str, Any]] = Secret(dict(given))
        del given  # a traceback would show it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agent: _CuttableAgent | None = None
        self._calls: set[Call[Any]] = set()

    def __repr__(self) -> str:
        return f"<asynchronous {self._agent or 'agent'!r}>"

    async def __aenter__(self) -> Self:
        """Make the agent: its settings are checked.

        Raises:
            ConfigurationError: an argument is wrong, or it was entered before.
            CredentialError: the connection string may do more than listen.
        """
        if self._loop is not None:
            raise ConfigurationError("AsyncAgent: was entered before", "make another one")
        self._loop = asyncio.get_running_loop()
        self._ways = Ways(self._loop)
        self._agent = await self._result(lambda: _CuttableAgent(**self._ways.through(self._given.reveal())))
        return self

    async def __aexit__(self, *_: object) -> None:
        agent, self._agent = self._agent, None
        others = living(self._calls)
        if agent is not None:
            await Call(lambda: _end(agent, others, self._ways)).ended()
        for call in others:
            await call.ended()

    @property
    def state_folder(self) -> str:
        """Where what it remembers is kept; it may not be there yet.

        Raises:
            ConfigurationError: it is not entered.
        """
        return self._entered().state_folder

    async def start(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Register the device as declared; see `nhagent.agent.Agent.start`."""
        return await self._asked(lambda agent: agent.start(timeout=timeout))

    async def refresh(self, *, force: bool = False, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """As `start`; with ``force`` the whole is written whatever its age."""
        return await self._asked(lambda agent: agent.refresh(force=force, timeout=timeout))

    async def update(
        self,
        *,
        tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        user_id: str | Keep | None = KEEP,
        push_variables: Mapping[str, str] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Report:
        """Declare something else; see `nhagent.agent.Agent.update`."""
        tiles = self._ways.tiles_through(secondary_tiles)
        return await self._asked(
            lambda agent: agent.update(
                tags=tags,
                templates=templates,
                user_id=user_id,
                push_variables=push_variables,
                secondary_tiles=tiles,
                timeout=timeout,
            )
        )

    async def add_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare further tags; see `nhagent.agent.Agent.add_tags`."""
        return await self._asked(lambda agent: agent.add_tags(*tags, timeout=timeout))

    async def remove_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare these tags no more; see `nhagent.agent.Agent.remove_tags`."""
        return await self._asked(lambda agent: agent.remove_tags(*tags, timeout=timeout))

    async def plan(self) -> Plan:
        """What `start` would do now; see `nhagent.agent.Agent.plan`."""
        return await self._asked(lambda agent: agent.plan())

    async def status(self) -> Status:
        """What is known without asking the hub or a channel source; see `nhagent.agent.Agent.status`."""
        return await self._asked(lambda agent: agent.status())

    async def verify(self) -> Verification:
        """Ask the hub whether it holds what it accepted; see `nhagent.agent.Agent.verify`."""
        return await self._asked(lambda agent: agent.verify())

    async def unregister(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Take the device off the hub; see `nhagent.agent.Agent.unregister`."""
        return await self._asked(lambda agent: agent.unregister(timeout=timeout))

    async def enable(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Lift `unregister`, and register the device again; see `nhagent.agent.Agent.enable`."""
        return await self._asked(lambda agent: agent.enable(timeout=timeout))

    async def poke(self) -> bool:
        """Let `keep_fresh` look at once whether something has changed; see `nhagent.agent.Agent.poke`."""
        return await self._asked(lambda agent: agent.poke())

    def keep_fresh(self) -> AsyncBackground:
        """Keep the device registered in the background: an asynchronous context manager.

        It ends at once at the end of its block; see `nhagent.agent.Agent.keep_fresh`.
        """
        return AsyncBackground(self._asked)

    async def messages(self) -> AsyncIterator[Message]:
        """Keep the device fresh, and give what arrives on its push channel, for ``async for``.

        A message is done when the next one is asked for: one at which the loop was left comes again. See
        `nhagent.agent.Agent.receive`.

        Raises:
            ConfigurationError: the channel's source receives nothing, or it is not entered.
            StateError: another process receives, or the state folder cannot be used.
        """
        agent, loop = self._entered_here(), asyncio.get_running_loop()
        feed = Feed(loop)
        call = Call(lambda: agent.receive(feed.hand))
        self._calls = living(self._calls) | {call}
        try:
            while True:
                yield await feed.next(call.future)
        finally:
            Thread(target=lambda: _interrupt(agent, call), name="nhagent", daemon=True).start()
            await call.ended()

    async def _asked(self, ask: Callable[[Agent], _T]) -> _T:
        agent = self._entered_here()
        return await self._result(lambda: ask(agent))

    def _entered_here(self) -> _CuttableAgent:
        agent = self._entered()
        if asyncio.get_running_loop() is not self._loop:
            raise ConfigurationError("AsyncAgent: was entered in another loop", "make one for each loop")
        return agent

    def _entered(self) -> _CuttableAgent:
        if self._agent is None:
            raise ConfigurationError("AsyncAgent: is not entered", 'use it within its "async with" block')
        return self._agent

    async def _result(self, work: Callable[[], _T]) -> _T:
        """Do work in a thread. Where this is cancelled, nothing goes on there any more when it ends."""
        call = Call(work)
        self._calls = living(self._calls) | {call}
        try:
            await asyncio.wait([call.future])
        except asyncio.CancelledError:
            agent = self._agent
            Thread(target=lambda: _interrupt(agent, call), name="nhagent", daemon=True).start()
            await call.ended()
            raise
        return call.future.result()


class AsyncBackground:
    """A device kept fresh; see `AsyncAgent.keep_fresh`. An asynchronous context manager."""

    def __init__(self, ask: Callable[[Callable[[Agent], Background]], Awaitable[Background]]) -> None:
        self._ask = ask
        self._background: Background | None = None

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            ConfigurationError: the agent is kept fresh already, or is not entered.
        """
        self._background = await self._ask(_kept_fresh)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._background is not None:
            await Call(self._background.stop).ended()


def _kept_fresh(agent: Agent) -> Background:
    background = agent.keep_fresh()
    background.start()
    return background


def _interrupt(agent: _CuttableAgent | None, call: Call[Any]) -> None:
    call.interrupt()
    if agent is not None:
        agent.cut(call.thread)


def _end(agent: _CuttableAgent, calls: Iterable[Call[Any]], ways: Ways) -> None:
    for call in calls:
        _interrupt(agent, call)
    agent.__exit__()
    for call in calls:
        call.thread.join()  # an interrupted one ends at once
    ways.wait_for_the_left(LEAVING_SECONDS)
