"""What may be wrong with the expressions in declared templates: told once, when a declaration changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nhagent.logs import Log
from nhagent.template_expressions import doubts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nhagent.models import Platform, Template
    from nhagent.reconcile.declaration import Declaration

_log = Log(__name__)


def doubts_about(
    platform: Platform, declared: Declaration, before: Declaration | None = None
) -> Iterator[str]:
    """Tell which values of templates look like expressions and are not.

    Args:
        platform: the device's platform.
        declared: what is declared.
        before: what was declared before, whose templates were told of; None: all are looked at.

    Returns:
        A sentence for each value, which names its template.
    """
    known = {} if before is None else dict(_templates(before))
    for name, template in _templates(declared):
        if known.get(name) == template:
            continue
        for doubt in doubts(str(platform), template.body, template.headers, template.expiry):
            yield f"{name}: {doubt}"


def warn(platform: Platform, declared: Declaration, before: Declaration | None = None) -> None:
    """Log what `doubts_about` tells."""
    for doubt in doubts_about(platform, declared, before):
        _log.warning("%s", doubt)


def _templates(declared: Declaration) -> Iterator[tuple[str, Template]]:
    """Give all templates, by where they are declared."""
    yield from _named("templates", declared.templates)
    for tile_id, tile in (declared.secondary_tiles or {}).items():
        yield from _named(f"secondary_tiles[{tile_id!r}].templates", tile.templates)


def _named(place: str, templates: Mapping[str, Template] | None) -> Iterator[tuple[str, Template]]:
    for name, template in (templates or {}).items():
        yield f"{place}[{name!r}]", template
