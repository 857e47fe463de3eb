"""Print tables and reports; numbers are never broken, however narrow the terminal is."""

import os
import re
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import typer

from retain.config.kind import kind_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from retain.config.schema import Problem
    from retain.evaluation import report

SENTENCE = 40  # characters from which a cell counts as text, which may wrap
WIDTH = 110  # width without a terminal and without COLUMNS


def console() -> "Console":
    """Return a console with the width of the terminal or of COLUMNS."""
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else WIDTH)


def table(shown: "Table") -> None:
    """Print a table; columns that do not wrap keep their width; the terminal may break lines."""
    place, least = console(), 0
    for column in shown.columns:
        longest = max(len(str(cell)) for cell in (column.header, *column.cells))
        least += 2 + (longest if column.no_wrap else min(longest, SENTENCE))
    place.width = max(place.width, least)
    place.print(shown)


def report_table(
    content: "report.Table", left: Collection[str] = (), wraps: bool = False, **style: Any
) -> None:
    """Print the columns and rows of a report's table.

    Args:
        content: the table; its title and its note are not printed.
        left: columns that are aligned left even if they are numbers.
        wraps: whether the columns after the first may wrap.
        style: of the table, as rich takes it.
    """
    from rich.table import Table

    shown = Table(box=None, **style)
    for place, column in enumerate(content.columns):
        right = content.is_numeric(place) and column not in left
        shown.add_column(
            column, justify="right" if right else "left", no_wrap=place == 0 or not wraps
        )
    for row in content.rows:
        shown.add_row(*row)
    table(shown)


def split_report(text: str) -> tuple[str, str]:
    """Split a report in Markdown into the part before its first table, and the rest.

    >>> split_report("## sales\\n\\nGood.\\n\\n### Scores\\n\\n| a |\\n")
    ('## sales\\n\\nGood.', '### Scores\\n\\n| a |\\n')
    """
    match = re.search(r"\n\n(?=### )", text)
    return (text[: match.start()], text[match.end() :]) if match else (text, "")


def markdown(text: str) -> None:
    """Print Markdown: paragraphs as wide as the terminal, tables as wide as their numbers need."""
    from rich.markdown import Markdown

    for block in filter(None, re.split(r"\n\n+", text)):
        place = console()
        if block.startswith("|"):
            place.width = max(place.width, _table_width(block))
        with place.capture() as printed:
            place.print(Markdown(block))
        lines = printed.get().strip("\n").splitlines()
        typer.echo("\n".join(line.rstrip() for line in lines if line.strip()) + "\n")


def _table_width(block: str) -> int:
    """Return the width that a table in Markdown needs; only sentences may wrap."""
    lines = [line.strip("|").split(" | ") for line in block.splitlines()]
    rows = [line for line in lines if not set("".join(line)) <= set(" :-|")]
    widths = [max(len(cell.strip()) for cell in column) for column in zip(*rows, strict=False)]
    return sum(min(width, SENTENCE) for width in widths) + 3 * len(widths) + 1


def next_steps(name: str, problem: "Problem") -> None:
    """Print the commands that use a registered model, and the one that shows its runs."""
    kind = kind_of(problem)
    if kind.chat is not None:
        ask = (f"{kind.command} {name}", "talks with the model")
    elif kind.forecast is not None:
        ask = (f"{kind.command} {name} -o forecast.csv", "forecasts from the last row of the table")
    else:
        ask = (f'{kind.command} {name} "…"', "asks the model")
    steps = dict([ask])
    if kind.endpoint is not None:
        steps[f"retain serve {name}"] = "answers over HTTP, with a page to try it"
    steps["make ui"] = "the runs in MLflow; it prints their address"
    width = max(map(len, steps)) + 2
    typer.echo("next:")
    for command, what in steps.items():
        typer.echo(f"  {command:<{width}}# {what}")
