"""The plan of a deduplication, for any list of records, read in any pages, killed anywhere."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.commands.hub.plan_file import FRESH_SECONDS, PlanFile
from nhagent.hub.held import HeldRegistration
from nhagent.models import Platform, Template

TEMPLATE = Template('{"m":"$(m)"}')


def row(number: int, channel: str, name: str | None, owner: str | None, platform: str) -> HeldRegistration:
    return HeldRegistration(
        Platform.parse(platform),
        channel,
        tags=() if owner is None else (f"$InstallationId:{{{owner}}}",),
        template=None if name is None else TEMPLATE,
        template_name=name or None,
        registration_id=f"{number}-1-1",
        etag=str(number),
    )


ROWS = st.lists(
    st.builds(
        row,
        st.integers(1, 99),
        st.sampled_from(["A", "a", "b"]),
        st.sampled_from([None, "", "alert", "Alert"]),
        st.sampled_from([None, None, "one", "two"]),
        st.sampled_from(["gcm", "fcmv1"]),
    ),
    unique_by=lambda each: each.registration_id,
    max_size=30,
)


def surplus_of(rows: list[HeldRegistration]) -> set[tuple[str, str]]:
    """The same by another way: record by record, with everybody whom it might be equal to."""
    found = set()
    for one in rows:
        equals = [
            other
            for other in rows
            if (one.platform, one.channel, one.template is None, one.template_name)
            == (other.platform, other.channel, other.template is None, other.template_name)
        ]
        owned = any(other.installation_id for other in equals)
        smallest = min(other.registration_id for other in equals)
        if one.installation_id is None and (owned or one.registration_id != smallest):
            found.add((one.registration_id, one.etag))
    return found


@pytest.mark.slow
@given(rows=ROWS, size=st.integers(1, 9), stop=st.integers(0, 30))
def test_one_of_each_stays_wherever_it_was_killed(rows: list[HeldRegistration], size: int, stop: int) -> None:
    pages = [rows[first : first + size] for first in range(0, len(rows), size)]
    expected = surplus_of(rows)
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "plan")
        steps = 0
        while True:  # each life reads one page and deletes one record more than the one before
            with closing(PlanFile(path, "hub", clock=lambda: 0.0)) as plan:
                while not plan.is_listed:
                    done = plan.number("pages")
                    token = str(done + 1) if done + 1 < len(pages) else None
                    plan.add_page(pages[done] if pages else (), token)
                    if done >= stop:
                        break
                if not plan.is_listed:
                    stop += 1
                    continue
                assert plan.counts()["surplus"] == len(expected)
                assert plan.counts()["kept"] == len(rows) - len(expected)
                left = list(plan.surplus())
                assert set(left) <= expected
                assert len(left) == len(expected) - steps
                if not left:
                    break
                plan.strike_out(left[0][0], is_left=bool(steps % 2))
                steps += 1
        with closing(PlanFile(path, "hub", clock=lambda: 0.0)) as plan:
            assert plan.number("deleted") + plan.number("left") == len(expected)
            assert plan.number("requests") == max(1, len(pages)) + len(expected)


def test_a_page_that_is_read_twice_counts_once() -> None:
    """It was killed after the hub's answer and before the page was on disk."""
    page = [row(1, "a", None, None, "gcm"), row(2, "a", None, None, "gcm")]
    with closing(PlanFile(None, "hub")) as plan:
        plan.add_page(page, "next")
        plan.add_page(page, None)
        assert list(plan.surplus()) == [("2-1-1", "2")]


@pytest.mark.parametrize(("later", "is_kept"), [(FRESH_SECONDS, True), (FRESH_SECONDS + 1, False)])
def test_an_old_plan_is_made_again(tmp_path: Path, later: float, is_kept: bool) -> None:
    path = str(tmp_path / "plan")
    with closing(PlanFile(path, "hub", clock=lambda: 0.0)) as plan:
        plan.add_page([row(1, "a", None, None, "gcm")], None)
    with closing(PlanFile(path, "hub", clock=lambda: later)) as plan:
        assert plan.is_listed is is_kept
        assert plan.counts()["kept"] == (1 if is_kept else 0)
