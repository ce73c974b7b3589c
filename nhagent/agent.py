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
           something leaving, or the refresh is due
IN_SYNC    accepted = desired, fresh, nothing leaving   a channel that changes, or time that passes
GONE       (the hub does not know our record)           installation: PUT whole under the same id;
                                                        registration: a new id for that row → IN_SYNC
CLONED     another machine's fingerprint                a channel that the other machine did not have:
                                                        the other's files are kept aside → NEW
BLOCKED    the hub, or a source, refused the            a start with credentials that are good: they are
           credentials                                  read anew every time
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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from time import sleep as real_sleep
from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.channels.source import as_source
from nhagent.device import paths
from nhagent.device.machine import (
    MachineName,
    derived_installation_id,
    fingerprint_of,
)
from nhagent.device.store import Store
from nhagent.errors import (
    ConfigurationError,
    NhagentError,
    StateError,
    Throttled,
    is_failure,
)
from nhagent.filesystem import Disk
from nhagent.logs import Log
from nhagent.models import (
    Platform,
    RawChannel,
    SecondaryTile,
    Template,
    fingerprint,
    read_channel,
)
from nhagent.reconcile.declaration import PRIMARY, Asked, Declaration, channels_of, listed_tags
from nhagent.reconcile.intents import LOCK_SECONDS, Wishes
from nhagent.reconcile.planner import Draft, state_of
from nhagent.reconcile.reconciler import Wheel
from nhagent.reconcile.seams import clock_from, machine_from, random_from
from nhagent.reconcile.settings import Terms, check_duration, check_terms
from nhagent.registrars import INSTALLATION, REGISTRATION, Registrar, Step
from nhagent.report import Outcome, Report, Status
from nhagent.retry import backoff
from nhagent.retry.loop import Endless, drive, pause_after, uptime
from nhagent.session.hub_session import HubSession

if TYPE_CHECKING:
    import os

    from nhagent.reconcile.drift import Verification
    from nhagent.retry.background import Background

DEFAULT_TIMEOUT: Final = 30.0
FROM_MACHINE: Final = "machine"
BACKGROUND_TURN_SECONDS: Final = 60.0

_log = Log("nhagent")


class Agent:
    """Keeps one device known to one hub.

    Args:
        app: the app's name; two programs of one user must not share an identity, so there is no default.
        hub: the hub's name.
        platform: ``wns``, ``apns``, ``fcmv1``, …; see `nhagent.models.Platform`.
        channel: the push channel (PNS handle), or a callable that gives it or None.
        tags, templates, user_id, push_variables, secondary_tiles: what the hub shall know; None: what was
            declared before; empty: nothing.
        expires_after: life of the record at the hub from its last whole write; None: for ever.
        owns_tags: False where the app's backend owns the tags: they are never overwritten.
        style: ``installation``: one record with all; ``registration``: one for each (tile, template).
        connection_string: text, a callable giving a SAS token (then ``endpoint`` is needed), or None:
            systemd's credential, $NHAGENT_CONNECTION_STRING_FILE, $NHAGENT_CONNECTION_STRING or the key ring.
        endpoint: the namespace's address, where no connection string says it.
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
            board's serial number, else the machine id.
        disk: the file system of the state folder.

    Raises:
        ConfigurationError: an argument is wrong; nothing was written or sent.
        CredentialError: the connection string may do more than listen.
    """

    def __init__(
        self,
        *,
        app: str,
        hub: str,
        platform: str,
        channel: RawChannel | Callable[[], RawChannel],
        tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
        user_id: str | None = None,
        push_variables: Mapping[str, str] | None = None,
        expires_after: timedelta | None = None,
        owns_tags: bool = True,
        style: str = INSTALLATION,
        connection_string: str | Callable[[], str] | None = None,
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
        self._app = validation.checked_app_name(app)
        self._hub = validation.checked_hub_name(hub)
        self._platform = Platform.parse(platform)
        if style not in {INSTALLATION, REGISTRATION}:
            raise ConfigurationError(
                f'style {validation.shown(style)}: give "{INSTALLATION}" or "{REGISTRATION}"'
            )
        for flag, given_flag in (
            ("allow_full_access", allow_full_access),
            ("owns_tags", owns_tags),
            ("first_run_list", first_run_list),
        ):
            validation.check_flag(flag, given_flag)
        for name, call in (
            ("on_registered", on_registered),
            ("on_error", on_error),
            ("clock", clock),
            ("sleep", sleep),
            ("random", random),
            ("machine", machine),
        ):
            validation.check_callable(name, call)
        name_machine = machine_from(machine)
        source = as_source(self._platform, channel, "channel")
        check_duration("refresh_every", refresh_every)
        check_duration("startup_spread", startup_spread)
        if expires_after is not None:
            check_duration("expires_after", expires_after)
            if not expires_after:
                raise ConfigurationError("expires_after: zero; the hub would forget the device at once")
        if installation_id is not None:
            if installation_id == FROM_MACHINE:
                installation_id = derived_installation_id(name_machine(), app, hub)
            validation.check_installation_id(installation_id)
        given = Declaration.checked(
            self._platform,
            tags=tags,
            templates=templates,
            user_id=user_id,
            push_variables=push_variables,
            secondary_tiles=secondary_tiles,
        )
        terms = Terms(
            self._platform,
            given,
            installation_id,
            expires_after,
            refresh_every,
            owns_tags,
            first_run_list,
            startup_spread,
        )
        fixed_channel = None if callable(channel) else read_channel(self._platform, channel, "channel")
        check_terms(terms, style, fixed_channel)
        self._clock = clock_from(clock)
        self._sleep = sleep or real_sleep
        self._wait = sleep
        self._background: Background | None = None
        self._random = random_from(random)
        folder = paths.device_folder(paths.state_folder(state_dir), app, hub)
        self._store = Store(folder, sleep=self._sleep, disk=disk)
        self._access = HubSession(
            app,
            hub,
            connection_string,
            endpoint=endpoint,
            ca_bundle=ca_bundle,
            allow_full_access=allow_full_access,
            clock=self._clock,
        )
        self._registrar = _registrar(style, self._access)
        self._wheel = Wheel(
            self._store,
            self._access,
            self._registrar,
            source,
            terms,
            self._clock,
            lambda: fingerprint_of(name_machine(), app, hub),
        )
        self._wishes = Wishes(self._wheel, self._store, self._access, style, fixed_channel)
        self._on_registered = on_registered
        self._on_error = on_error

    def __repr__(self) -> str:
        return f"<agent of app {self._app!r} for hub {self._hub!r}>"

    @property
    def state_folder(self) -> str:
        """Where what it remembers is kept; it may not be there yet."""
        return self._store.folder

    def start(self, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Make the hub hold what is true: once at the app's start-up, and whenever that may have changed.

        Tries until the deadline: after a fault soon again; without a push channel, or with a state folder
        that cannot be written, not before a minute has passed, so that a shorter deadline ends it at once.

        Args:
            timeout: seconds that all tries may take; the first is always made.

        Returns:
            What it came to. ``waiting`` where the deadline passed on an error that waiting may mend.

        Raises:
            ConfigurationError: what is declared cannot be registered.
            CredentialError: no connection string, or none that may be used.
            HubError: the hub refused, and will refuse again.
        """
        return self._run(timeout)

    async def start_async(self, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """`start` on a worker thread, for asyncio programs; returns and raises the same."""
        import asyncio

        return await asyncio.to_thread(self.start, timeout)

    def keep_fresh(self) -> Background:
        """Keep the device registered in a background thread, without limit: a context manager.

        It starts the device, tries again for as long as it takes, refreshes it at the device's own slot after
        its interval, looks once, minutes after a first registration, whether the hub has kept it, and takes
        over a new channel when it is poked. Results go to ``on_registered`` and ``on_error``; nothing that
        they raise stops it. The thread ends at once at the end of the block.

        Raises:
            ConfigurationError: it is kept fresh already.
        """
        from nhagent.retry.background import Background

        before = self._background
        if before is not None and before.is_at_work:
            raise ConfigurationError(
                "keep_fresh: a background thread keeps this agent fresh already; use that one, or stop it"
            )
        if before is not None and not before.is_alive:
            before.stop()  # one that never began gives way
        self._background = Background(
            lambda thread: self.live(wait=thread.wait, lived=thread.lived),
            cut=self._access.cut,
            sleep=self._wait,
        )
        return self._background

    def live(
        self,
        *,
        wait: Callable[[float], bool],
        lived: Callable[[], float] = uptime,
        told: Callable[[Report | NhagentError, float], None] | None = None,
    ) -> None:
        """As `keep_fresh`, but in this very thread, until ``wait`` raises something: for daemons.

        Args:
            wait: waits some seconds, or less where there is something to look at: then it gives True.
            lived: seconds that have passed, waits included.
            told: is given what each turn came to, and the seconds until the next.
        """
        terms = self._wheel.terms
        Endless(
            self._turn_in_background,
            verify=lambda: not self.verify().in_sync,
            interval=self._refresh_interval,
            refresh_first=not terms.refresh_every,
            clock=self._clock,
            wait=wait,
            lived=lived,
            random=self._random,
            tries=self._wheel.tries,
            told=told,
        ).live()

    def _refresh_interval(self) -> float:
        """Seconds from a refresh to the device's own slot for the next; clocks may be wrong."""
        every = self._wheel.terms.refreshed_in_background_every.total_seconds()
        try:
            known = self._wheel.recall().identity
        except StateError:  # the next turn tells
            known = None
        slot = self._random() if known is None else backoff.slot(known.installation_id)
        return every * (1 + backoff.REFRESH_SLOTS * slot)

    def poke(self) -> None:
        """Let the background thread look at once whether something has changed: a channel, credentials."""
        if self._background is not None:
            self._background.poke()

    def verify(self) -> Verification:
        """Ask the hub whether it holds what it accepted, field by field. Never to be polled.

        One request for the installation, or one for each row in the registration style; where the device is
        unregistered, a list for each channel; none where the hub has accepted nothing in this style. What
        drifted is marked, so that the next start writes it whole; a channel that the hub has marked as dead
        is not sent again, and its source is asked for another.

        Raises:
            HubError: the hub could not be asked.
            NhagentError: as `start`.
        """
        from nhagent.reconcile.drift import Verifier

        wheel = self._wheel
        with wheel.alone(LOCK_SECONDS):
            wheel.tries.check(wheel.recall().state.trouble)
            try:
                return Verifier(
                    self._store, self._access, self._registrar, wheel.terms, wheel.recall, wheel.machine
                ).verify()
            except NhagentError as error:
                pause_after(error, wheel.tries, self._random)
                raise

    def refresh(self, *, force: bool = False, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """As `start`; with ``force`` the whole is written whatever its age."""
        return self._run(timeout, force=force)

    def update(
        self,
        *,
        tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        user_id: str | None = None,
        push_variables: Mapping[str, str] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> Report:
        """Declare something else: it is on disk before anything is sent, and outlives this process.

        Args:
            tags, templates, user_id, push_variables, secondary_tiles: what replaces the former; None: that
                stays; empty: nothing of it any more. It holds until an agent is made with that parameter
                given: a given one is the truth at every start.
            timeout: seconds, as for `start`.

        Raises:
            ConfigurationError: it breaks a rule; nothing was changed.
            StateLocked: another process did not let it get to disk within a minute: it was not kept.
            NhagentError: as `start`; the declaration is kept all the same.
        """
        changes = Declaration.checked(
            self._platform,
            tags=tags,
            templates=templates,
            user_id=user_id,
            push_variables=push_variables,
            secondary_tiles=secondary_tiles,
        )
        validation.check_seconds("timeout", timeout)
        self._wishes.declare(lambda _: changes)
        return self._run(timeout)

    def add_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare further tags, one by one or in lists; see `update`.

        They hold until an agent is made with ``tags`` given: an app that uses this leaves ``tags`` out.
        """
        validation.check_seconds("timeout", timeout)
        added = validation.checked_tags("tags", listed_tags(tags))
        self._wishes.declare(lambda declared: Declaration(tags=(*(declared.tags or ()), *added)))
        return self._run(timeout)

    def remove_tags(self, *tags: str | Iterable[str], timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Declare these tags no more, one by one or in lists; see `add_tags` and `update`."""
        validation.check_seconds("timeout", timeout)
        removed = {tag.lower() for tag in validation.checked_tags("tags", listed_tags(tags))}
        self._wishes.declare(
            lambda declared: Declaration(
                tags=tuple(tag for tag in declared.tags or () if tag.lower() not in removed)
            )
        )
        return self._run(timeout)

    def plan(self) -> list[Step]:
        """The exchanges that `start` would make now. Changes nothing, on disk or at the hub.

        Before a first run the hub is asked what it holds, so that what would be adopted or deleted is shown.

        Raises:
            ChannelError: there is no push channel to register.
            NhagentError: as `start`.
        """
        wheel = self._wheel
        with wheel.alone(LOCK_SECONDS):
            try:
                draft = self._drafted()
            except Throttled as error:  # of all that is learnt this is what must be kept
                pause_after(error, wheel.tries, self._random)
                raise
            finally:
                self._access.close()
        if draft.lacks_channel:
            raise draft.asked.errors[PRIMARY]
        return list(draft.steps)

    def _drafted(self) -> Draft:
        wheel, new_id = self._wheel, lambda: "(new)"
        memory = wheel.recall()
        asked, namespace = wheel.ask(memory), self._access.namespace()
        draft = wheel.draft(memory, asked, namespace, new_id=new_id)
        if not draft.must_learn:
            return draft
        wheel.tries.check(draft.state.trouble)
        namespace = self._access.namespace_at_any_cost()
        return self._access.authorized(lambda: wheel.learnt_draft(memory, asked, namespace, new_id=new_id))

    def status(self) -> Status:
        """What is known without asking the hub or a channel source.

        Raises:
            StateUnwritable: the state is another user's.
            ConfigurationError: what was declared cannot be registered.
        """
        memory = self._wheel.recall()
        draft = self._wheel.draft(memory, Asked(), None)
        accepted, trouble = draft.state.accepted, draft.state.trouble
        shown = {} if draft.desired is None else channels_of(draft.desired.installation)
        return Status(
            state=state_of(draft, self._registrar),
            app=self._app,
            hub=self._hub,
            platform=self._platform,
            namespace=None if memory.identity is None else memory.identity.namespace,
            installation_id=None if memory.identity is None else memory.identity.installation_id,
            channels={name: fingerprint(channel) for name, channel in shown.items()},
            accepted_at=accepted.accepted_at,
            verified_at=draft.state.verified_at,
            refresh_due=None if draft.desired is None else self._registrar.due_at(draft.desired, accepted),
            pending=tuple(str(step) for step in draft.steps),
            in_doubt=tuple(sorted(accepted.in_doubt)),
            leaving=tuple(entry.id for entry in accepted.leaving),
            unreadable=memory.unreadable,
            last_error=None if trouble is None else trouble.kind,
            failures=0 if trouble is None else trouble.tries,
            next_attempt=None if trouble is None else trouble.until,
            writes=draft.state.writes,
            losses=draft.state.losses,
            folder=self._store.folder,
        )

    def unregister(self, timeout: float = DEFAULT_TIMEOUT) -> Report:
        """Take the device off the hub, and keep it off until `enable`.

        The wish outranks every refresh, and is on disk before anything is sent.

        Returns:
            ``disabled`` once the hub holds nothing of the device; ``waiting`` where it has not answered yet:
            every later start goes on with that.

        Raises:
            StateLocked: another process did not let it get to disk within a minute: it was not kept.
            NhagentError: as `start`; the wish is kept all the same.
        """
        self._wishes.be_off()
        return self._run(timeout)

    def enable(self) -> None:
        """Lift `unregister`; the next start registers the device.

        It does so under a new installation id, unless the app has one of its own: the service has been seen
        to ignore an installation that comes back unchanged under an id that was deleted.

        Raises:
            StateError: the state cannot be read, locked or written.
        """
        self._wishes.be_on()

    def _run(self, timeout: float, *, force: bool = False) -> Report:
        validation.check_seconds("timeout", timeout)
        try:
            report = drive(
                lambda left: self._wheel.turn(left, force=force),
                timeout=timeout,
                clock=self._clock,
                sleep=self._sleep,
                random=self._random,
                tries=self._wheel.tries,
            )
        except NhagentError as error:
            self._tell(self._on_error, error)
            raise
        self._announce(report)
        return report

    def _turn_in_background(self, force: bool) -> Report:
        try:
            began = uptime()
            report = self._wheel.turn(BACKGROUND_TURN_SECONDS, force=force, in_background=True)
            report = replace(report, elapsed=uptime() - began)
        except NhagentError as error:
            self._tell(self._on_error, error)
            raise
        self._announce(report)
        return report

    def _announce(self, report: Report) -> None:
        if report.error is not None:
            _log.info("waiting: %s", report.error)
            self._tell(self._on_error, report.error)
        elif report.outcome in {Outcome.REGISTERED, Outcome.UPDATED, Outcome.RECREATED}:
            _log.info("%s at hub %s in %d requests", report.outcome, self._hub, report.requests)
            self._tell(self._on_registered, report)
        for name, failure in report.failed_sources.items():
            _log.warning("the old channel stays in place: %s", failure)
            if name != PRIMARY or report.error is None:
                self._tell(self._on_error, failure)

    def _tell(self, callback: Callable[..., object] | None, news: object) -> None:
        """Call back, unless this thread was stopped; whatever the app's own code raises stops nothing."""
        if callback is None or self._access.is_cut:
            return
        try:
            callback(news)
        except BaseException as error:
            if not is_failure(error):
                raise
            from nhagent.redaction import in_prose

            _log.error("a callback of the app failed (%s)", in_prose(error))


def _registrar(style: str, access: HubSession) -> Registrar:
    """The registrar of a style; that of the other one is not imported."""
    if style == REGISTRATION:
        from nhagent.registrars.registration import RegistrationRegistrar

        return RegistrationRegistrar(access.open)
    from nhagent.registrars.installation import InstallationRegistrar

    return InstallationRegistrar(access.open)
