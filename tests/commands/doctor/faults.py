"""Every way to break a set-up that the doctor is to tell."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from nhagent.commands.cli import main
from nhagent.emulator import Emulator

from .set_up import AS_ROOT, CHANNELS, Doctored

MONTH_AGO = 40 * 86400


def wrong_clock(made: Doctored, offset: float = 3600) -> None:
    made.hub.set_clock(offset)


def wrong_key(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("SharedAccessKey=", "SharedAccessKey=AAAA"))


def deleted_policy(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("DefaultListenSharedAccessSignature", "Gone"))


def full_key(made: Doctored) -> None:
    made.credential(made.hub.full)


def no_listen(made: Doctored) -> None:
    made.hub.fail("GET", status=403, times=9)


def no_such_host(made: Doctored) -> None:
    made.credential("Endpoint=sb://no-such-host.invalid/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def closed_port(made: Doctored) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made.credential(f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def another_authority(made: Doctored) -> None:
    other = made.keeps.enter_context(Emulator(tls=True))
    made.configure(str(made.hub.ca), str(other.ca))


def ca_that_is_none(made: Doctored) -> None:
    made.configure("style =", f'ca_bundle = "{made.channel("tile")}"\nstyle =')


def plain_http(made: Doctored) -> None:
    made.credential("Endpoint=http://hub.example/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def no_tls_there(made: Doctored) -> None:
    made.credential(made.hub.listen.replace("http://", "sb://"))


def ssh_there(made: Doctored) -> None:
    door = made.keeps.enter_context(socket.create_server(("127.0.0.1", 0)))

    def greet() -> None:
        for _ in range(2):  # the one who looks whether it answers, and the one who shakes hands
            caller, _address = door.accept()
            caller.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            made.keeps.callback(caller.close)

    Thread(target=greet, daemon=True).start()
    port = door.getsockname()[1]
    made.credential(f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=L;SharedAccessKey=c2Vj")


def proxy_that_is_down(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://127.0.0.1:9")


def proxy_that_nobody_knows(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://no-such-proxy.invalid:3128")


def proxy_of_nonsense(made: Doctored) -> None:
    no_such_host(made)
    made.environment.setenv("HTTPS_PROXY", "http://[bad")


def redirect(made: Doctored) -> None:
    made.hub.fail("GET", status=302, times=9, headers={"Location": "http://portal.example/"})


def wrong_hub(made: Doctored) -> None:
    made.configure(f'name = "{made.hub.hub}"', 'name = "no-such-hub"')


def string_of_another_hub(made: Doctored) -> None:
    made.credential(f"{made.hub.listen};EntityPath=another-hub")


def malformed_string(made: Doctored) -> None:
    made.credential("Endpoint=sb://x/;SharedAccessKey=c2Vj")


def readable_string(made: Doctored) -> None:
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen)
    path.chmod(0o644)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))


def no_string(made: Doctored) -> None:
    made.environment.delenv("NHAGENT_CONNECTION_STRING")
    made.environment.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


def state_in_the_way(made: Doctored) -> None:
    (made.folder / "file").write_text("")
    made.environment.setenv("NHAGENT_STATE_DIR", str(made.folder / "file" / "state"))


def state_relative(made: Doctored) -> None:
    made.environment.setenv("NHAGENT_STATE_DIR", "state")


def state_read_only(made: Doctored) -> None:
    if AS_ROOT:  # who may write everywhere, but for what is mounted read-only
        folder = str(made.device_folder)
        bind = ["mount", "--bind", folder, folder]
        if subprocess.run(bind, check=False, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("root may write everywhere, and this machine allows no mounts")
        made.keeps.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        return
    made.device_folder.chmod(0o500)
    made.keeps.callback(made.device_folder.chmod, 0o700)


def state_readable(made: Doctored) -> None:
    (made.device_folder / "state.json").chmod(0o644)


def state_folder_open(made: Doctored) -> None:
    made.device_folder.chmod(0o755)


def state_of_another(made: Doctored) -> None:
    if sys.platform != "win32":
        if not AS_ROOT:
            pytest.skip("only root can give files away")
        os.chown(made.device_folder / "state.json", 12345, 12345)


def torn_state(made: Doctored) -> None:
    path = made.device_folder / "state.json"
    path.write_bytes(path.read_bytes()[:100])


def torn_identity(made: Doctored) -> None:
    (made.device_folder / "identity.json").write_bytes(b"")


def copied_disk(made: Doctored) -> None:
    def elsewhere(identity: dict[str, Any]) -> None:
        if identity["machine"] is None:
            pytest.skip("nothing tells this machine from others")
        identity["machine"] = identity["machine"].partition(":")[0] + ":" + "0" * 32
        del identity["sum"]  # it would tell that the file was changed

    made.change("identity.json", elsewhere)


def channel_missing(made: Doctored) -> None:
    made.channel("channel").unlink()


def channel_empty(made: Doctored) -> None:
    made.channel("channel").write_text("\n")


def channel_of_lines(made: Doctored) -> None:
    made.channel("channel").write_text("https://push.example/1\nhttps://push.example/2\n")


def channel_stale(made: Doctored) -> None:
    old = time.time() - MONTH_AGO
    os.utime(made.channel("channel"), (old, old))


def channel_plugin(made: Doctored) -> None:
    made.configure('[channel]\nfile = "channel"', '[channel]\nplugin = "no_such_package:channel"')


def channel_command(made: Doctored) -> None:
    made.configure('[channel]\nfile = "channel"', f"[channel]\ncommand = ['{sys.executable}', '-c', '1/0']")


def same_channel(made: Doctored) -> None:
    made.channel("tile").write_text(CHANNELS["channel"])


def channel_expired(made: Doctored) -> None:
    made.change("state.json", lambda state: state["expired"].append(CHANNELS["channel"]))


def device_lost(made: Doctored) -> None:
    [held] = made.hub.contents()["installations"]
    made.hub.forget(installation=held["installationId"])


def rows_lost(made: Doctored) -> None:
    for row in made.hub.contents()["registrations"]:
        made.hub.forget(registration=row["registrationId"])


def one_row_lost(made: Doctored) -> None:
    made.hub.forget(registration=made.hub.contents()["registrations"][-1]["registrationId"])


def one_row_ended(made: Doctored) -> None:
    made.hub.forget(registration=made.hub.contents()["registrations"][0]["registrationId"], gone=True)


def device_lost_and_marked(made: Doctored) -> None:
    device_lost(made)
    assert main(["verify", "--config", str(made.config)]) == 1
    made.capsys.readouterr()


def throttled(made: Doctored) -> None:
    made.hub.fail("GET", status=429, times=9)


def hub_away(made: Doctored) -> None:
    made.hub.fail("GET", status=503, times=9)


def captive_portal(made: Doctored) -> None:
    made.hub.fail(
        "GET", status=200, times=9, headers={"Content-Type": "text/html"}, body="<html>Sign in</html>"
    )


def silent_hub(made: Doctored) -> None:
    made.hub.fail("GET", reset="after", times=9)


def second_key_stands_in(made: Doctored) -> None:
    path = made.folder / "connection-string"
    path.write_text(made.hub.listen.replace("SharedAccessKey=", "SharedAccessKey=AAAA"))
    path.chmod(0o600)
    made.environment.setenv("NHAGENT_CONNECTION_STRING_FILE", str(path))


@contextmanager
def lock_held(path: Path) -> Iterator[None]:
    """Another process that holds the lock."""
    program = (
        "import sys, time; from nhagent.filesystem import Disk, locked\n"
        "with locked(Disk(), sys.argv[1], 5, time.sleep): print('held', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def locked_by_another(made: Doctored) -> None:
    made.keeps.enter_context(lock_held(made.device_folder / "lock"))


def no_toml(made: Doctored) -> None:
    made.config.write_text("app = ")


def unknown_key(made: Doctored) -> None:
    made.configure("platform", "platfrom")


def no_config(made: Doctored) -> None:
    made.config.unlink()
