"""Checks of the connection string, and of systemd's units, one of which may have it for itself alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nhagent.commands.doctor.findings import Check, Wrong
from nhagent.commands.doctor.units import ENCRYPTED_CREDENTIALS
from nhagent.device import credential_sources
from nhagent.errors import CredentialError

if TYPE_CHECKING:
    from nhagent.commands.doctor.findings import Findings
    from nhagent.commands.doctor.units import Unit


def check_credentials(findings: Findings) -> str:
    """Find the connection string, and see whether it may be used."""
    try:
        credential = findings.setup.hub.find_credential()
    except CredentialError:
        _check_no_service_has_it(findings.units)
        raise
    fact = f"{credential.source},"
    if credential.key_name is not None:
        more = ", more than a device needs, as allow_full_access lets it"
        fact = f"{credential.source}: key {credential.key_name!r}"
        fact += more if credential.allows_more_than_listen else " (by its name, Listen alone)"
    fact += f" at {credential.namespace}"
    hidden = [] if findings.setup.at_backend else credential_sources.present()[1:]
    if hidden:
        fact += f"; it hides {' and '.join(hidden)}"
    status = findings.known_status
    known_at = None if status is None else status.namespace
    findings.has_moved = known_at not in {None, credential.namespace}
    if findings.has_moved:
        fact += f"; the device is known at {known_at}, and will be registered here"
    return fact


def _check_no_service_has_it(units: list[Unit]) -> None:
    """See whether a service has the connection string that is missing here: systemd shows it to it alone."""
    if credential_sources.present() or os.environ.get("CREDENTIALS_DIRECTORY"):
        return
    for unit in units:
        path = unit.credential_file
        if path is not None:
            step = f"as root, run nhagent --service doctor, or set NHAGENT_CONNECTION_STRING_FILE={path}"
            if path.startswith(ENCRYPTED_CREDENTIALS):
                step = "run doctor with systemd-run, which lets it in: see systemd/README.md"
            raise Wrong(f"none is to be seen here: {unit.name} has its own, shown to it alone", step)


def check_of_unit(unit: Unit) -> Check:
    """See whether a unit has failed."""
    name = f"{unit.name} (user)" if unit.is_users else unit.name
    if not unit.has_failed:
        return Check(name, True, unit.state)
    fact = f"{unit.state}, result {unit.result}, exit code {unit.exit_code}"
    of_user = "--user " if unit.is_users else ""
    return Check(name, False, fact, f"read why: journalctl {of_user}-u {unit.name}")
