"""Move devices from gcm to fcmv1: the token stays, the platform and the form of the templates change.

It plays both styles on a hub that is embedded in the process, and shows the requests.

    python gcm_to_fcmv1.py
"""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import Literal

from nhagent import Agent, Template
from nhagent.emulator import Emulator

TOKEN = "dQw4w9WgXcQ:APA91bE-example_token"  # noqa: S105 - a push channel of nobody
BEFORE = Template('{"data": {"message": "$(message)"}}')
AFTER = Template('{"message": {"data": {"message": "$(message)"}}}')


def device(
    hub: Emulator,
    folder: str,
    style: Literal["installation", "registration"],
    platform: Literal["gcm", "fcmv1"],
) -> Agent:
    """The same app before and after its update."""
    return Agent(
        app="news",
        hub=hub.hub,
        style=style,
        platform=platform,
        channel=TOKEN,
        tags=["news"],
        templates={"alert": BEFORE if platform == "gcm" else AFTER},
        connection_string=hub.listen,
        state_dir=folder,
    )


def main() -> None:
    styles: tuple[Literal["installation", "registration"], ...] = ("installation", "registration")
    for style in styles:
        with Emulator() as hub, TemporaryDirectory() as folder:
            before = device(hub, folder, style, "gcm").start()
            hub.clear_log()
            report = device(hub, folder, style, "fcmv1").start()
            print(f"{style}: {report.outcome}")
            print(*(f"  {entry.method} {entry.path} {entry.status}" for entry in hub.log()), sep="\n")
            if style == "installation":
                print(f"  the same installation: {report.installation_id == before.installation_id}")


if __name__ == "__main__":
    main()
