"""Who is measured beside nhagent: scripts by hand, and the clients of the service that others have published.

Each does what its script says, and the emulator's log is checked against what it shall have sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import official_client, python_clients
from tests.benchmarks.processes import run_script

FIRST, AGAIN, UNCHANGED, ROTATED = "first", "again", "unchanged", "rotated"
INSTALLATION, REGISTRATION = "installation", "registration"
STYLES = (INSTALLATION, REGISTRATION)
_LIST, _LIST_ALL, _NEW_ID = "list", "list of all", "POST id"
_SENDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    (FIRST, INSTALLATION): (_LIST, "PUT"),
    (FIRST, REGISTRATION): (_LIST, _NEW_ID, "PUT"),
    (AGAIN, INSTALLATION): ("PUT",),
    (UNCHANGED, INSTALLATION): (),
    (UNCHANGED, REGISTRATION): (),
    (ROTATED, INSTALLATION): ("PATCH",),
    (ROTATED, REGISTRATION): ("PUT",),
}


@dataclass(frozen=True)
class Contestant:
    """One who does the jobs of `tests.benchmarks.scripts`.

    Attributes:
        name: as the tables have it.
        command: what is run, without the job's arguments.
        trust: the variable by which it is told of a certificate authority; empty: by an argument.
        takes_bundle: the file that it is given stands in the place of the usual authorities.
        has_all_rights: it is given the key of a backend.
        lists_all: it cannot ask for the registrations of one channel.
        styles: those that it can write.
        note: what a reader of the tables has to know of it.
    """

    name: str
    command: tuple[str, ...]
    trust: str = ""
    takes_bundle: bool = True
    has_all_rights: bool = False
    lists_all: bool = False
    styles: tuple[str, ...] = STYLES
    note: str = field(default="", repr=False)

    def sends(self, job: str, style: str) -> tuple[str, ...]:
        """Return the requests of a job, as `tests.benchmarks.trials.names_of` names them."""
        sent = _SENDS[job, style]
        return tuple(_LIST_ALL if self.lists_all and name == _LIST else name for name in sent)


def ours(python: str) -> Contestant:
    """Return nhagent through the library."""
    return Contestant("nhagent, library", run_script(python, "ours"), takes_bundle=False)


def by_hand(python: str, client: str) -> Contestant:
    """Return a script by hand.

    Args:
        python: the interpreter, which has requests.
        client: ``requests`` or ``standard library``.
    """
    return Contestant(f"by hand, {client}", run_script(python, f"by_hand:{client}"))


def by_hand_with_file(python: str) -> Contestant:
    """Return a script by hand that compares with its file."""
    return Contestant("by hand, a file that is compared", run_script(python, "by_hand_file"))


def javascript() -> Contestant:
    """Return Microsoft's JavaScript client."""
    return Contestant(
        "@azure/notification-hubs (JavaScript)",
        ("node", str(official_client.FOLDER / "starts.cjs")),
        trust="NODE_EXTRA_CA_CERTS",
        takes_bundle=False,
    )


def unofficial() -> Contestant:
    """Return the Python client that somebody else has published, in its own plain environment."""
    return Contestant(
        "azure-notification-hub-unofficial",
        run_script(str(python_clients.PYTHON), "unofficial"),
        trust="SSL_CERT_FILE",
        has_all_rights=True,
        lists_all=True,
        styles=(INSTALLATION,),
        note="has no list of one channel, so that it lists all, with a key of all rights; and no call that "
        "writes a registration",
    )


def others(python: str) -> tuple[list[Contestant], list[str]]:
    """Return all but nhagent, and what has to be known of them: why one is not there, or what it cannot do.

    Args:
        python: the interpreter that is measured.
    """
    found = [by_hand(python, "requests"), by_hand(python, "standard library")]
    notes: list[str] = []
    for contestant, reason in (
        (javascript(), official_client.why_missing()),
        (unofficial(), python_clients.why_missing() or _why_not_plain(python_clients.PYTHON)),
    ):
        if reason is not None:
            notes.append(f"{contestant.name} is left out: {reason}")
            continue
        found.append(contestant)
        if contestant.note:
            notes.append(f"{contestant.name} {contestant.note}")
    return found, notes


def _why_not_plain(python: Path) -> str | None:
    """Return why another's environment would give false figures, or None."""
    site = python.parents[1].glob("lib/python*/site-packages/__editable__*")
    return "its environment has an editable install" if any(site) else None
