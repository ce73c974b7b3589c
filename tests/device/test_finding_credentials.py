"""Where a connection string is found, and in which order."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.channels import simple
from nhagent.device import credential_sources, key_ring
from nhagent.errors import (
    CredentialError,
)
from tests.channels.test_simple_sources import ask


def find_at_no_cost(environment: dict[str, str]) -> credential_sources.FoundCredential | None:
    """What the first of the sources gives that cost nothing."""
    sources = (
        credential_sources.find_in_systemd,
        credential_sources.find_in_file,
        credential_sources.find_in_environment,
    )
    return next((found for found in (find(environment) for find in sources) if found is not None), None)


def test_connection_string_is_found_in_the_order_of_the_chain(
    tmp_path: Path, secret_file: Callable[[str], str]
) -> None:
    environment = {"NHAGENT_CONNECTION_STRING": " by environment "}
    found = find_at_no_cost(environment)
    assert found is not None
    assert (found.text, found.source) == (" by environment ", "$NHAGENT_CONNECTION_STRING")
    assert "by environment" not in repr(found)
    environment["NHAGENT_CONNECTION_STRING_FILE"] = secret_file("by file\n")
    found = find_at_no_cost(environment)
    assert found is not None
    assert found.text == "by file"
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert find_at_no_cost(environment) == found, "systemd gave others"
    (tmp_path / "nhagent.connection-string").write_text("by systemd")
    found = find_at_no_cost(environment)
    assert found is not None
    assert found.text == "by systemd"
    assert find_at_no_cost({}) is None


def test_file_that_others_may_read_is_refused(secret_file: Callable[[str], str]) -> None:
    path = secret_file("secret-text")
    for mode, words in ((0o640, "chmod 600"), (0o604, "chmod 600")):
        os.chmod(path, mode)
        with pytest.raises(CredentialError, match=words) as caught:
            find_at_no_cost({"NHAGENT_CONNECTION_STRING_FILE": path})
        assert "secret-text" not in str(caught.value)
    with pytest.raises(CredentialError, match="check the path"):
        find_at_no_cost({"NHAGENT_CONNECTION_STRING_FILE": path + ".absent"})


def test_without_any_source_the_error_names_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with pytest.raises(CredentialError, match="NHAGENT_CONNECTION_STRING"):
        key_ring.find_in_keyring("app", "hub")


def test_connection_string_from_an_editor_that_marks_its_files_is_read(
    secret_file: Callable[[str], str],
) -> None:
    found = credential_sources.find_in_file(
        {"NHAGENT_CONNECTION_STRING_FILE": secret_file("\ufeffby file\r\n")}
    )
    assert found is not None
    assert found.text == "by file"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets not everybody make links")
def test_link_to_a_regular_file_is_as_good_as_the_file(
    tmp_path: Path, secret_file: Callable[[str], str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(secret_file("what-is-held"))
    assert ask(simple.from_file(str(link))) == "what-is-held"
    found = credential_sources.find_in_file({"NHAGENT_CONNECTION_STRING_FILE": str(link)})
    assert found is not None
    assert found.text == "what-is-held"
