"""Puts together what an agent works with, out of what the app gives."""

from __future__ import annotations

from nhagent.device import paths
from nhagent.device.store import Store
from nhagent.reconcile.inspector import Inspector
from nhagent.reconcile.reconciler import Reconciler
from nhagent.reconcile.settings import read_settings
from nhagent.registrars.protocol import registrar_of
from nhagent.retry.state import Retries
from nhagent.session.credential_chain import CredentialChain
from nhagent.session.hub_session import HubSession
from nhagent.session.token_source import source_of
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from nhagent.reconcile.settings import Settings


class Parts(Value):
    """What an agent works with.

    Attributes:
        settings: what the app passes in and is not stored.
        store: the device's files.
        session: its way to the hub.
        retries: what stands in its way, and until when.
        inspector: what is known of the device.
        reconciler: makes the passes.
    """

    settings: Settings
    store: Store
    session: HubSession
    retries: Retries
    inspector: Inspector
    reconciler: Reconciler


def assembled(given: Mapping[str, Any]) -> Parts:
    """Put them together.

    Args:
        given: the arguments of `nhagent.agent.Agent`, by name.

    Raises:
        ConfigurationError: one of them is wrong.
        CredentialError: the connection string may do more than listen.
    """
    settings = read_settings(**given)
    at_backend = settings.backend is not None
    registrar = registrar_of(settings.style, lambda: session.open(), at_backend=at_backend)
    settings.check(registrar)
    folder = paths.device_folder(paths.state_folder(given["state_dir"]), settings.app, settings.hub)
    store = Store(folder, sleep=settings.sleep, disk=given["disk"])
    if settings.backend is None:
        credentials = source_of(
            given["connection_string"],
            given["token"],
            lambda: inspector.installation_id,
            settings.clock,
        )
        keys = CredentialChain(
            settings.app,
            settings.hub,
            credentials,
            endpoint=given["endpoint"],
            allow_full_access=given["allow_full_access"],
        )
        session = HubSession(keys, settings.hub, ca_bundle=given["ca_bundle"], clock=settings.clock)
    else:
        from nhagent.session.backend_session import BackendSession
        from nhagent.session.bearer import BearerChain

        bearer = BearerChain(settings.app, settings.backend)
        session = BackendSession(bearer, settings.backend, settings.clock)
    retries = Retries(store, settings.clock, settings.random)
    inspector = Inspector(settings, store, session, registrar)
    return Parts(settings, store, session, retries, inspector, Reconciler(inspector, retries))
