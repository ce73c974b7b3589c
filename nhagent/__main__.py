"""The ``nhagent`` command's process, also as ``python -m nhagent``."""

import gc
import sys

NEW_OBJECTS = 50_000
"""After how many new objects Python looks for garbage. A command loads tens of thousands, and keeps them all:
looking at each of them again and again would take a twentieth of its time.
"""


def main() -> int:
    """Run the command, in a process of its own."""
    gc.set_threshold(NEW_OBJECTS)
    from nhagent.commands.cli import main

    code = main()
    gc.freeze()  # it all goes with the process: Python need not look through it before
    return code


if __name__ == "__main__":
    sys.exit(main())
