"""The report of a recall problem: figures, tables and sentences."""

import math
from collections.abc import Iterable, Sequence

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from retain.evaluation import curves, plotting
from retain.evaluation.plotting import MUTED, WIDTH, drawn
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.report import Figure, Report, Table
from retain.kinds.recall import agreement
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Schema
from retain.kinds.recall.evaluate import Evaluation, RecallMetrics
from retain.kinds.tokens import differences_table, gates_figure, percent

OBJECTIVES = {"answer": "the answer", "words": "each next word, and the answer at the end"}


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    threshold, schema, metrics = problem.evaluation.threshold, found.schema, found.metrics
    figures = (
        Figure(
            "accuracy_by_gap",
            "Right answers by gap",
            "The lines are means over the seeds, the marks are single networks. Trained on gaps of "
            f"{_trained_on(problem)}.",
            accuracy_by_gap(found.tables["accuracy_by_gap"], threshold, chance(schema)),
        ),
        Figure(
            "look_back",
            "What the answer depends on",
            "Norm of the gradient of the right answer's score with respect to each input step, at "
            f"the longest gap, {schema.gaps[-1]:,}; the median over the seeds. Where a line has "
            "fallen, a small change of that input changes the answer no more.",
            curves.look_back(found.tables["look_back"], "answer", decades=16),
        ),
        gates_figure(found.gates, "The test sequence"),
        curves.training_figure(
            "Loss by epoch, the mean of the networks of all seeds and learning rates.",
            found.tables["training"],
        ),
    )
    return Report(
        title=name,
        lead=_lead(metrics, threshold, schema.gaps),
        checks=checks,
        tables=(
            accuracy_table(metrics, schema.gaps),
            *((groups_table(metrics, schema),) if schema.groups else ()),
            horizon_table(metrics, threshold),
            tried_table(found.tried),
            differences_table(
                metrics,
                _label,
                "Differences in error",
                "Error is the share of wrong answers, the mean over the gaps. {methods} Of so few "
                "seeds they are too narrow.",
                judged="the LSTM is",
            ),
        ),
        figures=figures,
        facts=(
            ("Source", f"{problem.data.source}, {problem.data.path}"),
            ("Sequences", ", ".join(f"{n:,} {part}" for part, n in metrics["sequences"].items())),
            ("Trained on gaps", _trained_on(problem)),
            ("By chance", percent(chance(schema), ".3g") if schema.answers else "next to nothing"),
            ("Right is", "the answer" if schema.answers else "within 0.04 of the answer"),
            ("Learns to say", OBJECTIVES[problem.training.objective]),
            ("Chrono initialisation", f"{problem.model.chrono or 'none'}"),
        ),
    )


@drawn("accuracy_by_gap", "Share of right answers by the length of the gap, a line for each cell")
def accuracy_by_gap(
    table: pd.DataFrame, threshold: float, chance: float
) -> matplotlib.figure.Figure:
    """Draw a line through the mean of each model's seeds, and a small mark for each seed.

    Args:
        table: columns model, gap, seed, accuracy.
        threshold: accuracy of the memory horizon; it is drawn, and also `chance` unless it is NaN.
        chance: the accuracy of a guess.
    """
    figure = matplotlib.figure.Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    for level in (threshold, chance):
        if math.isfinite(level):
            axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    models = plotting.models_of(table)
    for place, model in enumerate(models):
        rows = table[table["model"] == model]
        means = rows.groupby("gap")["accuracy"].mean()
        plotting.line(axes, model, means.index.to_numpy(), means.to_numpy(), markers=False)
        axes.plot(
            rows["gap"] * 1.05 ** (place - (len(models) - 1) / 2),  # marks of cells side by side
            rows["accuracy"],
            markersize=6,
            zorder=5,
            clip_on=False,
            **plotting.style_of(model, line=False),
        )
    gaps = np.unique(table["gap"].to_numpy())
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.set_xticks(gaps, [f"{gap:,}" for gap in gaps])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(plotting.percent))
    axes.set_xlabel("steps between what must be remembered and the question")
    axes.set_title("right answers")
    dotted = Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    by_chance = f", {percent(chance, '.3g')} by chance" if math.isfinite(chance) else ""
    dotted.set_label(f"{plotting.percent(threshold)}{by_chance}")
    plotting.legend(figure, [*map(plotting.key, models), dotted])
    return figure


def chance(schema: Schema) -> float:
    """Return the share of right answers by guessing, if all answers are equally frequent."""
    if schema.source == "agreement":
        return agreement.CHANCE
    return 1 / len(schema.answers) if schema.answers else math.nan


def _trained_on(problem: Problem) -> str:
    if problem.data.source == "babi":
        return "any length that the stories have"
    return ", ".join(f"{gap:,}" for gap in problem.data.train_gaps) + " steps"


def _lead(metrics: RecallMetrics, threshold: float, gaps: tuple[int, ...]) -> str:
    """Describe the memory horizon of each cell in a sentence."""
    parts = []
    for cell, scores in metrics["models"].items():
        horizon, seeds = scores["memory_horizon"], metrics["seeds"][cell].values()
        reached = sum(seed["memory_horizon"] == gaps[-1] for seed in seeds)
        far = f"{horizon:,} steps" if horizon else "no tested gap"
        parts.append(f"{_label(cell)} {far} ({reached} of {len(seeds)} seeds reach {gaps[-1]:,})")
    return (
        f"Longest tested gap at which the weakest seed gives at least {percent(threshold, '.0f')} "
        f"right answers: {'; '.join(parts)}."
    )


def accuracy_table(metrics: RecallMetrics, gaps: tuple[int, ...]) -> Table:
    """Return the right answers of every cell at every gap: mean, and the range over the seeds."""
    rows = []
    for cell, scores in metrics["models"].items():
        cells = []
        for gap in gaps:
            shares = [seed["accuracy"][str(gap)] for seed in metrics["seeds"][cell].values()]
            low, high = 100 * min(shares), 100 * max(shares)
            spread = f" ({low:.0f}–{high:.0f})" if round(low) != round(high) else ""
            cells.append(percent(scores[f"accuracy_at_{gap}"]) + spread)
        size, rate = scores["parameters"], scores["learning_rate"]
        rows.append((_label(cell), *cells, f"{size:,}", f"{rate:g}"))
    return Table(
        "Right answers by gap",
        ("cell", *_thousands(gaps), "parameters", "rate"),
        tuple(rows),
        note="Means over the seeds, in brackets the lowest and the highest where they differ.",
    )


def groups_table(metrics: RecallMetrics, schema: Schema) -> Table:
    """Return the right answers of every cell in every group at every gap, means over the seeds."""
    note = "Means over the seeds."
    if schema.source == "agreement":
        note += " Changed: another subject or city comes before the deciding one."
    rows = tuple(
        (f"{_label(cell)}, {group}", *(percent(by_gap[str(gap)]) for gap in schema.gaps))
        for cell, groups in metrics["groups"].items()
        for group, by_gap in groups.items()
    )
    columns = ("cell and question", *_thousands(schema.gaps))
    return Table("Right answers by what is asked", columns, rows, note=note)


def horizon_table(metrics: RecallMetrics, threshold: float) -> Table:
    """Return the memory horizon of every seed, and the number of seeds with the longest gap."""
    rows = tuple(
        (
            _label(cell),
            *_thousands(seed["memory_horizon"] for seed in metrics["seeds"][cell].values()),
            percent(scores["success_rate"], ".0f"),
        )
        for cell, scores in metrics["models"].items()
    )
    return Table(
        "Memory horizon",
        ("cell", *(f"seed {seed}" for seed in metrics["seeds"][MODEL]), "reach the longest"),
        rows,
        note=f"The longest tested gap with at least {percent(threshold, '.0f')} right answers, for "
        "each seed; 0 where there is none.",
    )


def tried_table(tried: pd.DataFrame) -> Table:
    """Return the scores of every learning rate that was tried, on the validation part."""
    rows = []
    for (cell, rate), group in tried.groupby(["model", "learning_rate"], sort=False):
        shares = ", ".join(f"{100 * share:.0f}" for share in group["accuracy"])
        kept = "kept" if group["kept"].iloc[0] else ""
        rows.append((f"{_label(str(cell))}, {rate:g}", shares, f"{group['loss'].mean():.3g}", kept))
    return Table(
        "Learning rates tried",
        ("cell and rate", "right, % of each seed", "loss", ""),
        tuple(rows),
        note="On the validation part, whose gaps are those of training; the rate with the lowest "
        "mean loss is kept for all seeds of a cell.",
    )


def _label(cell: str) -> str:
    return plotting.mark(cell).label


def _thousands(numbers: Iterable[int]) -> list[str]:
    return [f"{number:,}" for number in numbers]
