"""`retain add` reads made tables as they are meant, asks what helps, or refuses with a reason."""

import pytest

from tests.made_tables.__main__ import ALIKE, EACH, faults, judged
from tests.made_tables.recipes import CHOICES, PLAIN, covering, kinds

PARTS = 4
SHOWN = 5  # faults


def listed(found: list[str]) -> str:
    return f"{len(found)} faults, such as\n" + "\n\n".join(found[:SHOWN])


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in range(1, PARTS))]
)
def test_tables_with_each_choice_in_one_of_them(part: int) -> None:
    found = faults([pair for recipe in covering()[part::PARTS] for pair in judged(recipe, 1)])
    assert not found, listed(found)


def test_every_choice_is_in_such_a_table() -> None:
    every = {(key, choice) for key, choices in CHOICES.items() for choice in choices}
    assert every == {(key, getattr(recipe, key)) for recipe in covering() for key in CHOICES}


def test_tables_of_several_kinds_at_once() -> None:
    found = faults(judged(PLAIN, 5, 1_000))
    assert not found, listed(found)


@pytest.mark.long
@pytest.mark.parametrize("part", range(2 * PARTS))
def test_two_thousand_tables(part: int) -> None:
    numbered = list(enumerate(kinds(), 1))[part :: 2 * PARTS]
    found = faults([pair for number, kind in numbered for pair in judged(kind, EACH, number)])
    found += faults(judged(PLAIN, ALIKE)) if part == 0 else []
    assert not found, listed(found)
