"""A device's way to its app's backend: the connection, opened with the device's own token or certificate."""

from __future__ import annotations

from threading import current_thread

from nhagent.errors import Unauthorized
from nhagent.hub.client_certificate import ClientCertificate
from nhagent.session.hub_session import HubSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import TypeVar

    from nhagent.hub.backend import Backend
    from nhagent.hub.operations import HubOperations
    from nhagent.session.bearer import BearerChain

    _T = TypeVar("_T")


class BackendSession(HubSession):
    """A device's way to its app's backend.

    Args:
        chain: finds the token to send.
        backend: where it is.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: the CA bundle or the certificate cannot be used.
    """

    def __init__(self, chain: BearerChain, backend: Backend, clock: Callable[[], datetime]) -> None:
        super().__init__(chain, backend.name, ca_bundle=backend.ca_bundle, clock=clock)
        self._backend = backend
        self._bearer = chain
        ClientCertificate.read(backend.client_cert)  # refused before the first request

    def _opened(self) -> HubOperations:
        from nhagent.hub.backend_exchange import BackendExchange
        from nhagent.hub.backend_operations import BackendOperations

        if self._bearer.current is None:
            self._bearer.namespace_at_any_cost()
        self._user = current_thread()
        self._exchange = BackendExchange(self._backend, self._bearer.token, self.clock.signing_time)
        self._exchange.channels = self._channels
        return BackendOperations(self._exchange)

    def authorized(self, ask: Callable[[], _T]) -> _T:
        """Ask the backend; after a 401 once more, if there is another token by now.

        What `ask` has read is read again.

        Raises:
            Unauthorized: there is none.
        """
        while True:
            try:
                found = ask()
            except Unauthorized as error:
                if self._bearer.current is None:
                    raise
                self._bearer.replace_refused(error)
                self._let_go()
            else:
                self._bearer.accepted()
                return found
