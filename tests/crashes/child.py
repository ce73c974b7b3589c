"""A process that becomes a device for each line of its input, by a fork: to be killed in the middle."""

from __future__ import annotations

import json
import os
import sys
import traceback

import nhagent.hub.client  # noqa: F401 - loaded once, before the forks
from nhagent.errors import NhagentError

from .flows import FLOWS, Hub, World


def main() -> None:
    if sys.platform == "win32":
        raise OSError("Windows has no fork")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(order)
            os._exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


def _live(order: dict[str, str]) -> None:
    [flow] = [flow for flow in FLOWS if flow.name == order["flow"]]
    world = World(
        Hub(order["hub"], order["listen"], order["url"]),
        order["style"],
        disk=None,
        state_dir=order["state_dir"],
    )
    flow.change(world)
    try:
        flow.act(world)
    except NhagentError:
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
