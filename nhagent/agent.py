"""The agent: one device, kept known to one hub.

Every start begins in one of these states and ends in IN_SYNC, or reports truthfully why it does not:

========== ============================================ ==================================================
state      true on disk                                 leaves by
========== ============================================ ==================================================
NEW        nothing                                      the hub is asked what it holds for the channels;
                                                        an identity is adopted or made, saved → IDENTIFIED
IDENTIFIED identity, nothing accepted                   written, then what must go deleted → IN_SYNC
UNVERIFIED a file that could not be read, set aside     id known: written whole; id lost: as NEW → IN_SYNC
DRIFTED    accepted ≠ desired, a record in doubt,       the plan is carried out → IN_SYNC
           something to delete, or the refresh is due
IN_SYNC    accepted = desired, fresh, nothing to delete a channel that changes, or time that passes
GONE       (the hub does not know our record)           installation: PUT whole under the same id;
                                                        registration: a new id for that row → IN_SYNC
CLONED     another machine's fingerprint                a channel that the other machine did not have:
                                                        the other's files are kept aside → NEW
BLOCKED    the hub, or a source, refused the            a start with credentials that are good: they are
           credentials                                  read again every time
DISABLED   the user unregistered the device;            `Agent.enable`; until then only deletions
           outranks every refresh                       are sent, and the channels searched for leftovers
========== ============================================ ==================================================

The rules that make it safe to be stopped anywhere: an identity is on disk before the request that uses it; a
record is marked in doubt on disk before a write of it goes out, and only an answer clears the mark; what the
hub accepted is on disk before the next step; what must go is on disk before it is deleted. Where the disk
takes no more, a device that has its identity there goes on from memory, and one that has none sends nothing.
An unchanged start sends nothing, writes nothing, takes no lock and imports no HTTP stack.
"""

from __future__ import annotations

from datetime import timedelta

from nhagent import validation
from nhagent.errors import ConfigurationError, NhagentError
from nhagent.logs import Log
from nhagent.reconcile.assembly import assembled
from nhagent.reconcile.callbacks import Callbacks
from nhagent.reconcile.declaration import Declaration, listed_tags
from nhagent.reconcile.planner import Mode
from nhagent.reconcile.settings import KEEP, named_user
from nhagent.report import Plan, Status, Step
from nhagent.retry.loop import run_until_done
from nhagent.secret import NO_LOCALS, Secret, hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from threading import Event
    from typing import Any, Final, Self

    from nhagent.channels.messages import Message
    from nhagent.device.machine import MachineName
    from nhagent.filesystem import Disk
    from nhagent.hub.backend import Backend
    from nhagent.literals import PlatformName, StyleName
    from nhagent.models import Platform, RawChannel, SecondaryTile, Template
    from nhagent.reconcile.settings import Keep
    from nhagent.report import Report, Verification
    from nhagent.retry.background import Background

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds that all attempts of a call may take."""

_log = Log("nhagent")


class Agent:
    """Keeps one device known to one hub.

    Args:
        app: the app's name; two programs of one user must not share an identity, so there is no default.
        hub: the hub's name, or a `nhagent.Backend` that registers the device in its place.
        platform: ``wns``, ``apns``, ``fcmv1``, …; see `nhagent.models.Platform`. None: the source's own.
        channel: the push channel (PNS handle), or a callable that gives it or None.
        tags, templates, push_variables, secondary_tiles: what the hub shall know; None: what was declared
            before; empty: nothing.
        initial_tags: tags of a device that has declared none yet; `add_tags` and `remove_tags` change them.
        user_id: who uses the device; left out: whoever did before; None: nobody.
        expires_after: life of the record at the hub from its last whole write; None: for ever.
        owns_tags: False where the app's backend owns the tags: a refresh reads, and sends a PATCH of what
            differs. What no PATCH can say goes out whole with the tags just read: one that the backend gives
            between the two is lost. A device that the hub had lost comes back without, as ``recreated``.
        style: ``installation``: one record with all; ``registration``: one record per tile and template.
        connection_string: text, a callable giving a SAS token (then ``endpoint`` is needed), or None:
            systemd's credential, $NHAGENT_CONNECTION_STRING_FILE, $NHAGENT_CONNECTION_STRING or the key ring.
        token: gives a SAS token for the installation id that it is called with; asked again five minutes
            before its end. It stands alone, and ``endpoint`` is needed.
        endpoint: the namespace's address, in place of the connection string's.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        allow_full_access: take a key that may do more than listen.
        installation_id: a lasting id of the app's own; ``machine``: derived from this machine, the app and
            the hub, where storage does not last; None: one is made at the first start and kept.
        state_dir: absolute path; None: $NHAGENT_STATE_DIR, $STATE_DIRECTORY, or the user's data folder.
        refresh_every: age at which an unchanged registration is written again; zero: at every start.
        startup_spread: over how long after their boot a fleet's first requests are spread; each device keeps
            its own place in it.
        first_run_list: whether a first run asks what the hub holds for the channel, to make no second device.
        on_registered: called with the report whenever the hub has accepted something new.
        on_error: called with the error whenever a run ends with one, or a channel source fails.
        clock: gives the time, an aware datetime or seconds since 1970.
        sleep: waits some seconds.
        random: gives a number from 0 to 1.
        machine: gives what tells this machine from others and outlives its disk, or None; left out: a
            board's serial number, else network addresses and the machine id.
        disk: the file system of the state folder.

    Raises:
        ConfigurationError: an argument is wrong; nothing was written or sent.
        CredentialError: the connection string may do more than listen.
    """

    def __init__(
        self,
        *,
        app: str,
        hub: str | Backend,
        platform: Platform | PlatformName | None = None,
        channel: RawChannel | Callable[[], RawChannel],
        tags: Iterable[str] | None = None,
        initial_tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
        user_id: str | Keep | None = KEEP,
        push_variables: Mapping[str, str] | None = None,
        expires_after: timedelta | None = None,
        owns_tags: bool = True,
        style: StyleName = "installation",
        connection_string: str | Callable[[], str] | None = None,
        token: Callable[[str], str] | None = None,
        endpoint: str | None = None,
        ca_bundle: str | None = None,
        allow_full_access: bool = False,
        installation_id: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
        refresh_every: timedelta = timedelta(days=1),
        first_run_list: bool = True,
        startup_spread: timedelta = timedelta(),
        on_registered: Callable[[Report], object] | None = None,
        on_error: Callable[[NhagentError], object] | None = None,
        clock: Callable[[], datetime | float] | None = None,
        sleep: Callable[[float], None] | None = None,
        random: Callable[[], float] | None = None,
        machine: MachineName | None = None,
        disk: Disk | None = None,
    ) -> None:
        credentials = {"connection_string": hidden(connection_string), "token": token and Secret(token)}
        given = Secret({**locals(), **credentials})
        del app, hub, platform, channel, tags, initial_tags, templates, secondary_tiles, user_id
        del push_variables, style, connection_string, token, endpoint, ca_bundle, installation_id, state_dir
        del expires_after, refresh_every, startup_spread
        self._callbacks = Callbacks(on_registered, on_error, lambda: self._session.is_cut)
        self._background: Background | None = None
        self._wake: Callable[[], object] | None = None
        with NO_LOCALS:  # a traceback would show what was given
            self._set_up(given.reveal())

    def _set_up(self, given: Mapping[str, Any]) -> None:
        parts = assembled(given)
        self._settings, self._store, self._session = parts.settings, parts.store, parts.session
        self._retries, self._inspector, self._reconciler = parts.retries, parts.inspector, parts.reconciler
        if hasattr(self._settings.source, "belong_to"):
            from nhagent.reconcile.own_channel import OwnChannel

            own = OwnChannel(self._settings, self._store, self.poke, self.start)
            self._callbacks.followed = own.follow

    def __repr__(self) -> str:
        return f"<agent of app {self._settings.app!r} for hub {self._settings.hub!r}>"

    @property
    def state_folder(self) -> str:
        """Where what it remembers is kept; it may not be there yet."""
        return self._store.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._background is not None:
            self._background.stop()

    def start(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Register the device as declared: once at the app's start-up, and whenever that may have changed.

        Attempts until the deadline: after a fault soon again; without a push channel, or with a state folder
        that cannot be written, not before a minute has passed, so that a shorter deadline ends it at once.

        Args:
            timeout: seconds that all attempts may take; the first is always made.

        Returns:
            What it came to. ``waiting`` where the deadline passed on an error that waiting may mend.

        Raises:
            ConfigurationError: what is declared cannot be registered.
            CredentialError: no connection string, or none that may be used.
            HubError: the hub refused, and will refuse again.
        """
        return self._run(timeout)

    async def start_async(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """`start` on a worker thread, for asyncio programs; returns and raises the same."""
        import asyncio

        return await asyncio.to_thread(self.start, timeout=timeout)

    def keep_fresh(self) -> Background:
        """Keep the device registered in a background thread, without limit: a context manager.

        It starts the device, tries again for as long as it takes, refreshes it at the device's own slot after
        its interval, and looks once, minutes after a first registration, whether the hub has kept it. It
        takes over a new channel within seconds where that comes from `nhagent.channels.from_file`, at once
        when it is poked, else within a quarter of an hour. Results go to ``on_registered`` and ``on_error``;
        nothing that they raise stops it. The thread ends at once at the end of the block.

        Raises:
            ConfigurationError: it is kept fresh already.
        """
        from nhagent.retry.background import Background

        before = self._background
        if before is not None and before.is_at_work:
            raise ConfigurationError(
                "keep_fresh: a background thread keeps this agent fresh already", "use that one, or stop it"
            )
        if before is not None and not before.is_alive:
            before.stop()  # one that never began gives way
        self._background = Background(
            lambda wait, lived: self._live(wait=wait, lived=lived),
            cut=self._session.cut,
            looks=self._inspector.look_at_files,
            sleep=self._settings.wait,
        )
        return self._background

    def poke(self) -> bool:
        """Let the background thread look at once whether something has changed: a channel, credentials.

        Returns:
            Whether there is one that looks.
        """
        wake, background = self._wake, self._background
        if wake is not None:
            wake()
        elif background is not None and background.is_at_work:
            background.poke()
        else:
            return False
        return True

    def receive(self, on_message: Callable[[Message], object], stop: Event | None = None) -> None:
        """Keep the device fresh, and hand on in this thread what arrives on its push channel. Blocks.

        Args:
            on_message: takes a message; what it raises counts as a failure, and it is given that again.
            stop: ends this once it is set; None: only what is no failure does, such as KeyboardInterrupt.

        Raises:
            ConfigurationError: the channel's source receives nothing, or receives already.
            StateError: another process receives, or the state folder cannot be used.
        """
        from nhagent.reconcile.own_channel import received_by

        receive = received_by(self._settings.source)
        background = self._background
        if self._wake is not None or (background is not None and background.is_at_work):
            return receive(on_message, stop)
        with self.keep_fresh():
            return receive(on_message, stop)

    def verify(self) -> Verification:
        """Ask the hub whether it holds what it accepted, field by field. Never to be polled.

        One request for the installation, or one for each row in the registration style, and a list for each
        channel, since a restored disk may have made a second device; where the device is unregistered, the
        lists alone; none where the hub has accepted nothing in this style. What
        drifted is marked, so that the next start writes it whole; a channel that the hub has marked as dead
        is not sent again, and its source is asked for another.

        Raises:
            HubError: the hub could not be asked.
            NhagentError: as `start`.
        """
        from nhagent.reconcile.drift import verify

        return verify(self._inspector, self._retries)

    def refresh(self, *, force: bool = False, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """As `start`; with ``force`` the whole is written whatever its age."""
        return self._run(timeout, force=force)

    def update(
        self,
        *,
        tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        user_id: str | Keep | None = KEEP,
        push_variables: Mapping[str, str] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Report:
        """Declare something else: it is on disk before anything is sent, and outlives this process.

        Args:
            tags, templates, push_variables, secondary_tiles: what replaces the former; None: that stays;
                empty: nothing of it any more. It holds until an agent is made with that parameter given: a
                given one is the truth at every start.
            user_id: who uses the device from now on; left out: whoever did; None: nobody.
            timeout: seconds, as for `start`.

        Raises:
            ConfigurationError: it breaks a rule; nothing was changed.
            StateLocked: another process did not let it get to disk within a minute: it was not kept.
            NhagentError: as `start`; the declaration is kept all the same.
        """
        changes = Declaration.checked(
            self._settings.platform,
            tags=tags,
            templates=templates,
            user_id=named_user(user_id),
            push_variables=push_variables,
            secondary_tiles=secondary_tiles,
        )
        return self._declare(lambda _: changes, timeout)

    def add_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare further tags, one by one or in lists; see `update`.

        They hold until an agent is made with ``tags`` given: an app that uses this gives ``initial_tags``.
        """
        if self._settings.declares_tags:
            _log.warning("add_tags: this app gives tags=, so that its next start removes %s again", tags)
        added = validation.checked_tags("tags", listed_tags(tags))
        return self._declare(lambda declared: Declaration(tags=(*(declared.tags or ()), *added)), timeout)

    def remove_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare these tags no more, one by one or in lists; see `add_tags` and `update`."""
        removed = {tag.lower() for tag in validation.checked_tags("tags", listed_tags(tags))}
        return self._declare(
            lambda declared: Declaration(
                tags=tuple(tag for tag in declared.tags or () if tag.lower() not in removed)
            ),
            timeout,
        )

    def _declare(self, change: Callable[[Declaration], Declaration], timeout: float) -> Report:
        from nhagent.reconcile.intents import declare

        validation.check_seconds("timeout", timeout)
        declare(self._inspector, change)
        return self._run(timeout)

    def plan(self) -> Plan:
        """What `start` would do now. Changes nothing, on disk or at the hub.

        Before a first run the hub is asked what it holds, so that what would be adopted or deleted is shown.

        Raises:
            NhagentError: as `start`.
        """
        from nhagent.reconcile.looking import plan_without_changing

        plan = plan_without_changing(self._inspector, self._retries)
        steps = [
            Step(step.method, step.record, step.id, step.reason, tuple(step.changes)) for step in plan.steps
        ]
        return Plan(tuple(steps), plan.readings.errors, plan.identity.disabled)

    def status(self) -> Status:
        """What is known without asking the hub or a channel source.

        Raises:
            StateUnwritable: the state is another user's.
            ConfigurationError: what was declared cannot be registered.
        """
        from nhagent.reconcile.looking import status_of

        return status_of(self._inspector)

    def unregister(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Take the device off the hub, and keep it off until `enable`.

        The intent outranks every refresh, and is on disk before anything is sent.

        Returns:
            ``disabled`` once the hub holds nothing of the device; ``waiting`` where it has not answered yet:
            every later start goes on with that.

        Raises:
            StateLocked: another process did not let it get to disk within a minute: it was not kept.
            NhagentError: as `start`; the intent is kept all the same.
        """
        from nhagent.reconcile.intents import disable

        validation.check_seconds("timeout", timeout)
        disable(self._inspector, timeout)
        return self._run(timeout)

    def enable(self, *, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Lift `unregister`, and register the device again; see `start`.

        It does so under a new installation id, unless the app has one of its own: the service has been seen
        to ignore an installation that comes back unchanged under an id that was deleted.

        Raises:
            StateError: the state cannot be read, locked or written.
            NhagentError: as `start`; that it is lifted is kept all the same.
        """
        from nhagent.reconcile.intents import enable

        validation.check_seconds("timeout", timeout)
        enable(self._inspector)
        return self._run(timeout)

    def _run(self, timeout: float, *, force: bool = False) -> Report:
        validation.check_seconds("timeout", timeout)
        mode = Mode(force=force)
        try:
            report = run_until_done(
                lambda left: self._reconciler.run(left, mode),
                timeout=timeout,
                clock=self._settings.clock,
                sleep=self._settings.sleep,
                failures=self._retries,
            )
        except NhagentError as error:
            self._callbacks.failed(error)
            raise
        self._callbacks.announce(report)
        return report

    def _live(self, *, wake: Callable[[], object] | None = None, **ways: Any) -> None:
        """Keep the device fresh in this very thread, for ever; see `nhagent.reconcile.keeping.keep`."""
        from nhagent.reconcile.keeping import keep

        self._wake = wake
        try:
            keep(self._inspector, self._reconciler, self._retries, self._callbacks, **ways)
        finally:
            self._wake = None
