"""The house: imports point down, third parties stay in one room each, nothing costs before it is used."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

import nhagent
import nhagent.errors
from tests.device_under_test import Device
from tests.subscriptions import KEYS

PACKAGE = Path(nhagent.__file__).parent

# From the ground up: a module may import from floors below its own, and from its own.
FLOORS = [
    [
        "errors",
        "secret",
        "visible",
        "validation",
        "absolute_uri",
        "addresses",
        "ca_bundle",
        "pem_files",
        "loopback",
        "handle_validation",
        "template_expressions",
        "template_validation",
        "web_push_keys",
        "redaction",
        "decoding",
        "filesystem",
        "places",
        "regular_files",
        "version",
        "curves",
        "interruption",
        "values",
        "hashes",
        "logs",
    ],
    ["report", "steps", "models", "push_channels", "registrations", "documents", "literals"],
    ["hub", "device", "channels"],
    ["registrars", "session", "retry", "sas"],
    ["reconcile"],
    ["agent", "aio", "bridge", "feed"],
    ["commands", "testing", "__main__"],
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
THIRD_PARTIES = {
    "requests": {"hub.adapter", "hub.transport"},
    "appdirs": {"device.paths"},
    "keyring": {"device.key_ring", "device.key_ring_calls", "device.vault"},
    "cryptography": {
        "channels.encryption",
        "device.vault_entries",
        "emulator.tls",
        "emulator.push.sender",
        "emulator.push.service",
        "emulator.push.vapid",
    },
    "jeepney": {"channels.session_bus"},
    "websocket": {"channels.web_socket"},
    "winrt": {"channels.wns"},
    "wsproto": {"emulator.push.web_socket"},
    "pytest": {"testing"},
}
BROUGHT = {"jeepney"}
"""What keyring brings on Linux; whoever has none is told."""
EXTRAS = {
    "websocket": "websocket-client",
    "winrt": "winrt-Windows.Networking.PushNotifications",
    "wsproto": "wsproto",
}
"""The modules that an extra brings, and their packages."""
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ["nhagent", *path.parts[:-1]]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return found


def own_imports(path: Path) -> set[str]:
    """The first part below nhagent of what a file imports from it."""
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("nhagent.")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down_only(path: Path) -> None:
    name = name_of(path)
    home = name.split(".")[0]
    if home in {"__init__", "emulator"}:
        return
    for imported in own_imports(path) & FLOOR.keys() - {home}:
        assert FLOOR[imported] <= FLOOR[home], f"{name} imports {imported}, which stands above it"
        if FLOOR[imported] == FLOOR[home]:
            assert not {imported, home} <= {"hub", "device", "channels"}, (
                f"{name} and {imported} know each other"
            )


def reads_peers(path: Path) -> bool:
    """Whether a module reads what a hub, or whatever answers in its place, has written."""
    # The patterns of hub.exchange are for our own token.
    return path.parts[0] in {"hub", "registrars", "redaction.py", "decoding.py"} and path.stem != "exchange"


@pytest.mark.parametrize("path", [*filter(reads_peers, MODULES)], ids=name_of)
def test_regular_expressions_are_kept_from_what_peers_write(path: Path) -> None:
    """One that tries a place again costs the square of a text, and no test could count it."""
    assert imports_of(path).isdisjoint({"re", "sre_compile", "fnmatch"})


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_emulator_shares_no_code_with_the_library(path: Path) -> None:
    name = name_of(path)
    if name.startswith("emulator"):
        assert own_imports(path) <= {"emulator"}
    elif "emulator" in own_imports(path):
        # The package names it for type checkers alone.
        assert name in {"commands.demo", "commands.demo_push", "commands.emulate", "testing", "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_third_parties_stay_in_their_one_room(path: Path) -> None:
    for imported in {name.split(".")[0] for name in imports_of(path)}:
        assert name_of(path) in THIRD_PARTIES.get(imported, {name_of(path)})


@pytest.mark.slow
def test_third_parties_are_those_that_setup_cfg_declares() -> None:
    """What requests brings along is no dependency of ours: urllib3 was used so, undeclared."""
    setup = PACKAGE.parent / "setup.cfg"
    if not setup.exists():
        pytest.skip("an installed package")
    read = configparser.ConfigParser()
    read.read(setup, "utf-8")
    declared = {line.split()[0] for line in read["options"]["install_requires"].split("\n") if line}
    assert declared == {"requests", "keyring", "appdirs", "cryptography"}
    extras = " ".join(read["options.extras_require"][name] for name in ("webpush", "emulator", "wns"))
    packages = {word for word in extras.split() if word[0].isalpha() and word != "sys_platform"}
    assert packages == set(EXTRAS.values())
    for path in MODULES:
        imported = {name.split(".")[0] for name in imports_of(path)} - {"nhagent", "__future__"}
        allowed = {*sys.stdlib_module_names, "_sha2", *declared}  # a name of Python 3.12
        if name_of(path) == "testing":
            allowed.add("pytest")
        allowed |= {module for module in (*EXTRAS, *BROUGHT) if name_of(path) in THIRD_PARTIES[module]}
        assert imported <= allowed, name_of(path)
        assert not any(name.startswith("requests.packages") for name in imports_of(path)), name_of(path)


COSTLY = {
    *("typing", "dataclasses", "logging", "inspect", "contextlib", "pathlib", "subprocess", "tempfile"),
    *("signal", "threading", "urllib", "hashlib", "re", "fcntl", "msvcrt"),
}
OF_EVERY_START = [
    "filesystem.py",
    "places.py",
    "regular_files.py",
    "channels/__init__.py",
    "channels/source.py",
    "channels/simple.py",
    "device/credential_sources.py",
    "device/key_ring.py",
    "device/key_ring_calls.py",
    "device/machine.py",
    "device/paths.py",
    "device/secret_file.py",
    "ca_bundle.py",
]


@pytest.mark.parametrize("path", OF_EVERY_START)
def test_modules_of_every_start_import_nothing_costly(path: str) -> None:
    for node in ast.parse(
        (PACKAGE / path).read_text("utf-8")
    ).body:  # not what stands in functions and under if
        if isinstance(node, ast.Import):
            assert COSTLY.isdisjoint(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.module.split(".")[0] not in COSTLY


HEAVY = (
    "requests",
    "urllib3",
    "keyring",
    "cryptography",
    "xml",
    "appdirs",
    "ssl",
    "http",
    "asyncio",
    "tomllib",
)


NEVER_UNCHANGED = {*HEAVY, "logging", "dataclasses", "inspect", "pathlib", "hashlib", "_hashlib", "urllib"}
"""What no start that sends nothing loads; OpenSSL alone would cost it a twentieth."""


def loaded_after(program: str, *arguments: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after a program, from -X importtime."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    names = (line.rsplit("|", 1)[1].strip() for line in result.stderr.splitlines() if "|" in line)
    return {name.split(".")[0] for name in names}


def test_importing_nhagent_imports_next_to_nothing() -> None:
    loaded = loaded_after("import nhagent")
    assert loaded.isdisjoint(HEAVY)
    assert loaded.isdisjoint({"json", "dataclasses", "logging", "typing", "re"} - loaded_after("pass"))


START = """
import sys
from datetime import timedelta
from nhagent import Agent
folder, listen, hub, style = sys.argv[1:]
agent = Agent(app="a", hub=hub, platform="gcm", channel=lambda: "handle", tags=["t"],
              connection_string=listen, state_dir=folder, style=style)
print(agent.start().outcome, file=sys.stdout)
"""


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_unchanged_start_imports_no_http_stack_and_opens_no_key_ring(device: Device, style: str) -> None:
    arguments = (str(device.folder), device.hub.listen, device.hub.hub, style)
    assert {"requests", "urllib3", "ssl"} <= loaded_after(START, *arguments)
    assert loaded_after(START, *arguments).isdisjoint(NEVER_UNCHANGED - loaded_after("pass"))
    assert device.seen() == (["GET", "PUT"] if style == "installation" else ["GET", "POST", "PUT"])


JUDGES = {
    f"nhagent.{name}"
    for name in ("absolute_uri", "handle_validation", "web_push_keys", "template_expressions")
}
"""Modules that look closely at what is new; `nhagent.reconcile.expressions` brings the last."""


@pytest.mark.parametrize("platform", ["wns", "apns", "fcmv1", "browser"])
def test_unchanged_start_does_not_judge_again_what_it_knows(device: Device, platform: str) -> None:
    handles = {
        "wns": "https://db5.notify.windows.com/?token=AwYAAAD%2fabc%3d",
        "apns": "c0ffee51" * 8,
        "fcmv1": "cJug2GoHzEfcshCE_OLL24:APA91bHa8-Viell9xjbeV96V4Njhufk9V7KcOA940Gp7FY1Dxsxmo8",
        "browser": {"endpoint": "https://push.example/1", "keys": KEYS},
    }
    program = f"""
import sys
from nhagent import Agent, Template
folder, listen, hub = sys.argv[1:]
body = "<t>$(m)</t>" if {platform!r} == "wns" else '{{"message": {{"t": "$(m)"}}}}'
headers = {{"X-WNS-Type": "wns/toast"}} if {platform!r} == "wns" else {{}}
agent = Agent(app="a", hub=hub, platform={platform!r}, channel=lambda: {handles[platform]!r},
              templates={{"t": Template(body, headers)}}, connection_string=listen, state_dir=folder)
print(agent.start().outcome, *sys.modules)
"""
    arguments = (str(device.folder), device.hub.listen, device.hub.hub)
    for outcome, judged in (("registered", True), ("unchanged", False)):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
        )
        said, *modules = done.stdout.split()
        assert (said, not JUDGES.isdisjoint(modules)) == (outcome, judged)


def test_unchanged_register_command_imports_no_http_stack(device: Device, tmp_path: Path) -> None:
    import os

    config = tmp_path / "config.toml"
    config.write_text(
        f'app = "a"\nhub = {{ name = "{device.hub.hub}" }}\n'
        'device = { platform = "gcm" }\nchannel = { value = "handle" }\n'
    )
    os.environ["NHAGENT_CONNECTION_STRING"] = device.hub.listen
    os.environ["NHAGENT_STATE_DIR"] = str(device.folder)
    program = "import sys; from nhagent.commands.cli import main; main(['register', '--config', sys.argv[1]])"
    try:
        assert "requests" in loaded_after(program, str(config))
        unwanted = {*NEVER_UNCHANGED, "shutil"} - {"tomllib"}
        assert loaded_after(program, str(config)).isdisjoint(unwanted - loaded_after("pass"))
    finally:
        del os.environ["NHAGENT_CONNECTION_STRING"], os.environ["NHAGENT_STATE_DIR"]


def test_unchanged_start_with_the_connection_string_in_a_key_ring_does_not_open_it(device: Device) -> None:
    device.start()
    report = device.start(connection_string=None)
    assert (report.outcome, report.requests) == ("unchanged", 0)


def test_public_names_are_there_and_no_others() -> None:
    for name in nhagent.__all__:
        assert getattr(nhagent, name) is not None
        assert name in dir(nhagent)
    with pytest.raises(AttributeError, match="no attribute 'Hub'"):
        _ = nhagent.Hub


OUR_ERRORS = {
    name
    for name, kind in vars(nhagent.errors).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_error_is_made_with_a_fact_and_a_hint(path: Path) -> None:
    if name_of(path).startswith("emulator"):
        return
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OUR_ERRORS:
            is_whole = any(isinstance(given, ast.Starred) for given in node.args)
            assert len(node.args) == 2 or is_whole, f"{name_of(path)}:{node.lineno} {node.func.id}"
