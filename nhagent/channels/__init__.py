"""Channel sources: where the push channel of a device, or of a secondary tile, comes from.

A channel source is a callable without arguments. It gives the push channel that the platform has issued: a
PNS handle as text, or for the platform ``browser`` a subscription (a `nhagent.BrowserChannel`, a mapping, or
its JSON text); or None, where the platform has issued none yet. It should be quick, since it is called at
every start and again and again in the background. It may raise `nhagent.errors.ChannelError`; any other
exception counts as a failure of the source. Either way the device keeps the channel that it had.

The names below make channel sources. They are imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.channels.simple import from_command, from_credential, from_environment, from_file

__all__ = ["from_command", "from_credential", "from_environment", "from_file"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'nhagent.channels' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("nhagent.channels.simple"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
