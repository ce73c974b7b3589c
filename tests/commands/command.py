"""The command in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nhagent.commands.cli import main

CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
[device]
platform = "wns"
tags = ["kitchen"]
[channel]
file = "channel"
[templates.alert]
body = "<toast>$(message)</toast>"
headers = { "X-WNS-Type" = "wns/toast" }
tags = ["alerts"]
[tiles.weather]
channel = { file = "tile" }
tags = ["w"]
[tiles.weather.templates.front]
body = "<tile/>"
headers = { "X-WNS-Type" = "wns/tile" }
[refresh]
every = "12h"
"""


class Command:
    """Runs the command in this process, and remembers what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], config: str) -> None:
        self._capsys = capsys
        self._config = config
        self.errors = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--config", self._config])
        printed = self._capsys.readouterr()
        self.errors = printed.err
        return code, printed.out

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code, printed = self.run(*arguments, "--json")
        document: dict[str, Any] = json.loads(printed)
        assert printed.count("\n") == 1
        return code, document
