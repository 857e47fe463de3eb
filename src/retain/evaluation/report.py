"""A report of one problem: the verdict, the tables behind it, figures, and provenance.

One self-contained HTML file (no network, no script), and Markdown for a pull request. Both are pure
functions of a `Report`, for every kind of problem.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from retain.evaluation.quality_gate import CheckResult

NUMBER = re.compile(r"[-+±<≤\u2212]?\s*[\d.]+")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~&@])")  # characters that are markup, or a mention


@dataclass(frozen=True)
class Table:
    """A table of formatted cells; the first cell of a row is its name.

    Attributes:
        best: the best row of each column.
        terms: the terms in the column heads, with their meanings.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    best: tuple[int | None, ...] = ()
    terms: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row has not {len(self.columns)} cells")
        if len(self.best) not in {0, len(self.columns)}:
            raise ValueError(f"table {self.title!r}: best does not name a row for each column")

    def is_best(self, row: int, column: int) -> bool:
        """Whether this cell holds the best figure of its column."""
        return bool(self.best) and self.best[column] == row

    def is_numeric(self, column: int) -> bool:
        """Whether the column has numbers, which are right-aligned."""
        return column > 0 and any(NUMBER.match(row[column]) for row in self.rows)


@dataclass(frozen=True)
class Figure:
    """An SVG and how to read it; `svg` is trusted markup, its ids begin with `name`."""

    name: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A section of a report with its heading."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Outlook:
    """The forecast of the future and a description of the data.

    `opening` says what is forecast, for which time, and by which model.
    """

    opening: str
    forecast: Section
    data: Section


@dataclass(frozen=True)
class Report:
    """The parts of a report.

    Attributes:
        lead: why the model is used, after the outcome of the gate.
        headline: how good it is, in a sentence without technical terms.
        outlook: from the stage `evaluate`; None if the kind has none.
        judged: whether it has a verdict.
    """

    title: str
    lead: str
    checks: Sequence[CheckResult] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    headline: str = ""
    outlook: Outlook | None = None
    judged: bool = True

    def __post_init__(self) -> None:
        names = [figure.name for figure in self.all_figures]
        if len(set(names)) < len(names):  # their ids would clash in the page
            raise ValueError(f"two figures of one name: {', '.join(sorted(names))}")

    @property
    def all_figures(self) -> tuple[Figure, ...]:
        """The figures of all parts."""
        parts = (self.outlook.forecast, self.outlook.data) if self.outlook else ()
        return (*(figure for part in parts for figure in part.figures), *self.figures)

    @property
    def passed(self) -> bool:
        """Whether every check of the gate holds."""
        return all(check.passed for check in self.checks)

    @property
    def verdict(self) -> str:
        """Return whether the model passed the gate, in words."""
        failed = sum(not check.passed for check in self.checks)
        if failed:
            return f"Did not pass the gate: {failed} of {len(self.checks)} checks failed"
        if not self.checks:
            return "Passed the gate"
        return f"Passed the gate: all {len(self.checks)} checks hold"


def to_html(report: Report) -> str:
    """Render the report as one self-contained HTML page."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("retain.evaluation").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source)
    return page.render(report=report) + "\n"


def to_markdown(report: Report) -> str:
    """Write verdict, tables and checks as GitHub's Markdown; figures stay in the HTML."""
    opening = report.outlook.opening if report.outlook else ""
    blocks = [
        f"## {_symbol(report.passed)} {plain(report.title)}",
        *(plain(text) for text in (opening, report.headline) if text),
        f"**{report.verdict}.** {plain(report.lead)}",
    ]
    for table in report.tables:
        blocks += [f"### {plain(table.title)}", markdown_table(table)]
        blocks += [plain(text) for text in (table.note,) if text]
        blocks += [f"- {plain(term)}: {plain(meaning)}" for term, meaning in table.terms]
    if report.checks:
        rows = tuple(
            (check.check, _symbol(check.passed), check.sentence) for check in report.checks
        )
        blocks += ["### Checks", markdown_table(Table("Checks", ("check", "", "outcome"), rows))]
    return "\n\n".join(blocks) + "\n"


def _symbol(passed: bool) -> str:
    return "✓" if passed else "✗"


def plain(text: str) -> str:
    """Escape a text, so that Markdown shows it as it is, on one line."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def score(value: float | None) -> str:
    """Format a score for a table's cell; a dash where there is none, or it is not finite."""
    return f"{value:.4g}" if value is not None and math.isfinite(value) else "–"


def markdown_table(table: Table) -> str:
    """Write a table as GitHub's Markdown, without its title and note."""
    columns = range(len(table.columns))
    lines = [
        [plain(column) for column in table.columns],
        ["---:" if table.is_numeric(column) else ":---" for column in columns],
    ]
    for number, row in enumerate(table.rows):
        cells = [plain(cell) for cell in row]
        lines.append([f"**{c}**" if table.is_best(number, i) else c for i, c in enumerate(cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
