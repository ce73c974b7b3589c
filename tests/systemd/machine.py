"""A machine that is booted for the tests: what lies on it, and what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests import wheel
from tests.children import cannot

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UNITS = ROOT / "systemd"
PROGRAMS = ("systemd-nspawn", "nsenter", "pgrep", "tar")
# Gone with the namespace that they are made in.
MOUNTS = """
mount -t tmpfs tmpfs /run
mkdir /run/upper /run/work /run/root
mount -t overlay overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work /run/root
"""
PYTHON_PACKAGES = (
    "python3 python3-requests python3-keyring python3-appdirs python3-cryptography "
    "python3-websocket python3-wsproto"
)
PACKAGE_TOOLS = "debhelper dh-python dpkg-dev lintian pybuild-plugin-pyproject python3-all python3-setuptools"
PACKAGES = "systemd-container systemd-sysv dbus dbus-user-session libpam-systemd"

# On the distribution's Python, which the user of a service may read and run.
COMMAND = """\
#!/usr/bin/python3 -s
import sys
sys.path.insert(0, "/opt/nhagent")
from nhagent.commands.cli import main
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


def forbidden() -> str | None:
    """Why this machine does not let us boot another, whatever is installed on it; or None."""
    if sys.platform != "linux":
        return "systemd is Linux's"
    if os.geteuid() != 0:
        return "only root may boot a machine"
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run(["unshare", "--mount", "sh", "-euc", MOUNTS], capture_output=True, check=False)
    return "this machine forbids the mounts that another needs" if tried.returncode else None


def missing() -> str | None:
    """What is not installed here; or None."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install {PACKAGES}"
    if not Path("/lib/systemd/systemd").exists():
        return f"systemd is not installed: apt-get install {PACKAGES}"
    if not Path("/usr/bin/python3").exists() or not all(
        list(Path("/usr/lib/python3").glob(f"*/{name}")) for name in ("requests", "websocket", "wsproto")
    ):
        return f"the distribution's Python is not complete: apt-get install {PYTHON_PACKAGES}"
    return None


def package_tools_missing() -> str | None:
    """What Debian's package cannot be built without, and is not installed; or None."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Status}\n", *PACKAGE_TOOLS.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    is_complete = asked.returncode == 0 and asked.stdout.count("install ok installed") == len(
        PACKAGE_TOOLS.split()
    )
    return None if is_complete else f"apt-get install {PACKAGE_TOOLS}"


def build_package(deb: Path) -> str:
    """Build Debian's package from a copy of the sources.

    Args:
        deb: where it is put.

    Returns:
        What lintian has to say.
    """
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "nhagent")
        for name in (*wheel.SOURCES, "debian", "SECURITY.md", "docs/howto/service.md"):
            source, copy = ROOT / name, sources / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        # The distribution's own Python and nothing of an environment's.
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": folder, "LANG": "C.UTF-8"}
        built = subprocess.run(
            ["dpkg-buildpackage", "-b", "-us", "-uc"],
            cwd=sources,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stdout + built.stderr
        [package] = Path(folder).glob("*.deb")
        [changes] = Path(folder).glob("*.changes")
        said = subprocess.run(
            ["lintian", "--allow-root", str(changes)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        shutil.copy(package, deb)
        return said.stdout


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
    shutil.copytree(UNITS, top / "opt/nhagent/systemd")  # beside the package, where nhagent units looks
    if not package_tools_missing():
        build_package(top / "opt/nhagent/nhagent.deb")
    put("opt/nhagent/inside.py", (HERE / "inside.py").read_text())
    put("usr/bin/nhagent", COMMAND, 0o755)
    for unit in (path for path in UNITS.iterdir() if path.suffix in {".service", ".timer", ".target"}):
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
    if result.returncode:
        log = console.read_text() if console.exists() else ""
        cannot(f"the machine did not boot ({result.returncode}): {result.stderr}{result.stdout}{log}")
    return result.stdout
