"""A start of nhagent under cProfile: arguments as `ours`; prints JSON: seconds of its own by module."""

import cProfile
import importlib
import json
import sys
from collections import defaultdict
from types import CodeType


def start() -> None:
    importlib.import_module("ours").main()


def main() -> None:
    profile = cProfile.Profile()
    profile.runcall(start)
    files = {getattr(module, "__file__", None): name for name, module in sys.modules.items()}

    def named(code: CodeType | str) -> str:
        """Name the module that a function stands in, or a function in C, without its address."""
        if isinstance(code, str):
            return code.partition(" at 0x")[0].strip("<>")
        return files.get(code.co_filename) or code.co_filename.removeprefix("<frozen ").strip("<>")

    spent: dict[str, float] = defaultdict(float)
    for entry in profile.getstats():
        spent[named(entry.code)] += entry.inlinetime
    print(json.dumps(spent))
