"""A desktop app with a window: its user pins tiles and unpins them, and the hub follows.

Calls of the agent wait for the network, so they run in a thread of their own; the window looks every tenth
of a second whether one has come back. The channels are Windows' own in a packaged app (`WnsChannel`),
and made up elsewhere.

    HUB=my-hub NHAGENT_CONNECTION_STRING=… python desktop_window.py
"""

from __future__ import annotations

import os
import sys
import tkinter as tk
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from nhagent import Agent, NhagentError, Report, SecondaryTile, Template
from nhagent.channels import WnsChannel

TOPICS = ("weather", "traffic", "sports")
LOOK_MILLISECONDS = 100
TILE = Template(
    body="<tile><visual><binding template='TileText01'><text id='1'>$(text)</text></binding></visual></tile>",
    headers={"X-WNS-Type": "wns/tile"},
)


def channel_of(tile: str | None = None) -> Callable[[], str | None]:
    """The channel source of the app, or of a tile."""
    if sys.platform == "win32":
        return WnsChannel(tile)
    return lambda: f"https://db5.notify.windows.com/?token={tile or 'app'}"


def tiles(pinned: list[str]) -> dict[str, SecondaryTile]:
    return {name: SecondaryTile(channel_of(name), tags=[name], templates={"front": TILE}) for name in pinned}


class Window:
    """The window: a box for each topic, and a line that tells how the device stands."""

    def __init__(self, root: tk.Tk, agent: Agent) -> None:
        self._root = root
        self._agent = agent
        self._calls = ThreadPoolExecutor(max_workers=1)  # one after the other, in the order of the clicks
        self._pending: list[Future[Report]] = []
        self._boxes = {name: tk.BooleanVar(root) for name in TOPICS}
        self._told = tk.StringVar(root, "asking the hub …")
        root.title("City news")
        root.minsize(320, 0)
        root.configure(background="#f7f7f5", padx=24, pady=20)
        tk.Label(root, text="Tiles", font=("sans-serif", 16, "bold"), background="#f7f7f5").pack(anchor="w")
        for name, box in self._boxes.items():
            tk.Checkbutton(
                root, text=f"Pin {name}", variable=box, command=self._pinned, background="#f7f7f5",
                highlightthickness=0, font=("sans-serif", 12), activebackground="#f7f7f5",
            ).pack(anchor="w", pady=2)  # fmt: skip
        tk.Label(root, textvariable=self._told, background="#f7f7f5", foreground="#555555").pack(
            anchor="w", pady=(14, 0)
        )
        root.protocol("WM_DELETE_WINDOW", self.close)
        self._call(agent.start)
        self._look()

    def close(self) -> None:
        """End without waiting for the network: what was clicked is on disk, and sent at the next start."""
        self._calls.shutdown(wait=False, cancel_futures=True)
        self._root.destroy()

    def _pinned(self) -> None:
        pinned = [name for name, box in self._boxes.items() if box.get()]
        self._call(lambda: self._agent.update(secondary_tiles=tiles(pinned)))

    def _call(self, call: Callable[[], Report]) -> None:
        self._pending.append(self._calls.submit(call))

    def _look(self) -> None:
        while self._pending and self._pending[0].done():
            self._told.set(told(self._pending.pop(0)))
            print(self._told.get(), flush=True)
        self._root.after(LOOK_MILLISECONDS, self._look)


def told(call: Future[Report]) -> str:
    """What came of a call, in words for the user."""
    try:
        report = call.result()
    except NhagentError as error:
        return str(error)
    count = sum(name != "channel" for name in report.channels)
    return f"{report.outcome}, {count} {'tile' if count == 1 else 'tiles'}"


def main() -> None:
    agent = Agent(
        app="city-news",
        hub=os.environ.get("HUB", "my-hub"),
        platform="wns",
        channel=channel_of(),
        templates={"front": TILE},
    )
    root = tk.Tk()
    Window(root, agent)
    root.mainloop()


if __name__ == "__main__":
    main()
