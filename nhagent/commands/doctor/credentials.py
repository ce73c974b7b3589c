"""Check of the connection string, which one of systemd's units may have for itself alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from nhagent.commands.doctor.findings import Wrong
from nhagent.commands.doctor.units import ENCRYPTED_CREDENTIALS
from nhagent.commands.service import FOLDER
from nhagent.device import credential_sources
from nhagent.errors import CredentialError

if TYPE_CHECKING:
    from nhagent.commands.doctor.findings import Findings
    from nhagent.commands.doctor.units import Unit


_HOW_TO: Final = "https://github.com/nhagent/nhagent/blob/main/systemd/README.md"


def check_credentials(findings: Findings) -> str:
    """Find the connection string, and see whether it may be used."""
    try:
        credential = findings.setup.hub.find_credential()
    except CredentialError:
        _check_no_service_has_it(findings)
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


def _check_no_service_has_it(findings: Findings) -> None:
    """See whether a service has the connection string that is missing here: systemd shows it to it alone."""
    if credential_sources.present() or os.environ.get("CREDENTIALS_DIRECTORY"):
        return
    for unit in findings.units:
        path = unit.credential_file
        if path is None or findings.service not in {None, unit.name}:
            continue
        if path.startswith(ENCRYPTED_CREDENTIALS):
            step = f"run doctor with systemd-run, which lets it in: see {_HOW_TO}"
        elif findings.service is not None:
            step = f"as root: install -D -m 600 /dev/stdin {path}, and systemctl restart {unit.name}"
            raise Wrong(f"none: {path} is not there", step)
        else:
            step = f"as root, run {_doctor_of(unit)}, or set NHAGENT_CONNECTION_STRING_FILE={path}"
        raise Wrong(f"none is to be seen here: {unit.name} has its own, shown to it alone", step)


def _doctor_of(unit: Unit) -> str:
    config = f" --config {FOLDER}/{unit.instance}.toml" if unit.instance else ""
    return f"nhagent --service{config} doctor"
