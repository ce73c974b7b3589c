"""``nhagent doctor`` beside systemd: how its units fare, and the credential that a service alone sees."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .faults import (
    no_string,
)
from .set_up import Doctored

UNIT = "Id={}\nLoadState={}\nActiveState={}\nResult={}\nExecMainStatus={}\nFragmentPath={}\nDropInPaths={}\n"


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a systemctl before the machine's own that knows these units of the system, and of the user."""
    if sys.platform == "win32":
        pytest.skip("systemd is Linux's")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def installs(*units: str, of_user: tuple[str, ...] = ()) -> None:
        (folder / "system").write_text("\n".join(units))
        (folder / "--user").write_text("\n".join(of_user))
        program = folder / "systemctl"
        program.write_text(f'#!/bin/sh\n[ "$1" = --user ] || set system\nexec cat "{folder}/$1"\n')
        program.chmod(0o755)

    return installs


def test_units_are_looked_at_where_they_are_installed(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    installs(
        UNIT.format("nhagent.service", "not-found", "inactive", "success", 0, "", ""),
        UNIT.format("nhagent@doorbell.service", "loaded", "active", "success", 0, "", ""),
        UNIT.format("nhagent-refresh.service", "loaded", "failed", "exit-code", 77, "", ""),
        of_user=(UNIT.format("nhagent.service", "loaded", "failed", "exit-code", 78, "", ""),),
    )
    code, seen = made.examine()
    assert code == 1
    assert [(check["name"], check["ok"], check["fact"], check["next"]) for check in seen["checks"][13:]] == [
        ("nhagent@doorbell.service", True, "active", ""),
        (
            "nhagent-refresh.service",
            False,
            "failed, result exit-code, exit code 77",
            "read why: journalctl -u nhagent-refresh.service",
        ),
        (
            "nhagent.service (user)",
            False,
            "failed, result exit-code, exit code 78",
            "read why: journalctl --user -u nhagent.service",
        ),
    ]


@pytest.mark.parametrize(
    ("unit", "drop_in", "words"),
    [
        ("nhagent.service", "", "NHAGENT_CONNECTION_STRING_FILE=/etc/credstore/nhagent.connection-string"),
        (
            "nhagent@.service",
            "",
            "NHAGENT_CONNECTION_STRING_FILE=/etc/credstore/nhagent.bell.connection-string",
        ),
        (
            "nhagent.service",
            "[Service]\nLoadCredential=\nLoadCredentialEncrypted=nhagent.connection-string",
            "systemd-run",
        ),
    ],
)
def test_credential_that_a_service_alone_sees_is_told(
    make: Callable[..., Doctored], installs: Callable[..., None], unit: str, drop_in: str, words: str
) -> None:
    made = make()
    no_string(made)
    (made.folder / "override.conf").write_text(drop_in)
    name, file = unit.replace("@", "@bell"), Path(__file__).parents[3] / "systemd" / unit
    files = (file, made.folder / "override.conf")
    installs(UNIT.format(name, "loaded", "active", "success", 0, *files))
    code, seen = made.examine()
    [red] = [check for check in seen["checks"] if check["ok"] is False]
    assert (code, red["name"]) == (1, "credentials")
    assert red["fact"] == f"none is to be seen here: {name} has its own, shown to it alone"
    assert words in red["next"]


def test_service_without_a_credential_hides_none(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    no_string(made)
    file = made.folder / "nhagent.service"
    file.write_text("[Service]\nLoadCredential=nhagent.connection-string\nLoadCredential=\n")
    installs(UNIT.format("nhagent.service", "loaded", "active", "success", 0, file, ""))
    [red] = [check for check in made.examine()[1]["checks"] if check["ok"] is False]
    assert 'run "nhagent login"' in red["next"]
