"""``python -m nhagent``: the same as the ``nhagent`` command."""

import sys

from nhagent.service.cli import main

sys.exit(main())
