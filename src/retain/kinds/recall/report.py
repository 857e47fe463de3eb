"""What the report of a recall problem says: the kind's part of `report.py`."""

import math
from collections.abc import Sequence

from retain.evaluation import plotting
from retain.evaluation.lstm_gates import heat_maps
from retain.evaluation.quality_gate import MODEL, CheckResult, difference_rows
from retain.evaluation.report import Check, Figure, Report, Table
from retain.kinds.recall import figures
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Schema
from retain.kinds.recall.evaluate import Evaluation, RecallMetrics
from retain.kinds.recall.network import chance

OBJECTIVES = {"answer": "the answer", "words": "each next word, and the answer at the end"}
PERCENT = "\N{NO-BREAK SPACE}%"


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """The report of a problem, as a person reads it."""
    threshold, schema, counts = problem.evaluation.threshold, found.schema, found.counts
    tables = found.tables
    drawn = [
        Figure(
            "accuracy_by_gap",
            "Right answers by gap",
            "The lines are means over the seeds, the marks are single networks. Trained on gaps of "
            f"{_trained_on(problem)}.",
            figures.accuracy_by_gap(tables["accuracy_by_gap"], threshold, chance(schema)),
        ),
        Figure(
            "look_back",
            "What the answer hangs on",
            "Norm of the gradient of the right answer's score with respect to each input step, at "
            f"the longest gap, {schema.gaps[-1]:,}; the median over the seeds. Where a line has "
            "fallen, a small change of that input changes the answer no more.",
            plotting.look_back(tables["look_back"], "answer", decades=16),
        ),
        Figure(
            "gates",
            "What the cell does",
            f"{found.shown.note} The test sequence stands below; gates are between 0, closed, and "
            "1, open. Of the units those that change most at the marked step come first; the "
            "half-life is after how many steps half of what a unit holds is forgotten.",
            heat_maps(found.shown),
        ),
        Figure(
            "training_curves",
            "Training",
            "Loss by epoch, the mean of the networks of all seeds and learning rates.",
            plotting.training_curves(tables["training"]),
        ),
    ]
    return Report(
        title=name,
        lead=_lead(found.metrics, threshold, schema.gaps),
        passed=all(check.passed for check in checks),
        checks=tuple(Check(check.check, check.passed, check.sentence) for check in checks),
        tables=(
            accuracy_table(found.metrics, schema.gaps),
            *((groups_table(found.metrics, schema),) if schema.groups else ()),
            horizon_table(found.metrics, threshold),
            tried_table(found),
            differences_table(found.metrics),
        ),
        figures=tuple(drawn),
        facts=(
            ("Source", f"{problem.data.source}, {problem.data.path}"),
            ("Sequences", ", ".join(f"{count:,} {part}" for part, count in counts.items())),
            ("Trained on gaps", _trained_on(problem)),
            ("By chance", _by_chance(schema)),
            ("Right is", "the answer" if schema.answers else "within 0.04 of the answer"),
            ("Learns to say", OBJECTIVES[problem.training.objective]),
            ("Chrono initialisation", f"{problem.model.chrono or 'none'}"),
        ),
    )


def _trained_on(problem: Problem) -> str:
    if problem.data.source == "babi":
        return "any length that the stories have"
    return ", ".join(f"{gap:,}" for gap in problem.data.train_gaps) + " steps"


def _lead(metrics: RecallMetrics, threshold: float, gaps: tuple[int, ...]) -> str:
    """How far each cell remembers, in a sentence."""
    parts = []
    for cell, scores in metrics["models"].items():
        horizon, seeds = scores["memory_horizon"], metrics["seeds"][cell]
        reached = sum(own["memory_horizon"] == gaps[-1] for own in seeds.values())
        far = f"{horizon:,} steps" if horizon else "no tested gap"
        label = plotting.mark(cell).label
        parts.append(f"{label} {far} ({reached} of {len(seeds)} seeds reach {gaps[-1]:,})")
    return (
        f"Longest tested gap at which the weakest seed gives at least {_share(threshold)} right "
        f"answers: {'; '.join(parts)}."
    )


def accuracy_table(metrics: RecallMetrics, gaps: tuple[int, ...]) -> Table:
    """Right answers of every cell at every gap: mean, and the range over the seeds."""
    rows = []
    for cell, scores in metrics["models"].items():
        own = metrics["seeds"][cell].values()
        cells = []
        for gap in gaps:
            shares = [seed["accuracy"][str(gap)] for seed in own]
            low, high = 100 * min(shares), 100 * max(shares)
            spread = f" ({low:.0f}–{high:.0f})" if round(low) != round(high) else ""
            cells.append(f"{100 * scores[f'accuracy_at_{gap}']:.1f}{PERCENT}{spread}")
        label = plotting.mark(cell).label
        rows.append((label, *cells, f"{scores['parameters']:,}", f"{scores['learning_rate']:g}"))
    return Table(
        "Right answers by gap",
        ("cell", *(f"{gap:,}" for gap in gaps), "parameters", "rate"),
        tuple(rows),
        note="Means over the seeds, in brackets the lowest and the highest where they differ.",
    )


def groups_table(metrics: RecallMetrics, schema: Schema) -> Table:
    """Right answers of every cell in every group at every gap, the mean of the seeds."""
    rows = tuple(
        (
            f"{plotting.mark(cell).label}, {group}",
            *(_figure(by_gap[str(gap)]) for gap in schema.gaps),
        )
        for cell, own in metrics["groups"].items()
        for group, by_gap in own.items()
    )
    return Table(
        "Right answers by what is asked",
        ("cell and question", *(f"{gap:,}" for gap in schema.gaps)),
        rows,
        note="Means over the seeds."
        + (
            " Changed: another subject or city stands before the one that decides."
            if schema.source == "agreement"
            else ""
        ),
    )


def horizon_table(metrics: RecallMetrics, threshold: float) -> Table:
    """The memory horizon of every seed, and how many reach the longest gap."""
    models = metrics["models"]
    seeds = list(metrics["seeds"][MODEL])
    rows = tuple(
        (
            plotting.mark(cell).label,
            *(f"{metrics['seeds'][cell][seed]['memory_horizon']:,}" for seed in seeds),
            f"{100 * scores['success_rate']:.0f}{PERCENT}",
        )
        for cell, scores in models.items()
    )
    return Table(
        "Memory horizon",
        ("cell", *(f"seed {seed}" for seed in seeds), "reach the longest"),
        rows,
        note=f"The longest tested gap with at least {_share(threshold)} right answers, for each "
        "seed; 0 where there is none.",
    )


def tried_table(result: Evaluation) -> Table:
    """Every learning rate that was tried, on the validation part."""
    rows = []
    for (cell, rate), own in result.tried.groupby(["model", "learning_rate"], sort=False):
        shares = ", ".join(f"{100 * share:.0f}" for share in own["accuracy"])
        kept = "kept" if own["kept"].iloc[0] else ""
        rows.append(
            (
                f"{plotting.mark(str(cell)).label}, {rate:g}",
                shares,
                f"{own['loss'].mean():.3g}",
                kept,
            )
        )
    return Table(
        "Learning rates tried",
        ("cell and rate", "right, % of each seed", "loss", ""),
        tuple(rows),
        note="On the validation part, whose gaps are those of training; the rate with the lowest "
        "mean loss is kept for all seeds of a cell.",
    )


def differences_table(metrics: RecallMetrics) -> Table:
    """The LSTM against each other cell, with confidence intervals."""
    rows = [
        (models, *rest)
        for models, _, *rest in difference_rows(metrics, lambda cell: plotting.mark(cell).label)
    ]
    return Table(
        "Differences in error",
        ("difference", "value", "95\N{NO-BREAK SPACE}% interval", "the LSTM is"),
        tuple(rows),
        note="Error is the share of wrong answers, the mean over the gaps. Intervals by a "
        "bootstrap over seeds and test sequences; of so few seeds they are too narrow.",
    )


def _by_chance(schema: Schema) -> str:
    """What guessing gives, where all answers are as frequent."""
    return f"{100 * chance(schema):.3g}{PERCENT}" if schema.answers else "next to nothing"


def _figure(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}{PERCENT}"


def _share(share: float) -> str:
    return f"{100 * share:.0f}{PERCENT}"
