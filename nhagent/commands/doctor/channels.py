"""Checks of the push channels: whether each source gives one, and whether it may be sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nhagent.commands.doctor.findings import Unchecked, Wrong, shown_time
from nhagent.errors import NhagentError
from nhagent.models import Platform, fingerprint, identity_of_channel
from nhagent.reconcile.declaration import PRIMARY
from nhagent.report import StartState

if TYPE_CHECKING:
    from nhagent.commands.doctor.findings import Findings
    from nhagent.models import PushChannel

WNS_LIFE: Final = timedelta(days=30)
"""How long the platform keeps a WNS channel alive: apps ask for it again at each start."""


def check_push_service(findings: Findings) -> str:
    """Connect to the push service from which the device's channel comes, and end that without a word."""
    source: Any = findings.setup.sources[PRIMARY]
    try:
        source.reach()
    except NhagentError as error:
        raise Wrong(error.fact, error.hint) from None
    return f"{source!r} takes connections"


def check_channel(findings: Findings, name: str) -> str:
    """Ask one channel source, and see whether its channel may be sent."""
    if findings.is_disabled:
        raise Unchecked("not asked for while the device is unregistered")
    setup = findings.setup
    channel = setup.ask_source(name)
    if channel is None:
        raise Wrong("there is no push channel yet", "see that the platform or the app gives one")
    mark = fingerprint(channel)
    _check_may_be_sent(findings, name, channel)
    facts = [mark]
    if name in setup.channel_files:
        facts.append(_age(findings, setup.channel_files[name], mark))
    status = findings.known_status
    if status is not None:
        is_same = status.channels.get(name) == mark and not status.in_doubt
        is_accepted = is_same and status.state is StartState.IN_SYNC
        facts.append("as the hub accepted it" if is_accepted else "not sent yet")
    return ", ".join(facts)


def _check_may_be_sent(findings: Findings, name: str, channel: PushChannel) -> None:
    setup = findings.setup
    identity = identity_of_channel(setup.platform, channel)
    twin = findings.channel_names.setdefault(identity, name)
    if twin != name:
        raise Wrong(f"{fingerprint(channel)} is also that of {twin}", "give each a channel of its own")
    if findings.known_status is None:
        return
    refusal = setup.memory.refusal_of(setup.platform, channel)
    if refusal is not None:
        fact, hint = refusal
        raise Wrong(f"{fingerprint(channel)} {fact}", hint)


def _age(findings: Findings, path: str, mark: str) -> str:
    """Say when a channel's file was written; refuse a WNS channel that is too old."""
    try:
        written = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC)
    except (OSError, ValueError, OverflowError) as error:
        return f"of unknown age ({error})"
    skew = 0.0 if findings.answer is None else findings.answer.clock_skew or 0.0
    age = datetime.now(UTC) + timedelta(seconds=skew) - written
    if age > WNS_LIFE and findings.setup.platform is Platform.WNS and not findings.is_red("clock"):
        raise Wrong(
            f"{mark}, written {age.days} days ago: WNS channels live {WNS_LIFE.days} days",
            f"let the app ask the platform again and write {path}",
        )
    return f"written {shown_time(written)}"
