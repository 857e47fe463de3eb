"""The report as a reader meets it: verdict first, nothing to load, the same bytes each time."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from retain.evaluation.quality_gate import CheckResult
from retain.evaluation.report import (
    Figure,
    Outlook,
    Report,
    Section,
    Table,
    score,
    to_html,
    to_markdown,
)

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path id="{}-1" d="M 0 0"/></svg>'


def a_report() -> Report:
    errors = Table(
        "Errors",
        ("model", "MAE", "kind"),
        (("LSTM", "243.1", "network"), ("naive", "1,502.3", "rule")),
        note="Bold: the best.",
        best=(None, 0, None),
    )
    return Report(
        title="Hourly traffic",
        lead="The LSTM is 18 % better.",
        checks=(
            CheckResult("Better than naive", True, "MASE 0.62 against 1.15.", {}),
            CheckResult("Coverage", True, "79 % of the truth.", {}),
        ),
        tables=(errors,),
        figures=tuple(
            Figure(name, name, "How to read it.", SVG.format(name)) for name in ("one", "two")
        ),
        facts=(("Data", "md5 9f86d081884c7d659a2feaa0c55ad015"),),
    )


FAILED = replace(
    a_report(),
    checks=(CheckResult("Coverage", False, "40 %.", {}), CheckResult("MASE", True, "1.", {})),
)
HOSTILE = '<script src="http://evil">|`*x*`</script>'


class Page(HTMLParser):
    """The tags of a page in their order, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value for key, value in attrs if key == "id" and value]


def test_the_same_report_gives_the_same_bytes_in_any_process() -> None:
    program = (
        "import hashlib, runpy, sys\n"
        "room = runpy.run_path(sys.argv[1])\n"
        "both = room['to_html'](room['a_report']()) + room['to_markdown'](room['a_report']())\n"
        "print(hashlib.sha256(both.encode()).hexdigest())"
    )
    both = to_html(a_report()) + to_markdown(a_report())
    assert both == to_html(a_report()) + to_markdown(a_report())
    there = subprocess.run(
        [sys.executable, "-c", program, __file__],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.strip() == hashlib.sha256(both.encode()).hexdigest()


def test_the_page_loads_nothing() -> None:
    html = to_html(a_report())
    assert set(re.findall(r"https?://[^\"' <]+", html)) == {"http://www.w3.org/2000/svg"}
    assert not {"script", "link", "img", "iframe", "object"} & set(Page(html).tags)
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_the_page_fits_a_phone_the_dark_and_paper() -> None:
    html = to_html(a_report())
    for rule in (
        "width=device-width",
        "prefers-color-scheme: dark",
        "@media print",
        '<html lang="',
    ):
        assert rule in html


@pytest.mark.parametrize(
    ("report", "words", "symbol"),
    [
        (a_report(), "Passed the gate: all 2 checks hold", "✓"),
        (FAILED, "Did not pass the gate: 1 of 2 checks failed", "✗"),
        (replace(a_report(), checks=()), "Passed the gate", "✓"),
    ],
)
def test_the_verdict_is_said_in_words_and_by_a_symbol(
    report: Report, words: str, symbol: str
) -> None:
    assert f"{symbol}</span>{words}</h2>" in to_html(report)
    assert to_markdown(report).startswith(f"## {symbol} Hourly traffic\n\n**{words}.**")


def test_the_verdict_comes_first_and_headings_skip_no_level() -> None:
    html = to_html(a_report())
    parts = ["Passed the gate: all", "Comparison", "Figures", "Where it comes from"]
    body = html[html.index("<body") :]
    assert [body.index(part) for part in parts] == sorted(body.index(part) for part in parts)
    levels = [int(tag[1]) for tag in Page(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


OUTLOOK = Outlook(
    "Forecast of volume, the next 24 hours.",
    Section(
        "The next 24 hours",
        "`retain forecast NAME` writes <all> numbers.",
        (Figure("future", "History and forecast", "The bands.", SVG.format("future")),),
    ),
    Section("The data", "", facts=(("Drift", "none"),)),
)


def test_the_forecast_of_the_future_comes_before_the_verdict() -> None:
    report = replace(a_report(), headline="Off by 80 vehicles an hour.", outlook=OUTLOOK)
    html = to_html(report)
    parts = ("Forecast of volume", "Off by 80", "The next 24", "Passed the gate: all", "The data")
    body = html[html.index("<body") :]
    assert [body.index(part) for part in parts] == sorted(body.index(part) for part in parts)
    assert "<code>retain forecast NAME</code> writes &lt;all&gt; numbers." in html
    assert [figure.name for figure in report.all_figures] == ["future", "one", "two"]
    assert to_markdown(report).startswith(
        "## ✓ Hourly traffic\n\nForecast of volume, the next 24 hours.\n\n"
        "Off by 80 vehicles an hour.\n\n**Passed the gate: all 2 checks hold.**"
    )
    clash = replace(a_report().figures[0], name="future")
    with pytest.raises(ValueError, match="two figures of one name"):
        replace(report, figures=(clash,))


def test_the_terms_of_a_table_stand_below_it() -> None:
    table = replace(a_report().tables[0], terms=(("MAE", "mean absolute error"),))
    report = replace(a_report(), tables=(table,))
    assert "<dt>MAE</dt> <dd>mean absolute error</dd>" in to_html(report)
    assert "\n\n- MAE: mean absolute error\n\n" in to_markdown(report)


def test_ids_of_a_page_do_not_clash() -> None:
    ids = Page(to_html(a_report())).ids
    assert {"one-1", "two-1"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_names_from_the_data_are_shown_and_not_obeyed() -> None:
    report = Report(
        HOSTILE,
        HOSTILE,
        (CheckResult(HOSTILE, False, HOSTILE, {}),),
        (Table(HOSTILE, (HOSTILE, "x"), ((HOSTILE, HOSTILE),), HOSTILE),),
        (Figure("one", HOSTILE, HOSTILE, SVG.format("one")),),
        ((HOSTILE, HOSTILE),),
    )
    html = to_html(report)
    assert "<script" not in html
    assert "script" not in Page(html).tags
    assert "&lt;script" in html
    assert not re.search(r"(?<!\\)(<|`|\*x)", to_markdown(report))


def test_a_markdown_table_has_as_many_cells_in_every_line() -> None:
    table = [line for line in to_markdown(a_report()).split("\n") if line.startswith("|")][:4]
    assert table == [
        "| model | MAE | kind |",
        "| :--- | ---: | :--- |",
        "| LSTM | **243.1** | network |",
        "| naive | 1,502.3 | rule |",
    ]
    wide = Table("t", ("a|b", "c\nd"), (("x|y", "1"),))
    lines = to_markdown(replace(a_report(), tables=(wide,), checks=())).split("\n")
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3]


def test_the_best_of_a_column_is_marked() -> None:
    html = to_html(a_report())
    assert '<td class="number best">243.1</td>' in html
    assert html.count(' best"') == 1


def test_a_report_of_a_verdict_alone_has_no_empty_sections() -> None:
    html = to_html(Report("t", "l"))
    assert not {"table", "figure", "dl", "ul"} & set(Page(html).tags)
    assert "Comparison" not in html


@pytest.mark.parametrize(
    ("columns", "rows", "best", "message"),
    [
        (("a", "b"), (("1",),), (), "a row has not 2 cells"),
        (("a", "b"), (("1", "2"),), (0,), "best does not name a row for each column"),
    ],
)
def test_a_table_that_does_not_fit_its_columns_is_refused(
    columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], best: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Table("t", columns, rows, best=best)


def test_two_figures_of_one_name_are_refused() -> None:
    figure = a_report().figures[0]
    with pytest.raises(ValueError, match="two figures of one name: one, one"):
        replace(a_report(), figures=(figure, figure))


def test_a_score_that_there_is_not_is_a_dash() -> None:
    scores = (3.14159, 0, None, float("nan"), float("inf"))
    assert [score(value) for value in scores] == ["3.142", "0", "–", "–", "–"]
