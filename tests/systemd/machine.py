"""A machine that is booted for the tests: what lies on it, and what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UNITS = ROOT / "systemd"
PROGRAMS = ("systemd-nspawn", "nsenter", "pgrep", "tar")
PACKAGES = "systemd-container systemd-sysv dbus dbus-user-session libpam-systemd"

# On the distribution's Python, which the user of a service may read and run.
COMMAND = """\
#!/usr/bin/python3 -s
import sys
sys.path.insert(0, "/opt/nhagent")
from nhagent.service.cli import main
sys.exit(main())
"""
CONFIG = """\
app = "thermostat"
hub = { name = "doorbell" }
device = { platform = "gcm" }
channel = { file = "/var/lib/thermostat/channel" }
"""
CONNECTION_STRING = "Endpoint=sb://localhost:9443/;SharedAccessKeyName=Listen;SharedAccessKey=QQ==\n"
# What listens at the hub's address but never answers: the kernel takes the connections, nobody serves them.
HOLE_SOCKET = "[Socket]\nListenStream=127.0.0.1:9443\n"
HOLE_SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n"


def cannot(reason: str) -> NoReturn:
    """Skip the test; under ``NHAGENT_CI=1``, where what it needs is installed, fail it."""
    if os.environ.get("NHAGENT_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def require_systemd() -> None:
    """Skip what this machine forbids; what is only not installed fails under ``NHAGENT_CI=1``."""
    if sys.platform != "linux":
        pytest.skip("systemd is Linux's")
    elif os.geteuid() != 0:
        pytest.skip("only root may boot a machine")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            cannot(f"{program} is not installed: apt-get install {PACKAGES}")
    if not Path("/lib/systemd/systemd").exists():
        cannot(f"systemd is not installed: apt-get install {PACKAGES}")


def lay_out(top: Path) -> None:
    """Lay out what is to lie on the machine: the project, its units, and a device that is configured."""

    def put(name: str, text: str, mode: int = 0o644) -> None:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def enable(unit: str, target: str) -> None:
        wants = top / f"etc/systemd/system/{target}.wants"
        wants.mkdir(parents=True)
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")

    shutil.copytree(
        ROOT / "nhagent", top / "opt/nhagent/nhagent", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(UNITS, top / "opt/nhagent/units")
    put("opt/nhagent/inside.py", (HERE / "inside.py").read_text())
    put("usr/bin/nhagent", COMMAND, 0o755)
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.timer")):
        put(f"etc/systemd/system/{unit.name}", unit.read_text())
    put("etc/nhagent/config.toml", CONFIG)
    put("etc/credstore/nhagent.connection-string", CONNECTION_STRING, 0o600)
    put("var/lib/thermostat/channel", "handle-1")
    put("etc/systemd/system/hole.socket", HOLE_SOCKET)
    put("etc/systemd/system/hole.service", HOLE_SERVICE)
    enable("hole.socket", "sockets.target")
    enable("nhagent.service", "multi-user.target")


def boot(folder: Path) -> str:
    """Boot it and play everything; gives what the driver inside has said."""
    before = os.umask(0o022) if sys.platform == "linux" else 0
    try:
        lay_out(folder / "top")
    finally:
        os.umask(before)
    console = folder / "console"
    environment: dict[str, Any] = {**os.environ, "CONSOLE": str(console)}
    result = subprocess.run(
        [str(HERE / "boot"), str(folder / "top"), "/usr/bin/python3", "/opt/nhagent/inside.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 96:
        pytest.skip(f"this machine forbids to mount: {result.stderr.strip()}")
    if result.returncode:
        log = console.read_text() if console.exists() else ""
        cannot(f"the machine did not boot ({result.returncode}): {result.stderr}{result.stdout}{log}")
    return result.stdout
