"""An Azure Notification Hub on loopback, for tests, examples and trials.

It answers requests about installations and registrations as the service does, checks every token, and keeps
its contents in SQLite. It shares no code with the rest of nhagent, so that a mistake in the library cannot
be hidden by the same mistake here. It delivers nothing to any push service.

    with Emulator("my-hub") as emulator:
        agent = Agent(..., hub=emulator.hub, connection_string=emulator.listen)
"""

from nhagent.emulator.emulator import Emulator
from nhagent.emulator.log import LogEntry

__all__ = ["Emulator", "LogEntry"]
