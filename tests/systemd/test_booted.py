"""The units on a booted machine: a real systemd as PID 1, the distribution's Python, a hub over TLS.

The machine is booted once, by whichever test comes first; ``inside.py`` plays every scenario on it, and each
test reads what came of one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.children import cannot

from .machine import boot, build_package, forbidden, missing, package_tools_missing

if sys.platform != "linux":
    pytest.skip("systemd is Linux's", allow_module_level=True)
if reason := forbidden():
    pytest.skip(reason, allow_module_level=True)
if (reason := missing()) and os.environ.get("NHAGENT_CI") != "1":
    pytest.skip(reason, allow_module_level=True)

pytestmark = pytest.mark.slow

ERROR, INFORMATION = 3, 6


class Told:
    """What came of the scenarios."""

    def __init__(self, text: str) -> None:
        self._facts: dict[str, dict[str, Any]] = json.loads(text)

    def __getitem__(self, scenario: str) -> dict[str, Any]:
        facts = self._facts[scenario]
        assert "cannot" not in facts, facts["cannot"]
        return facts


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What was told by the one machine of this run; the workers of a run share it."""
    import fcntl

    if reason:  # what is missing
        cannot(reason)
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    kept = shared / "systemd.json"
    with open(shared / "systemd.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(boot(tmp_path_factory.mktemp("systemd")))
    return Told(kept.read_text())


def test_boot_does_not_wait_for_a_hub_that_never_answers(told: Told) -> None:
    facts = told["boot_without_a_hub"]
    assert facts["was_not_waited_for"]
    assert facts["failed"] == ""


def test_oneshot_registers_over_tls_and_sends_nothing_more_at_the_next_start(told: Told) -> None:
    facts = told["oneshot"]
    assert facts["first"]["Result"] == facts["second"]["Result"] == "success"
    assert facts["first"]["requests"] == ["GET", "PUT"]
    [held] = facts["first"]["held"]
    assert (held["pushChannel"], held["tags"]) == ("handle-1", ["kitchen"])
    assert facts["second"]["requests"] == []
    assert any(line.startswith("registered as installation") for _, line in facts["journal"])


def test_timer_fires_and_is_set_for_the_next_day(told: Told) -> None:
    facts = told["timer"]
    assert 120 <= facts["after_boot"] <= 120 + 3600 + 60
    assert facts["result"] == "success"
    assert 86000 < facts["again_in"] <= 86460


def test_missing_credential_is_told_in_words_and_ends_the_oneshot_with_78_for_good(told: Told) -> None:
    facts = told["missing_credential"]
    oneshot = facts["oneshot"]
    assert (oneshot["ExecMainStatus"], oneshot["NRestarts"], oneshot["ActiveState"]) == ("78", "0", "failed")
    [line] = [line for priority, line in facts["journal"] if priority <= ERROR]
    assert "/etc/credstore/nhagent.connection-string" in line


def test_daemon_without_a_credential_stays_and_says_so_in_its_status(told: Told) -> None:
    daemon = told["missing_credential"]["daemon"]
    assert daemon["ActiveState"] == "active"
    assert daemon["StatusText"].startswith("failed: no connection string was found")


def test_daemon_reaches_ready_and_shows_its_status(told: Told) -> None:
    facts = told["daemon_starts"]
    assert (facts["ActiveState"], facts["SubState"]) == ("active", "running")
    # Another word where an earlier device of this machine had left its record at the hub.
    assert facts["StatusText"].startswith(("registered, 2 requests; next", "updated, 2 requests; next"))
    assert f'Status: "{facts["StatusText"]}"' in facts["status"]


def test_state_folder_is_for_its_owner_alone(told: Told) -> None:
    facts = told["state_files"]
    assert {facts["folder"], *facts["folders"].values()} == {"0o700"}
    assert len(facts["files"]) >= 3
    assert set(facts["files"].values()) == {"0o600"}


def test_rotated_channel_file_reaches_the_hub(told: Told) -> None:
    facts = told["rotation"]
    assert [item["pushChannel"] for item in facts["held"]] == ["handle-2"]


def test_reload_takes_a_good_configuration_and_shows_why_a_bad_one_is_not_used(told: Told) -> None:
    facts = told["reload"]
    assert facts["bad"]["ActiveState"] == "active"
    assert "the new configuration is not used: " in facts["bad"]["StatusText"]
    assert "not used" not in facts["good"]["StatusText"]
    assert facts["same_process"]


def test_poke_by_systemctl_wakes_it(told: Told) -> None:
    facts = told["poke"]
    assert facts["before"].startswith("updated"), "it would rest for a day"
    assert facts["same_process"]


def test_administrator_who_looks_takes_nothing_from_the_service(told: Told) -> None:
    facts = told["looking_as_root"]
    assert facts["said"].startswith("IN_SYNC: ")
    assert all(facts["owners"].values())
    assert facts["status"].startswith("updated")


def test_stop_is_obeyed_before_systemd_kills_it(told: Told) -> None:
    facts = told["stop"]
    assert (facts["ActiveState"], facts["Result"], facts["ExecMainStatus"]) == ("inactive", "success", "0")


def test_journal_holds_as_errors_what_somebody_must_act_on_and_nothing_else(told: Told) -> None:
    facts = told["journal_priorities"]
    refused, unused = facts["errors"]
    assert "no connection string was found" in refused
    assert "the new configuration is not used" in unused
    priorities = {priority for priority, line in facts["all"] if "nhagent.commands.daemon: started" in line}
    assert priorities == {INFORMATION}
    assert not any(line.startswith("<") for _, line in facts["all"])


def test_watchdog_leaves_a_daemon_that_lives_and_replaces_one_that_hangs(told: Told) -> None:
    facts = told["watchdog"]
    assert facts["lived"]
    assert facts["another_process"]
    assert facts["same_identity"]


def test_killed_daemon_comes_back_with_the_same_identity(told: Told) -> None:
    facts = told["killed"]
    assert facts["another_process"]
    assert facts["same_identity"]


def test_encrypted_credential_is_used_as_the_guide_shows_it(told: Told) -> None:
    facts = told["encrypted_credential"]
    assert facts["ActiveState"] == "active"
    assert facts["StatusText"].startswith(("registered", "updated"))


def test_instance_is_a_device_of_its_own_beside_the_daemon(told: Told) -> None:
    facts = told["instance"]
    assert facts["ActiveState"] == facts["beside"] == "active"
    assert facts["StatusText"].startswith(("registered", "updated"))
    assert facts["has_folder"]
    assert facts["installations"] == 1


def test_user_unit_follows_reloads_and_stops(told: Told) -> None:
    facts = told["user_units"]
    assert (facts["oneshot"], facts["registered"]) == ("success", True)
    assert facts["daemon"] == "active"
    assert facts["status"].startswith("unchanged, 0 requests")
    assert facts["rotated"]
    assert len(facts["modes"]) >= 3
    assert set(facts["modes"].values()) == {"0o600"}
    assert facts["result"] == "success"
    assert facts["timer"] == "active"


def test_bare_machine_is_a_registered_monitored_service_after_three_commands(told: Told) -> None:
    facts = told["first_minutes"]
    assert facts["before"] == []
    assert facts["init"]["config"] == "/etc/nhagent/config.toml"
    assert facts["init"]["commands"][1:] == [
        "nhagent units --install",
        "nhagent --service wait && nhagent --service doctor",
    ]
    assert facts["again"] == 78
    assert facts["waited"].startswith("registered as ")
    assert facts["doctor"]["healthy"], facts["doctor"]
    assert (facts["target"], facts["waiter"]["ActiveState"]) == ("active", "active")
    assert facts["owner"]
    assert "nhagent_in_sync 1" in facts["metrics"]
    assert [held["platform"] for held in facts["held"] if held["pushChannel"] == facts["channel"]] == ["gcm"]
    assert "nhagent.service" in facts["installed"]
    assert (facts["left"], facts["stopped"]) == ([], "inactive")


def test_debians_package_runs_is_upgraded_without_a_request_and_leaves_nothing(told: Told) -> None:
    if reason := package_tools_missing():
        cannot(reason)
    facts = told["package"]
    assert facts["fresh"] == ["inactive", "disabled"]
    assert facts["requests"] == ["GET", "PUT"]
    assert facts["status"]["state"] == "IN_SYNC"
    assert "packaged   /usr/lib/systemd/system/nhagent.service" in facts["units"]
    assert facts["among_administrators"] == ["multi-user.target.wants/nhagent.service"]
    assert facts["manual"]
    assert (facts["refused"], facts["reloaded"]) == ([], True)
    assert facts["upgraded"] == []
    assert facts["same"]["installation_id"] == facts["status"]["installation_id"]
    assert facts["removed"] == ["inactive", True, True]
    assert facts["left"] == []


def test_lintian_finds_nothing_wrong_with_the_package(tmp_path: Path) -> None:
    if reason := package_tools_missing():
        cannot(reason)
    assert build_package(tmp_path / "nhagent.deb") == ""


def test_every_scenario_is_read_by_a_test(told: Told) -> None:
    source = Path(__file__).read_text()
    assert all(f'told["{name}"]' in source for name in told._facts if told[name].keys() - {"took"})


def test_headless_device_is_reached_through_cuts_kills_and_losses(told: Told) -> None:
    facts = told["push_channel"]
    # At least once, in order: the one in whose middle the daemon was killed may have been taken before, too.
    assert list(dict.fromkeys(facts["taken"])) == facts["sent"]
    assert len(facts["taken"]) <= len(facts["sent"]) + 1
    assert facts["is_new"] and facts["same_identity"]
    [[_]] = facts["channels"]
    assert set(facts["modes"].values()) == {"0o600"}
    assert not [line for line in facts["errors"] if "fault" in line]
