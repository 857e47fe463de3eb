"""The results of `retain tune`: tables for the terminal, and a page with figures."""

import math
from collections.abc import Mapping
from typing import Any

from retain.config.kind import kind_of
from retain.config.schema import Cell
from retain.evaluation.plotting import mark
from retain.evaluation.report import Figure, Report, Table, to_html
from retain.tuning import figures
from retain.tuning.evidence import Evidence
from retain.tuning.figures import number
from retain.tuning.plan import Plan
from retain.tuning.study import Ended, Study

SHOWN = 5  # trials in a table
CLOSE = 1e-9


def page(plan: Plan, studies: Mapping[Cell, Study], found: Mapping[Cell, Evidence]) -> str:
    """Render the page: one HTML file that needs no network and has no script."""
    drawn = [
        Figure(
            "history",
            "Score by trial",
            "A point is a trial that was trained to its end; the line is the best so far. Trials "
            "that were ended early are marked on the axis.",
            figures.history(studies),
        )
    ]
    importance = {cell: study.importance() for cell, study in studies.items()}
    if any(importance.values()):
        drawn.append(
            Figure(
                "importance",
                "Which settings mattered",
                "The share of each key in what sets the better trials apart (PED-ANOVA, Watanabe "
                "et al. 2023); with few trials little more than a hint.",
                figures.importance(importance),
            )
        )
    for cell, study in studies.items():
        if len(study.scored) > 1:
            drawn.append(
                Figure(
                    f"parallel-{cell}",
                    f"Settings of the {mark(cell).label}'s trials",
                    "A line is a trial that was trained to its end; the darker, the better, and "
                    "the best one is thick.",
                    figures.parallel(cell, study),
                )
            )
    report = Report(
        title=f"{plan.name}: settings that were tried",
        lead=meaning(plan),
        tables=(
            summary(plan, studies),
            *([earlier(found)] if found else []),
            *(best(cell, one) for cell, one in studies.items()),
            Table("Search space", ("key", "tried", "as it was"), tuple(space_rows(plan))),
        ),
        figures=tuple(drawn),
        facts=tuple((f"study of the {mark(c).label}", s.path.stem) for c, s in studies.items()),
        headline=" ".join([sentence(plan, studies), *(verdict(*one) for one in found.items())]),
        judged=False,
    )
    return to_html(report)


def content(studies: Mapping[Cell, Study], found: Mapping[Cell, Evidence]) -> dict[str, Any]:
    """Return the results for programs: the trials of each cell, and which was the best.

    `earlier` compares the best trial with the settings as they are; null where nothing is known.
    """
    return {
        cell: {
            "before": study.before and study.before.number + 1,
            "best": study.best and study.best.number + 1,
            "earlier": found[cell].to_dict() if cell in found else None,
            "importance": study.importance(),
            "trials": [
                {
                    "trial": one.number + 1,
                    "score": one.value,
                    "scores": one.scores,
                    "epochs": one.epochs,
                    "outcome": one.outcome,
                    "cpu_seconds": one.seconds,
                    "settings": one.settings,
                }
                for one in study.ended
            ],
        }
        for cell, study in studies.items()
    }


def space_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """Return the search space: each key, what is tried, and its value as it is."""
    rows = []
    spaces = list(plan.spaces.values())
    for key in spaces[0].ranges:
        starts = {cell: [one[key] for one in space.starts] for cell, space in plan.spaces.items()}
        texts = {cell: ", ".join(map(number, dict.fromkeys(v))) for cell, v in starts.items()}
        same = len(set(texts.values())) == 1
        now = ", ".join(f"{cell} {text}" for cell, text in texts.items())
        ranges = " or ".join(dict.fromkeys(str(space.ranges[key]) for space in spaces))
        rows.append((key, ranges, next(iter(texts.values())) if same else now))
    return rows


def summary(plan: Plan, studies: Mapping[Cell, Study]) -> Table:
    """Return the table of cells: score before and after, trials, and CPU time."""
    rows = []
    for cell, study in studies.items():
        before, after = study.before, study.best
        ended = study.ended
        early = sum(one.value is None for one in ended)
        change = "–"
        if before and after and before.value and after.value is not None:
            change = f"{100 * (after.value / before.value - 1):+.1f} %"
        rows.append(
            (
                mark(cell).label,
                number(before.value if before else None),
                number(after.value if after else None),
                change,
                f"{len(ended)}",
                f"{early}",
                f"{sum(one.seconds for one in ended):,.0f} s",
            )
        )
    columns = ("cell", "as it was", "best", "change", "trials", "ended early", "CPU")
    return Table("Validation score", columns, tuple(rows), note=unequal(plan, studies))


def best(cell: Cell, study: Study) -> Table:
    """Return the table of a cell's best trials."""
    keys = tuple(study.space.ranges)
    rows = tuple(
        (
            f"{one.number + 1}",
            number(one.value),
            *(number(one.settings.get(key)) for key in keys),
        )
        for one in study.scored[:SHOWN]
    )
    columns = ("trial", "score", *(key.partition(".")[2] for key in keys))
    return Table(f"Best trials of the {mark(cell).label}", columns, rows)


def earlier(found: Mapping[Cell, Evidence]) -> Table:
    """Return the table of the best trials and the settings as they are on earlier parts."""
    rows = []
    for cell, one in found.items():
        interval, parts = one.difference, f"{one.parts}"
        if not one.parts:
            rows.append((mark(cell).label, parts, "–", "–", "–", "–", interval.judgement))
            continue
        change, low, high = (
            f"{100 * value / one.before:+.1f} %" if math.isfinite(value) else "–"
            for value in (interval.value, interval.low, interval.high)
        )
        after = number(one.before + interval.value)
        bounds = f"{low} to {high}" if "–" not in (low, high) else "–"
        row = (mark(cell).label, parts, number(one.before), after, change, bounds)
        rows.append((*row, interval.judgement))
    columns = ("cell", "parts", "as it was", "best", "change", "95 % interval", "the best is")
    note = "Both trained again on parts before the validation part, which chose no settings."
    return Table("On earlier parts", columns, tuple(rows), note=note)


def verdict(cell: Cell, found: Evidence) -> str:
    """Say whether the best trial of a cell may be better by chance."""
    label, parts = mark(cell).label, f"{found.parts} earlier part{'s' * (found.parts != 1)}"
    if found.better:
        return f"The {label}'s best trial is better on {parts} of the table, too."
    if not found.parts:
        return (
            f"Whether the {label}'s best trial is better, or by chance, is not known: the table "
            f"has too few rows before the validation part."
        )
    if found.difference.judgement == "worse":
        return f"The {label}'s best trial is worse on {parts} of the table."
    return (
        f"The {label}'s best trial may be better by chance: on {parts} of the table the difference "
        f"is not clear."
    )


def unequal(plan: Plan, studies: Mapping[Cell, Study]) -> str:
    """Say whether the comparison of cells is unequal, and why; empty if it is equal."""
    counts = {mark(cell).label: len(study.ended) for cell, study in studies.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{label} {count}" for label, count in counts.items())
        return f"Unequal: the cells have not as many trials ({text})."
    if not plan.whole:
        missing = [c for c in plan.problem.training.cells if c not in studies]
        labels = ", ".join(mark(cell).label for cell in missing)
        return f"Unequal: the {labels} had no trials, and keeps settings that were not tuned."
    return ""


def sentence(plan: Plan, studies: Mapping[Cell, Study]) -> str:
    """Say which cell is ahead after tuning, each with its own best settings."""
    values = {c: s.best.value for c, s in studies.items() if s.best and s.best.value is not None}
    if not values:
        return "No trial was trained to its end."
    ranked = sorted(values, key=lambda cell: values[cell])
    ahead = mark(ranked[0]).label
    if len(ranked) == 1:
        return f"The {ahead} reaches {number(values[ranked[0]])}."
    second = values[ranked[1]]
    share = 100 * (1 - values[ranked[0]] / second) if second > CLOSE else 0.0
    return (
        f"The {ahead} is ahead on the validation part: {number(values[ranked[0]])}, {share:.1f} % "
        f"below the {mark(ranked[1]).label} ({number(second)}), each with its own best settings."
    )


def line(ended: Ended, best_so_far: Ended | None, left: float) -> str:
    """Return the line of progress behind the count of trials."""
    if ended.value is None:
        text = ended.outcome
        text = f"{number(ended.scores[-1])}  {text}" if ended.scores else text
    else:
        text = f"{number(ended.value)}"
    if best_so_far is not None:
        text += f"  (best {number(best_so_far.value)}, trial {best_so_far.number + 1})"
    return text + (f"  about {duration(left)} left" if left > 0 else "")


def meaning(plan: Plan) -> str:
    """Say what the score is."""
    if kind_of(plan.problem).trial is None:
        score = "the loss of the validation part"
        chance = " Whether the best trial is better by chance is not known."
    else:
        rehearsals = getattr(plan.problem.training, "rehearsals", 0)
        part = "the parts of the rehearsals" if rehearsals else "the validation part"
        score, chance = f"twice the mean quantile loss on {part}, in deviations of each series", ""
    return f"The score is {score}, smaller is better. The test part was not read.{chance}"


def duration(seconds: float) -> str:
    """Return a duration in words, rounded up.

    >>> duration(40), duration(200), duration(8000)
    ('40 s', '4 min', '2.2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
