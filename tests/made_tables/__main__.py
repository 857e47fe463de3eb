"""Print what `retain add` makes of many made tables: right at once, asked, refused."""

import argparse
import collections
import dataclasses
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.made_tables.judge import Judgement, judge
from tests.made_tables.recipes import CHOICES, PLAIN, Recipe, kinds, like
from tests.made_tables.tables import make

PAGE = Path("docs/tables.md")
HEADING = "## How it is tried\n"
EACH = 13  # tables of each kind, and ALIKE of none: 2,030 in all
ALIKE = 54


def judged(kind: Recipe, count: int, number: int = 0) -> list[tuple[Recipe, Judgement]]:
    """Return what comes of so many tables that are like one, which is the first of them.

    Args:
        number: of the draw.
    """
    found: list[tuple[Recipe, Judgement]] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(like(kind))
    def each(recipe: Recipe) -> None:
        found.append((recipe, judge(make(recipe), Path(folder))))

    with tempfile.TemporaryDirectory() as folder:
        each()
    return found


def odd(recipe: Recipe) -> str:
    """Return what is not plain in a recipe."""
    fields = {k: v for k, v in dataclasses.asdict(recipe).items() if v != getattr(PLAIN, k)}
    return ", ".join(f"{key}={value!r}" for key, value in fields.items())


def faults(found: list[tuple[Recipe, Judgement]]) -> list[str]:
    """Return what is wrong, the plainest table first."""
    bad = [(odd(recipe), judgement) for recipe, judgement in found if not judgement.good]
    return [
        f"{outcome.outcome}: Recipe({text})\n{outcome.detail}"
        for text, outcome in sorted(bad, key=lambda pair: len(pair[0]))
    ]


def lines(found: list[tuple[Recipe, Judgement]]) -> list[str]:
    """Return the closing table in Markdown: how many tables of each kind came out how."""
    head = "| {} | tables | right at once | right after a question | refused with a reason |"
    under = "|---|--:|--:|--:|--:|"
    rows = [head.format("what is not plain"), under]
    for key in CHOICES:
        rows.append(_row(key, [j for r, j in found if getattr(r, key) != getattr(PLAIN, key)]))
    rows += [_row("**all**", [judgement for _, judgement in found]), ""]
    rows += ["<details><summary>Each kind of table</summary>", "", head.format("kind"), under]
    for key, choices in CHOICES.items():
        for choice in choices:
            some = [judgement for recipe, judgement in found if getattr(recipe, key) == choice]
            rows.append(_row(f"{key}: `{choice}`", some))
    return [*rows, "", "</details>"]


def _row(kind: str, some: list[Judgement]) -> str:
    counts = collections.Counter(judgement.outcome for judgement in some)
    numbers = [len(some), *(counts[outcome] for outcome in ("right", "asked", "refused"))]
    return f"| {kind} | {' | '.join(f'{number:,}' for number in numbers)} |"


def write(rows: list[str]) -> None:
    """Write the closing table into its page, under its heading, in place of the former one."""
    before, heading, after = PAGE.read_text(encoding="utf-8").partition(HEADING)
    text, _, _ = after.partition("\n| ")
    PAGE.write_text(before + heading + text + "\n" + "\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Print the faults, then the closing table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=EACH, help="tables of each kind")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE}")
    options = parser.parse_args()
    found = judged(PLAIN, ALIKE)
    for number, kind in enumerate(kinds(), 1):
        found += judged(kind, options.each, number)
    for fault in faults(found):
        print(f"== {fault}\n")
    rows = lines(found)
    print("\n".join(rows))
    if options.write:
        write(rows)
    counts = collections.Counter(judgement.outcome for _, judgement in found)
    print(", ".join(f"{outcome}: {count}" for outcome, count in counts.most_common()))


if __name__ == "__main__":
    main()
