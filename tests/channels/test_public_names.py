"""What apps import from nhagent.channels: it costs nothing until it is used, and checks what it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent import channels
from nhagent.errors import ChannelError, ConfigurationError


def test_names_are_there_and_no_others() -> None:
    assert channels.__all__ == [
        "Message",
        "UnifiedPushChannel",
        "WebPushChannel",
        "WnsChannel",
        "from_command",
        "from_credential",
        "from_environment",
        "from_file",
    ]
    for name in channels.__all__:
        assert callable(getattr(channels, name))
        assert name in dir(channels)
    with pytest.raises(AttributeError, match="no attribute 'from_nowhere'"):
        _ = channels.from_nowhere


def test_importing_the_package_imports_no_channel_source() -> None:
    program = "import nhagent.channels, sys; print(*(name for name in sys.modules if 'nhagent.' in name))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"nhagent.channels", "nhagent.version"}


def test_file_is_named_by_text_or_path(tmp_path: Path) -> None:
    path = tmp_path / "channel"
    for given in (path, str(path)):
        path.unlink(missing_ok=True)
        source = channels.from_file(given)
        with pytest.raises(ChannelError) as caught:
            source()
        assert caught.value.pending
        assert caught.value.fact == f"channel file {str(path)!r}: is not there yet"
        path.write_text("handle\n")
        assert source() == "handle"


@pytest.mark.parametrize("given", ["", [], (), "get-channel --now"])
def test_command_that_is_not_a_list_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a list; give the program"):
        channels.from_command(given)


def test_environment_and_credential(tmp_path: Path) -> None:
    (tmp_path / "fcm").write_text("from systemd")
    assert channels.from_credential("fcm", {"CREDENTIALS_DIRECTORY": str(tmp_path)})() == "from systemd"
    assert channels.from_environment("FCM", {"FCM": "from a variable"})() == "from a variable"
