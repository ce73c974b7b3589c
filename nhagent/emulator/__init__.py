"""An Azure Notification Hub on loopback, for tests, examples and trials.

It answers requests about installations and registrations as the service does, checks every token, and keeps
its contents in SQLite. It takes sends too, and shows what each device would receive and why others would not.
It shares no code with the rest of nhagent, so that a mistake in the library cannot be hidden by the same
mistake here. Nothing leaves it, except to its own push service.

    with Emulator("my-hub") as emulator:
        agent = Agent(..., hub=emulator.hub, connection_string=emulator.listen)
"""

from nhagent.emulator.emulator import Emulator
from nhagent.emulator.log import LogEntry
from nhagent.emulator.sends.delivery import Delivery, Match, Why

__all__ = ["Delivery", "Emulator", "LogEntry", "Match", "Why"]
