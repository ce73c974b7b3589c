"""``nhagent doctor``: what is wrong with a set-up, and what to do next.

The checks are in such an order that the first red one is the cause: a later one that cannot be made because
of it is left open. The hub is only asked for the device's own installation and, where that is asked for, what
the key may do. The disk is only read, but for one thing: where the hub accepts a key, the note that it has
refused one is struck out. Of keys and push channels no more than names and fingerprints are shown.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nhagent.commands.doctor import channels, credentials, hub, local, network, services
from nhagent.commands.doctor.findings import Check, Findings
from nhagent.reconcile.declaration import PRIMARY

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKS: Final = (
    ("configuration", local.check_configuration),
    ("state folder", local.check_state_folder),
    ("state", local.check_state),
    ("credentials", credentials.check_credentials),
    ("dns", network.check_dns),
    ("tcp", network.check_tcp),
    ("tls", network.check_tls),
    ("clock", hub.check_clock),
    ("hub", hub.check_hub),
    ("modes", local.check_modes),
    ("lock", local.check_lock),
)
"""The checks of every set-up, by name. Those of its push channels and units follow.

Causes stand before consequences: a lock is held for as long as a hub hangs, and modes stop nothing.
"""
_KEY: Final = (("key", hub.check_key),)
"""The check that is made only when it is asked for: it sends what no device ever sends."""

_COLOURS: Final = {True: "green", False: "red", None: "-"}


def examine(
    config: str | None, *, check_key: bool = False, service: str | None = None
) -> tuple[bool, dict[str, Any], str]:
    """Check all that a device needs to stay known to its hub.

    Args:
        config: the configuration file's path; None: as `nhagent.commands.config.read_agent`.
        check_key: also ask the hub, with one more request, whether the key may do more than a device needs.
        service: the unit whose device it is, with ``--service``; None: none.

    Returns:
        Whether nothing is wrong, the object for ``--json``, and the text for people.
    """
    checks = list(_checks(Findings(config, service), check_key=check_key))
    red = [check for check in checks if check.ok is False]
    width = max(len(check.name) for check in checks)
    lines = [_line(check, width) for check in checks]
    lines.append(f"first: {red[0].name}: {red[0].next}" if red else "healthy")
    document = {"healthy": not red, "checks": [asdict(check) for check in checks], "error": None}
    return not red, document, "\n".join(lines)


def _checks(findings: Findings, *, check_key: bool) -> Iterator[Check]:
    for name, look in (*CHECKS, *(_KEY if check_key else ())):
        yield findings.check(name, partial(look, findings))
    if findings.has_setup:
        yield from local.checks_of_templates(findings)
        if hasattr(findings.setup.sources[PRIMARY], "reach"):
            yield findings.check("push service", partial(channels.check_push_service, findings))
        # These follow the hub's check, because only the hub's clock tells how old a channel is.
        for name in findings.setup.sources:
            yield findings.check(name, partial(channels.check_channel, findings, name))
        if findings.service is not None:
            yield findings.check("readable", partial(services.check_readable, findings))
    yield from services.checks_of_units(findings)


def _line(check: Check, width: int) -> str:
    step = f"\n{'':<{width + 7}}  -> {check.next}" if check.next else ""
    return f"{_COLOURS[check.ok]:<5}  {check.name:<{width}}  {check.fact}{step}"
