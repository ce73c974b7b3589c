"""What the user wants from now on: declared otherwise, off, or on again. On disk before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from nhagent.device.state import Identity
from nhagent.device.store import STATE, Store
from nhagent.errors import ConfigurationError, CredentialError, StateUnreadable
from nhagent.models import PushChannel
from nhagent.reconcile.declaration import Declaration, remembered_channels
from nhagent.reconcile.planner import Draft, is_disabled, sweep_of
from nhagent.reconcile.reconciler import Wheel, new_installation_id
from nhagent.reconcile.settings import check_terms
from nhagent.registrars import INSTALLATION, REGISTRATION
from nhagent.registrars.deletions import all_leaving
from nhagent.session.hub_session import HubSession

LOCK_SECONDS: Final = 60.0
"""How long a wish waits to get to disk while another process, or thread, of the same app is at work."""


class Wishes:
    """A device's wishes.

    Args:
        wheel: the next turn of it carries them out.
        store: the device's files.
        access: tells the namespace.
        style: the registrar's.
        fixed_channel: the push channel, where it was given as it is.
    """

    def __init__(
        self, wheel: Wheel, store: Store, access: HubSession, style: str, fixed_channel: PushChannel | None
    ) -> None:
        self._wheel = wheel
        self._store = store
        self._access = access
        self._style = style
        self._fixed_channel = fixed_channel

    def declare(self, change: Callable[[Declaration], Declaration]) -> None:
        """Change the declaration, which is read from disk at every later start.

        Args:
            change: is given what is declared; gives what replaces parts of it.

        Raises:
            ConfigurationError: it breaks a rule; nothing was changed.
            StateError: it is not on disk.
        """
        wheel = self._wheel
        with wheel.alone(LOCK_SECONDS), self._store.lock(LOCK_SECONDS):
            memory = wheel.recall()
            if STATE in memory.unreadable:
                raise StateUnreadable(
                    f"state folder {self._store.folder!r}: {STATE} makes no sense; start first"
                )
            terms = wheel.terms
            declared = terms.given.over(Declaration.from_json(memory.state.declaration))
            if not terms.owns_tags:
                declared = declared.without_tags()
            if self._style == REGISTRATION:
                declared = declared.without_user_id()
            changes = change(declared)
            checked = changes.over(declared).rechecked(terms.platform)
            check_terms(replace(terms, given=checked), self._style, self._fixed_channel)
            self._store.save_state(replace(memory.state, declaration=checked.to_json()))
            wheel.terms = replace(terms, given=terms.given.left_to_disk(changes))

    def be_off(self) -> None:
        """Be off the hub, whatever is declared, and however wrong that or the credential is.

        Raises:
            StateError: it is not on disk.
        """
        wheel = self._wheel
        with wheel.alone(LOCK_SECONDS):
            asked = wheel.ask(wheel.recall())
            with self._store.lock(LOCK_SECONDS):
                memory, platform = wheel.recall(), wheel.terms.platform
                off = replace(memory, state=replace(memory.state, disabled=True))
                draft = wheel.draft(off, asked, self._namespace())
                state = draft.state
                if wheel.terms.first_run_list and not is_disabled(memory):
                    known = {**remembered_channels(platform, state.channels), **asked.given}
                    sweep = sweep_of(((platform, channel) for channel in known.values()), state)
                    state = replace(state, accepted=replace(state.accepted, sweep=sweep))
                if memory.identity is None and wheel.terms.installation_id is not None:
                    # The disk knows nothing, but the id is the app's own: the hub may hold it.
                    state = replace(state, accepted=state.accepted.doubting(INSTALLATION))
                wheel.settle(replace(draft, memory=memory, state=state))

    def be_on(self) -> None:
        """Be on again, under a new installation id unless the app has one of its own.

        Raises:
            StateError: the state cannot be read, locked or written.
        """
        wheel = self._wheel
        with wheel.alone(LOCK_SECONDS), self._store.lock(LOCK_SECONDS):
            memory = wheel.recall()
            before = memory.identity
            if not is_disabled(memory):
                return
            accepted = all_leaving(memory.state.accepted, "" if before is None else before.installation_id)
            state = replace(memory.state, accepted=replace(accepted, sweep=()), disabled=False)
            identity = replace(
                before or Identity("", memory.state.namespace),  # what newer versions wrote stays
                installation_id=wheel.terms.installation_id or new_installation_id(),
                disabled=False,
            )
            wheel.settle(Draft(memory, identity, state))

    def _namespace(self) -> str | None:
        try:
            return self._access.namespace()
        except (ConfigurationError, CredentialError):  # told by the turn that follows
            return None
