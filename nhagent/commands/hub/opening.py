"""The hub that the tools ask: which one, and with which key."""

from __future__ import annotations

from nhagent.commands.config import ConfigurationFile
from nhagent.errors import ConfigurationError
from nhagent.hub.client import HubClient
from nhagent.session.credential_chain import CredentialChain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Final

APP: Final = "nhagent-hub"
"""Names the key ring's entry where no configuration names an app."""


def opened(options: argparse.Namespace) -> HubClient:
    """Open the hub that was named, with a key of the credential chain.

    Args:
        options: ``hub``, ``endpoint``, ``ca_bundle`` and ``config`` of the command line.

    Raises:
        ConfigurationError: no hub is named, or what names it is wrong.
        CredentialError: there is no key.
    """
    app, hub, ca_bundle, endpoint = APP, options.hub, options.ca_bundle, options.endpoint
    if hub is None:
        file = _configuration(options.config)
        arguments = file.agent_arguments()
        app, hub = arguments["app"], arguments["hub"]
        if not isinstance(hub, str):
            raise ConfigurationError(
                "hub: the configuration names a backend, which has the key", "name the hub: --hub NAME"
            )
        ca_bundle = ca_bundle or arguments["ca_bundle"]
        endpoint = endpoint or arguments["endpoint"]
    chain = CredentialChain(app, hub, None, endpoint=endpoint, allow_full_access=True)
    chain.namespace_at_any_cost()
    assert chain.current is not None
    return HubClient(chain.current.key, hub, endpoint=chain.endpoint, ca_bundle=ca_bundle)


def _configuration(given: str | None) -> ConfigurationFile:
    try:
        return ConfigurationFile(given)
    except ConfigurationError as error:
        if given is not None:
            raise
        raise ConfigurationError(
            "hub: is not named, and there is no configuration", "name it: --hub NAME"
        ) from error
