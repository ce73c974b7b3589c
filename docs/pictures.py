"""Draws the pictures of README and documentation: ``python docs/pictures.py``, with the extra ``test``.

- ``demo.svg``: what `nhagent demo` prints on a terminal.
- ``emulator-page.png``: a delivery on the emulator's page; needs Chromium.
- ``fleet.svg``: needs matplotlib; ``python examples/fleet_simulation.py --plot docs/fleet.svg`` is all of it.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nhagent import Agent, HubClient, Template
from nhagent.emulator import Emulator

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))
COLUMNS = 80
LINES = 27
"""Of the demo's: the picture ends where the story of the installation does."""
SIZE = (1180, 700)
"""Of the page's, in pixels."""
TOAST = (
    '<toast><visual><binding template="ToastText02"><text id="1">$(title)</text>'
    '<text id="2">$(message)</text></binding></visual></toast>'
)


def draw_demo() -> None:
    """Draw what the demo prints."""
    printed = subprocess.run(
        [sys.executable, "-m", "nhagent", "demo"], capture_output=True, text=True, check=True
    ).stdout
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ nhagent demo", style="bold"))
    for line in printed.splitlines()[:LINES]:
        console.print(Text(line, style="bold green" if line[:1].isdigit() else ""))
    console.save_svg(str(FOLDER / "demo.svg"), title="nhagent", unique_id="demo")


def draw_page() -> None:
    """Draw the emulator's page with one message that reaches one device of two."""
    from tests.chromium.browser import browser, program

    if program() is None:
        raise SystemExit("Chromium is not installed")
    with Emulator("my-hub") as hub, tempfile.TemporaryDirectory() as folder:
        for name, tags in (("kitchen", ["kitchen", "floor:1"]), ("hall", ["hall"])):
            Agent(
                app=name,
                hub="my-hub",
                platform="wns",
                channel=f"https://db5.notify.windows.com/?token={name}",
                tags=tags,
                templates={"alert": Template(TOAST, headers={"X-WNS-Type": "wns/toast"})},
                connection_string=hub.listen,
                state_dir=f"{folder}/{name}",
            ).start()
        with HubClient(hub.full, "my-hub") as backend:
            body = {"title": "Dinner", "message": "is ready"}
            backend.send("template", body, tags="kitchen")
        with browser(Path(folder)) as tab:
            tab.open(f"{hub.ui}?delivery={hub.deliveries()[0].id}")
            tab.picture(FOLDER / "emulator-page.png", *SIZE, "light")


if __name__ == "__main__":
    draw_demo()
    draw_page()
