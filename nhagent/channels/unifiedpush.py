"""A push channel of a logged-in Linux desktop: through its UnifiedPush distributor, over the session bus.

The distributor (KDE's, or a small one) has the connection to a push service; programs share it. Messages are
encrypted for this program, and decrypted by it alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.channels.push_settings import checked_public_key
from nhagent.channels.subscribed import SubscribedChannel
from nhagent.errors import ConfigurationError
from nhagent.secret import hiding_arguments

if TYPE_CHECKING:
    import os

    from nhagent.channels.distributor import DistributorSubscriber
    from nhagent.channels.store import Home

MAX_NAME: Final = 255
_IN_NAMES: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class UnifiedPushChannel(SubscribedChannel):
    """A channel source that registers with the desktop's distributor, and receives what that hands on.

    Called, it gives the subscription that this program has; where it has none it gets one. It belongs to one
    agent, which registers every new subscription, or stands alone with ``app`` or ``state_dir``.

    Args:
        vapid_public_key: the public key of the hub's browser credential; see `WebPushChannel`.
        service: the program's name on the session bus, such as ``com.example.Weather``.
        app: the app's name, for use without an agent.
        state_dir: absolute path of the state folder, for use without an agent; None: the usual one.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    @hiding_arguments
    def __init__(
        self,
        vapid_public_key: str,
        service: str,
        app: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._vapid = checked_public_key(vapid_public_key)
        self._server = checked_service(service)
        super().__init__(app, state_dir)

    def __repr__(self) -> str:
        return f"<unified push channel of {self._server}>"

    def _check_installed(self) -> None:
        from nhagent.channels.session_bus import check_installed

        check_installed()

    def _made(self, home: Home) -> DistributorSubscriber:
        from nhagent.channels.distributor import DistributorSubscriber

        return DistributorSubscriber(self._server, self._vapid, home)


def checked_service(name: object) -> str:
    """Give a program's name on the bus.

    Raises:
        ConfigurationError: it is none.
    """
    validation.check_setting("service", name)
    text = str(name)
    parts = text.split(".")
    is_name = len(parts) > 1 and len(text) <= MAX_NAME
    is_name = is_name and all(part and not part[0].isdigit() and _IN_NAMES.issuperset(part) for part in parts)
    if not is_name:
        raise ConfigurationError(
            f"service {validation.shown(name)}: is not a name on the session bus",
            "give one such as com.example.Weather",
        )
    return text
