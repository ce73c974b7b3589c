"""``python -m nhagent``: the same as the ``nhagent`` command."""

import sys

from nhagent.commands.cli import main

sys.exit(main())
