"""What is taken over from registrations that a hub lists for a device's channels, after a lost disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nhagent.device.accepted import Deletion
from nhagent.errors import ConfigurationError
from nhagent.models import altered, check_templates
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION
from nhagent.registrars.records import RegistrationRecord, rows_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nhagent.device.accepted import Accepted
    from nhagent.hub.held import HeldRegistration
    from nhagent.models import Installation, Registration, Template


def adopted(
    rows: Mapping[str, Registration],
    found: Mapping[str, Iterable[HeldRegistration]],
    accepted: Accepted,
    known_id: str | None,
) -> Accepted:
    """Choose for each row the registration to go on with: that which is known, else the smallest id. Pure.

    Args:
        rows: what the device is made of.
        found: what the hub lists for each of its channels. All the rest of it must go, but not the rows of an
            installation: only our own, whose id is known, is ours to touch, and goes as a whole.
        accepted: what is remembered all the same.
        known_id: the id of an installation of ours.
    """
    records = rows_in(accepted)
    kept = {record.id for record in records.values()}
    gone: list[Deletion] = []
    names = {_place(row): name for name, row in rows.items()}
    for tile_id, listed in found.items():
        for row in sorted(listed, key=lambda row: row.registration_id):
            owner, registration_id = row.installation_id, row.registration_id
            name = names.get((row.platform, tile_id, row.template is not None, row.template_name))
            if owner is not None:
                gone += [Deletion(INSTALLATION, owner)] if owner == known_id else []
            elif name is not None and not records.get(name, RegistrationRecord()).id:
                before = records.get(name, RegistrationRecord())
                records[name] = RegistrationRecord(id=registration_id, gone_at=before.gone_at)
                kept.add(registration_id)
            elif registration_id not in kept:
                gone.append(Deletion(REGISTRATION, registration_id, row.etag or "*"))
    stored = {name: record.to_json() for name, record in records.items()}
    ours = {record.id for record in records.values()}
    is_known = any(row.registration_id in ours for listed in found.values() for row in listed)
    accepted = accepted.changed(style=REGISTRATION, records={**accepted.records, **stored}, adopted=is_known)
    return accepted.deleting(*gone)


def declared_by(installation: Installation, rows: list[HeldRegistration]) -> Installation:
    """Tell what must have been declared for the hub to hold these rows of the device's own channel."""
    ours = sorted(
        (row for row in rows if row.installation_id is None and row.platform == installation.platform),
        key=lambda row: row.registration_id,
        reverse=True,  # the smallest id, which is adopted, has the last word
    )
    native = next((row for row in reversed(ours) if row.template is None), None)
    tags = () if native is None else tuple(native.tags)
    shared = frozenset(tags)  # a hub may list any number of them
    templates: dict[str, Template] = {}
    for row in ours:
        if row.template is None or row.template_name is None:
            continue
        template = altered(row.template, tags=tuple(tag for tag in row.tags if tag not in shared))
        try:
            check_templates("templates", {row.template_name: template}, installation.platform)
        except ConfigurationError:  # nobody could have declared it here
            continue
        templates[row.template_name] = template
    return altered(
        installation,
        tags=tags,
        templates=templates,
        push_variables={} if native is None else dict(native.push_variables),
    )


def _place(row: Registration) -> tuple[object, ...]:
    return row.platform, row.secondary_tile_name or "", row.template is not None, row.template_name
