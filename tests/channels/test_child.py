"""Programs that nhagent runs: what they get, how long they take, what they print; nothing of them stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nhagent import channels
from nhagent.channels import child
from nhagent.errors import ChannelError, ConfigurationError
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

CAP = 64 * 1024
PIPE_BYTES = 64 * 1024
"""What the system takes of a program before anybody reads it."""

if sys.platform == "win32":
    pytest.skip("Windows has no sessions of processes", allow_module_level=True)


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", program, *arguments]


def run(arguments: list[str], **changes: Any) -> child.Ended:
    limits: dict[str, Any] = {"seconds": HANG_SECONDS, "cap": CAP, "environment": child.environment()}
    return child.run(arguments, **{**limits, **changes})


class Witness:
    """A pipe that programs hold open: its end shows that none of them is left."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.holding = f"exec 9>'{path}'; echo >&9"
        """What makes a shell hold it, and say so."""

    def saw_one(self) -> bool:
        return happens(lambda: bool(self._read()))

    def sees_none(self) -> bool:
        return happens(lambda: self._read() == b"")

    def _read(self) -> bytes | None:
        try:
            return os.read(self.pipe, 1000)
        except BlockingIOError:
            return None


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    made = Witness(tmp_path / "witness")
    yield made
    os.close(made.pipe)


# What is left in the background.

FOREVER = f"sleep {HELD_SECONDS}"
LEAVING = {
    "with its output": f"{FOREVER} & echo handle",
    "without its output": f"{FOREVER} >/dev/null 2>&1 </dev/null & echo handle",
    "deaf to every polite signal": f"(trap '' TERM INT HUP; while :; do {FOREVER}; done) & echo handle",
    "a grandchild": f"(({FOREVER}) & ) & echo handle",
    "printing without end": "yes >&2 & echo handle",
}


@pytest.mark.parametrize("left", LEAVING.values(), ids=LEAVING)
def test_program_that_succeeded_leaves_nothing_running(witness: Witness, left: str) -> None:
    source = channels.from_command(["sh", "-c", f"{witness.holding}; {left}"], HELD_SECONDS)
    assert source() == "handle"
    assert witness.saw_one()
    assert witness.sees_none()


@pytest.mark.skipif(sys.platform != "linux", reason="a session's other groups are found in /proc")
def test_background_job_in_a_process_group_of_its_own_is_ended_too(witness: Witness) -> None:
    program = "import os, sys, time\nif os.fork():\n print('handle')\nelse:\n os.setpgid(0, 0)\n"
    held = f'{witness.holding}; exec "$@"'
    waits = f" os.write(9, b'x')\n time.sleep({HELD_SECONDS})"
    assert run(["sh", "-c", held, "sh", *python(program + waits)]).output == b"handle\n"
    assert witness.saw_one()
    assert witness.sees_none()


def test_program_that_failed_leaves_nothing_running(witness: Witness) -> None:
    source = channels.from_command(["sh", "-c", f"{witness.holding}; {FOREVER} & exit 3"], HELD_SECONDS)
    with pytest.raises(ChannelError, match="failed with status 3"):
        source()
    assert witness.saw_one()
    assert witness.sees_none()


def test_program_ended_by_a_signal_is_named_by_it() -> None:
    with pytest.raises(ChannelError, match=f"failed with status -{signal.SIGKILL.value}"):
        channels.from_command(["sh", "-c", "echo handle; kill -9 $$"])()


# Deadlines.

HANGING = {
    "silent": FOREVER,
    "deaf to SIGTERM": f"trap '' TERM INT HUP; while :; do {FOREVER}; done",
    "its output closed": f"exec >&- 2>&-; {FOREVER}",
    "a channel said, its output closed": f"echo handle; exec >&-; {FOREVER}",
    "stopped": "kill -STOP $$",
    "its output a child's": f"({FOREVER}) | cat",
}


@pytest.mark.slow
@pytest.mark.parametrize("hanging", HANGING.values(), ids=HANGING)
def test_program_that_does_not_end_is_ended(witness: Witness, hanging: str) -> None:
    source = channels.from_command(["sh", "-c", f"{witness.holding}; {hanging}"], 0.3)
    with pytest.raises(ChannelError, match=r"did not end within 0\.3 s; make it faster"):
        source()
    assert witness.sees_none()


def test_program_that_closes_its_output_and_goes_on_is_waited_for() -> None:
    assert run(["sh", "-c", "echo handle; exec >&-; sleep 0.2; exit 4"]) == child.Ended(4, b"handle\n")


def test_program_with_no_time_left_is_not_begun(tmp_path: Path) -> None:
    for seconds in (0, -1.0):
        with pytest.raises(child.ChildFailed, match="no time was left"):
            run(["touch", str(tmp_path / "begun")], seconds=seconds)
    assert not list(tmp_path.iterdir())


# Output.


@pytest.mark.parametrize("program", ["yes", "cat /dev/zero", "head -c 65537 /dev/zero"])
def test_program_that_prints_too_much_is_ended(witness: Witness, program: str) -> None:
    source = channels.from_command(["sh", "-c", f"{witness.holding}; {program}"], HELD_SECONDS)
    with pytest.raises(ChannelError, match="says more than 65536 bytes"):
        source()
    assert witness.sees_none()


def test_no_more_is_taken_of_an_endless_output_than_the_cap_and_a_pipe(tmp_path: Path) -> None:
    counted = tmp_path / "counted"
    counting = (
        "import os, sys\nfile, said = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), 0\n"
        "while True:\n said += os.write(1, b'x' * 4096)\n os.pwrite(file, b'%d' % said, 0)"
    )
    with pytest.raises(child.ChildFailed, match="says more than"):
        run(python(counting, str(counted)))
    assert CAP <= int(counted.read_text()) <= CAP + 1 + PIPE_BYTES + 4096


def test_output_of_exactly_the_cap_is_whole() -> None:
    assert run(["head", "-c", str(CAP), "/dev/zero"]).output == bytes(CAP)


def test_standard_error_is_discarded() -> None:
    assert run(["sh", "-c", "yes | head -c 300000 >&2; echo handle"]).output == b"handle\n"


def test_output_is_not_part_of_what_is_shown_of_an_end() -> None:
    assert "handle" not in repr(run(["echo", "handle"]))


# Input.


def test_input_is_given_whole_while_the_output_is_read() -> None:
    given = bytes(range(256)) * 1000
    assert run(["cat"], input=given, cap=len(given)).output == given
    assert run(["cat"]).output == b"", "nothing is to be read where nothing is given"
    assert run(["cat"], input=b"").output == b""


@pytest.mark.parametrize("program", ["true", "exec <&-; sleep 0.1", "head -c 1 >/dev/null"])
def test_input_that_nobody_reads_is_no_failure(program: str) -> None:
    assert run(["sh", "-c", program], input=b"x" * 1_000_000).status == 0


# The environment.


def test_program_gets_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = {
        "HOME": "/home", "LANG": "C", "TZ": "UTC", "XDG_RUNTIME_DIR": "/run/user/1",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/bus", "PATH": os.environ["PATH"],
    }  # fmt: skip
    kept = {
        "NHAGENT_CONNECTION_STRING": "Endpoint=sb://x", "NOTIFY_SOCKET": "@x", "LISTEN_FDS": "1",
        "LISTEN_PID": "1", "CREDENTIALS_DIRECTORY": "/run/credentials", "WATCHDOG_USEC": "1",
        "STATE_DIRECTORY": "/var", "LD_PRELOAD": "", "PYTHONPATH": "/x", "OTHER": "x",
    }  # fmt: skip
    for name, value in {**passed, **kept}.items():
        monkeypatch.setenv(name, value)
    shown = run(["env"]).output.decode().splitlines()
    assert sorted(shown) == sorted(f"{name}={value}" for name, value in passed.items())


def test_variables_that_are_named_are_passed_where_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVICE_NAME", "kitchen")
    monkeypatch.setenv("_2", "")
    monkeypatch.setenv("OTHER", "not named")
    printing = ["sh", "-c", "echo $DEVICE_NAME${_2-unset}${OTHER-unset}${NOWHERE-unset}"]
    source = channels.from_command(printing, pass_environment=["DEVICE_NAME", "_2", "NOWHERE"])
    assert source() == "kitchenunsetunset"
    monkeypatch.setenv("DEVICE_NAME", "hall")
    assert source() == "hallunsetunset", "as the variable is now"


@pytest.mark.parametrize("names", ["HOME", 7, None, [""], ["A B"], ["A=B"], ["Ä"], ["A\n"], [7], [b"A"]])
def test_name_that_no_variable_has_is_refused(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="pass_environment"):
        channels.from_command(["true"], pass_environment=names)


def test_connection_string_is_passed_to_no_program() -> None:
    with pytest.raises(ConfigurationError, match="holds the connection string; remove it"):
        channels.from_command(["true"], pass_environment=["NHAGENT_CONNECTION_STRING"])
    secret = "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0"
    with pytest.raises(ConfigurationError) as caught:
        channels.from_command(["true"], pass_environment=[secret])
    assert "c2VjcmV0" not in str(caught.value)


def test_program_inherits_no_open_file(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)
    try:
        assert run(["sh", "-c", f"[ -e /dev/fd/{held} ] || echo none"]).output == b"none\n"
    finally:
        os.close(held)


# Interrupts.


class Interrupted(BaseException):
    """What a signal's handler raises."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGALRM raises."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


# One that Python raises in the callback of a weak reference is lost, so that the next has to do.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("alarm")
def test_interrupt_at_any_moment_of_the_start_leaves_nothing_running(witness: Witness) -> None:
    interrupts = 0
    for moment in range(60):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0001 * (moment + 1), 2)
            run(["sh", "-c", f"{witness.holding}; {FOREVER}"])
        except Interrupted:
            signal.setitimer(signal.ITIMER_REAL, 0)
            interrupts += 1
    assert interrupts == 60
    assert witness.sees_none()
    # One that was interrupted before it began is listed for ever, and never was alive.
    assert happens(
        lambda: (
            not [
                thread
                for thread in threading.enumerate()
                if thread.name == "nhagent child" and thread.is_alive()
            ]
        )
    )


WAITING_AT_THE_END = """
import sys, threading
from nhagent.channels import from_command
begun = threading.Event()
def ask():
    begun.set()
    from_command(["sh", "-c", sys.argv[1]], 600)()
threading.Thread(target=ask, daemon=True).start()
print(begun.wait(), flush=True)
sys.stdin.readline()
"""


def test_program_does_not_outlive_the_process_that_runs_it(witness: Witness) -> None:
    command = [sys.executable, "-c", WAITING_AT_THE_END, f"{witness.holding}; {FOREVER}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert witness.saw_one()
        process.communicate(b"\n", HANG_SECONDS)
    assert witness.sees_none()


def test_program_is_run_though_the_app_ignores_its_children() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run(["echo", "handle"]).output == b"handle\n"
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_program_that_cannot_be_run_is_named() -> None:
    for arguments in (["/does/not/exist"], ["/"], ["nul\0"]):
        with pytest.raises(ChannelError, match=r"cannot be run \(.*; check its path"):
            channels.from_command(arguments)()
