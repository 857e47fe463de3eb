"""`retain add` reads made tables as they are meant, asks what helps, or refuses with a reason."""

import pytest

from tests.made_tables.__main__ import ALIKE, EACH, faults, judged
from tests.made_tables.recipes import PLAIN, kinds

PARTS = 4
SHOWN = 5  # faults


def judged_kinds(part: int, parts: int, count: int) -> list[str]:
    """Return the faults of so many tables of some of the kinds."""
    numbered = list(enumerate(kinds(), 1))[part::parts]
    return faults([pair for number, kind in numbered for pair in judged(kind, count, number)])


def listed(found: list[str]) -> str:
    return f"{len(found)} faults, such as\n" + "\n\n".join(found[:SHOWN])


@pytest.mark.parametrize("part", range(PARTS))
def test_a_table_of_each_kind(part: int) -> None:
    found = judged_kinds(part, PARTS, 1)
    assert not found, listed(found)


@pytest.mark.parametrize("number", range(PARTS))
def test_tables_of_several_kinds_at_once(number: int) -> None:
    found = faults(judged(PLAIN, 12, 1_000 + number))
    assert not found, listed(found)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2 * PARTS))
def test_two_thousand_tables(part: int) -> None:
    found = judged_kinds(part, 2 * PARTS, EACH)
    found += faults(judged(PLAIN, ALIKE)) if part == 0 else []
    assert not found, listed(found)
