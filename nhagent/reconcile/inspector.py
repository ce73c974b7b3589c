"""What is known of a device, and what follows from it: memory, readings, plans, and what is committed.

What is on disk and what the channel sources gave are read and planned once; what a plan needs beforehand is
written down under the lock.
"""

from __future__ import annotations

from contextlib import contextmanager
from os import getpid
from threading import RLock

from nhagent.channels.source import expiry_of, file_of
from nhagent.device.document import Malformed
from nhagent.device.state import State
from nhagent.device.store import IDENTITY, STATE
from nhagent.errors import ConfigurationError, StateLocked
from nhagent.interruption import acquired
from nhagent.logs import Log
from nhagent.reconcile.declaration import Declaration, warn_of_former_user
from nhagent.reconcile.identity import known_identity, new_installation_id, owner_of, told_apart
from nhagent.reconcile.planner import Mode, StartInputs, plan_start
from nhagent.reconcile.readings import Readings, known_channels, read_sources
from nhagent.regular_files import look_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from nhagent.device.store import Memory, Store
    from nhagent.models import Installation
    from nhagent.reconcile.planner import StartPlan
    from nhagent.reconcile.settings import Settings
    from nhagent.registrars.protocol import Registrar
    from nhagent.session.hub_session import HubSession

AT_A_START: Final = Mode()
"""The mode of an ordinary start."""

_log = Log(__name__)


class Inspector:
    """Inspects a device, and plans for it.

    Args:
        settings: what the app passes in; replaced when it declares something else.
        store: the device's files.
        session: its way to the hub.
        registrar: makes the hub know it.
    """

    def __init__(self, settings: Settings, store: Store, session: HubSession, registrar: Registrar) -> None:
        self.settings = settings
        self.store = store
        self.session = session
        self.registrar = registrar
        self._lock = RLock()
        self._process = getpid()
        self._is_reading = False
        self._new_id: str | None = None
        self._recalled: tuple[Memory | None, Any] = None, None

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Serialise passes of this process's threads, and all else that reads and declares.

        Args:
            seconds: how long to wait for another thread.

        Raises:
            StateLocked: it did not finish in time.
        """
        if self._process != getpid():  # forked: the thread at work, and its connection, are the parent's
            self._process, self._lock, self._is_reading = getpid(), RLock(), False
            self.session.forget()
        lock = self._lock
        if not acquired(lock, seconds):
            raise StateLocked(
                f"state folder {self.store.folder!r}: another thread of this program is at work on it and "
                f"did not finish within {seconds:.0f} s",
                "try again, or give it longer",
            )
        try:
            yield
        finally:
            lock.release()

    def recall(self) -> Memory:
        """Read what is on disk. An invalid stored declaration marks state.json as unreadable."""
        loaded = self.store.load()
        found, recalled = self._recalled
        if found is loaded:  # nothing has changed since
            known: Memory = recalled
            return known
        memory = told_apart(loaded, self.settings.machine)
        try:
            Declaration.from_json(memory.state.declaration)
        except Malformed:
            state = State(namespace=memory.state.namespace, disabled=memory.state.disabled)
            memory = memory.changed(state=state, unreadable=(*memory.unreadable, STATE))
        self._recalled = loaded, memory  # replaced at once: threads may share it
        return memory

    def read(self, memory: Memory, seconds: float | None = None) -> Readings:
        """Ask every channel source that is declared, now or before; none while the device is unregistered.

        Args:
            memory: what is on disk.
            seconds: how long all of them may take; None: as long as they like.
        """
        if memory.is_disabled:
            return Readings()
        if self._is_reading:
            raise ConfigurationError(
                "a channel source called its own agent", "let it give the channel and no more"
            )
        declaration = self.settings.declared_over(memory.state.declaration)
        self._is_reading = True
        try:
            settings, remembered = self.settings, memory.state.channels
            return read_sources(settings.platform, settings.source, declaration, remembered, seconds)
        finally:
            self._is_reading = False

    def inputs(
        self,
        memory: Memory,
        readings: Readings,
        namespace: str | None,
        *,
        mode: Mode = AT_A_START,
        new_id: Callable[[], str] | None = None,
    ) -> StartInputs:
        """Gather what is known at a start."""
        return StartInputs(
            memory,
            self.settings,
            readings,
            namespace,
            self.settings.machine(),
            self.session.now(),
            mode,
            new_id or self._next_id,
        )

    def look_at_files(self) -> tuple[object, ...]:
        """Tell what the files look like that channels, and the connection string, come from."""
        paths = (*map(file_of, self._sources()), *self.session.chain.files)
        return tuple(look_of(path) for path in paths if path is not None)

    def seconds_until_expiry(self) -> float | None:
        """Give the seconds until the first push channel of a source ends; None where none says."""
        moments = [moment for moment in map(expiry_of, self._sources()) if moment is not None]
        if not moments:  # then the app's clock, which may fail, is not asked
            return None
        return (min(moments) - self.settings.clock()).total_seconds()

    def _sources(self) -> list[object]:
        """The sources of the device's own channel and of its tiles, or their channels as they were given."""
        tiles = (self.settings.given.secondary_tiles or {}).values()
        return [self.settings.source, *(tile.channel for tile in tiles)]

    @property
    def installation_id(self) -> str:
        """The device's id, or the one that it gets where it has none yet."""
        identity = known_identity(self.recall())
        if identity is not None:
            return identity.installation_id
        return self.settings.installation_id or self._next_id()

    def _next_id(self) -> str:
        """Give the id of the next device that this agent makes: the same until it is on disk."""
        if self._new_id is None:
            self._new_id = new_installation_id()
        return self._new_id

    def plan(self, inputs: StartInputs) -> StartPlan:
        """Plan a start; the device's channels are kept out of every error from now on."""
        plan = plan_start(inputs, self.registrar)
        if not plan.is_settled:
            self._hide_channels(plan)
        return plan

    def learn(self, plan: StartPlan) -> StartPlan:
        """Plan again with what the hub tells of the device, where the disk does not say.

        Raises:
            HubError: the hub did not answer.
        """
        if not plan.must_learn or plan.installation is None:
            return plan
        learnt = self.registrar.learn(
            plan.installation,
            plan.state.accepted,
            plan.known_id,
            listing=plan.listing,
            complete=self.settings.given.is_complete or plan.state.listed,
        )
        if learnt.declared is not None:
            from nhagent.reconcile.adoption import usable

            found: Installation | None = usable(learnt.declared, plan.installation)
            if found is not None and self.settings.given.user_id not in {None, found.user_id or ""}:
                _log.info("the installation at the hub is another user's: what he declared is not taken over")
                found = None
            learnt = learnt.changed(declared=found)
        inputs = plan.inputs
        if not plan.state.listed:  # else a refresh is due, and by another clock it might not be
            inputs = inputs.changed(now=self.session.now())
        plan = plan_start(inputs, self.registrar, learnt)
        self._hide_channels(plan)
        return plan

    def commit(self, plan: StartPlan) -> State:
        """Write what must be on disk before anything is sent. Under the lock.

        Returns:
            The state that is on disk then.

        Raises:
            StateUnwritable: it is not on disk.
        """
        memory, now = plan.inputs.memory, self.settings.clock
        before, after = memory.state.declaration, plan.state.declaration
        if (before.get("templates"), before.get("secondaryTiles")) != (
            after.get("templates"),
            after.get("secondaryTiles"),
        ):  # told once
            from nhagent.reconcile.expressions import warn

            warn(self.settings.platform, Declaration.from_json(after), Declaration.from_json(before))
        for name in memory.unreadable:
            aside = self.store.keep_aside(name, now())
            _log.warning("state file %s was corrupt and is kept as %s", name, aside)
        if plan.is_cloned:
            for name in (IDENTITY, STATE):
                self.store.keep_aside(name, now())
        # The state first: an identity on disk means that the first run is over.
        state = plan.committed_state
        if memory.identity is not None and memory.identity.installation_id != plan.identity.installation_id:
            # A crash between the two files must not part them.
            owner = owner_of(plan.identity, state)
            state = state.changed(owner=owner.changed(former_id=memory.identity.installation_id))
        if memory.state.declaration != state.declaration:
            warn_of_former_user(Declaration.from_json(memory.state.declaration), self.settings.given)
        if memory.unreadable or memory.unsaved or not memory.state.is_stored_as(state):
            self.store.save_state(state)
        if memory.identity != plan.identity:
            self.store.save_identity(plan.identity)
            if plan.identity.installation_id == self._new_id:
                self._new_id = None
        return state

    def _hide_channels(self, plan: StartPlan) -> None:
        states = (plan.inputs.memory.state, plan.state)
        self.session.hide(lambda: [channel for state in states for _, channel in known_channels(state)])
