"""Channel sources: where the push channel of a device, or of a secondary tile, comes from.

A channel source is a callable without arguments. It gives the push channel that the platform has issued: a
PNS handle as text, or for the platform ``browser`` a subscription (a `nhagent.BrowserChannel`, a mapping, or
its JSON text); or None, where the platform has issued none yet. It should be quick, since it is called at
every start and again and again in the background. It may raise `nhagent.errors.ChannelError`; any other
exception counts as a failure of the source. Either way the device keeps the channel that it had.

Some sources can do more: `WebPushChannel` obtains a push channel by itself, where no platform gives one, and
receives what is sent to it. A source may say its ``platform``, and have ``receive(on_message, stop)``.

The names below are imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from nhagent.channels.messages import Message
    from nhagent.channels.simple import from_command, from_credential, from_environment, from_file
    from nhagent.channels.unifiedpush import UnifiedPushChannel
    from nhagent.channels.webpush import WebPushChannel
    from nhagent.channels.wns import WnsChannel

__all__ = [
    "Message",
    "UnifiedPushChannel",
    "WebPushChannel",
    "WnsChannel",
    "from_command",
    "from_credential",
    "from_environment",
    "from_file",
]

_HOMES: Final = {
    "Message": "messages",
    "UnifiedPushChannel": "unifiedpush",
    "WebPushChannel": "webpush",
    "WnsChannel": "wns",
}
"""The modules of the names that are not in ``simple``."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'nhagent.channels' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"nhagent.channels.{_HOMES.get(name, 'simple')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
