"""The report of a text problem: figures, tables and sentences."""

from collections.abc import Sequence

import matplotlib.figure
import numpy as np
import pandas as pd

from retain.evaluation import curves, plotting
from retain.evaluation.plotting import WIDTH, drawn
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.report import Figure, Report, Table
from retain.evaluation.results import Interval
from retain.kinds.text.config import Problem
from retain.kinds.text.dataset import PARTS
from retain.kinds.text.evaluate import PLACES, Evaluation, TextMetrics
from retain.kinds.tokens import differences_table, gates_figure, percent

NONE = "–"
NAMES = {"fivegram": "5-gram"}


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    unit, counts, training = found.schema.unit, found.metrics["units"], problem.training
    figures = (
        Figure(
            "context",
            "What more context gives",
            f"Bits that a {unit} of the test part takes with so many before it read and "
            f"nothing before these, tried at {PLACES:,} places and set to the level of the whole "
            "part. Lower is better; where a line is flat, what stands further back helps no more.",
            by_context(found.tables["context"], unit),
        ),
        gates_figure(found.gates, "The beginning of the test part"),
        curves.training_figure(
            f"Loss by epoch, in nats a {unit} (1 nat is 1.44 bits).",
            found.tables["training"],
        ),
    )
    return Report(
        title=name,
        lead=_lead(found.metrics, unit),
        checks=checks,
        tables=(
            scores_table(found.metrics, unit),
            differences_table(
                found.metrics,
                label,
                f"Differences in bits a {unit}",
                "{methods} They tell what another text of this sort would change, not what another "
                "seed of the training would.",
                digits=".4f",
            ),
            context_table(found),
            written_table(problem, found),
        ),
        figures=figures,
        facts=(
            ("Text", problem.data.path),
            (f"{unit.capitalize()}s", ", ".join(f"{counts[part]:,} {part}" for part in PARTS)),
            ("Different ones", f"{counts['vocabulary'] - 1:,} in the training part"),
            ("Not among them", f"{counts['unknown_in_test']:,} of the test part"),
            (
                "Truncated backpropagation",
                f"stretches of {training.chunks} chunks of {training.chunk} {unit}s; the state is "
                "carried over a stretch, the gradient ends with a chunk",
            ),
        ),
    )


@drawn("context", "Bits a unit by the number of units read before it, a line for each cell")
def by_context(table: pd.DataFrame, unit: str) -> matplotlib.figure.Figure:
    """Draw the columns model, context, bits."""
    figure = matplotlib.figure.Figure(figsize=(WIDTH, 4.0))
    axes = figure.subplots()
    keys = plotting.lines(axes, table, "context", "bits")
    contexts = np.unique(table["context"].to_numpy())
    axes.set_xscale("log", base=2)
    axes.set_xticks(contexts, [f"{context:,}" for context in contexts])
    axes.set_xticks([], minor=True)
    plotting.plain(axes)
    axes.set_xlabel(f"{unit}s read before")
    axes.set_title(f"bits a {unit}")
    plotting.legend(figure, keys)
    return figure


def label(model: str) -> str:
    """Return a model's display name."""
    return NAMES.get(model, plotting.mark(model).label)


def _lead(metrics: TextMetrics, unit: str) -> str:
    """Describe the scores, and the judged model compared with the RNN and n-grams."""
    models, model = metrics["models"], metrics.get("model", MODEL)
    parts = [f"{label(name)} {scores['bits']:.3f}" for name, scores in models.items()]
    ngrams = [name for name, scores in models.items() if "parameters" not in scores]
    best = min(ngrams, key=lambda name: models[name]["bits"])
    comparisons = []
    for name, words in {
        "rnn": "the RNN of equal size",
        best: f"the best counts ({label(best)})",
    }.items():
        if change := metrics["differences"].get(f"{model}_minus_{name}", {}).get("bits"):
            verdict = Interval.from_dict(change).judgement
            verdict = (
                f"the {label(model)} is {verdict}" if verdict in ("better", "worse") else verdict
            )
            comparisons.append(f"against {words}: {verdict} ({change['value']:+.3f} bits)")
    sentence = "; ".join(comparisons)
    return (
        f"Bits a {unit} on the test part: {', '.join(parts)}. {sentence[:1].upper()}{sentence[1:]}."
    )


def scores_table(metrics: TextMetrics, unit: str) -> Table:
    """Return the scores of every model on the whole test part."""
    models, rows = metrics["models"], []
    for name, scores in models.items():
        of_network = (NONE,) * 4
        if "parameters" in scores:
            of_network = (
                percent(scores["accuracy"]),
                percent(scores["accuracy_top_3"]),
                f"{scores['parameters']:,}",
                f"{scores['hidden_size']:,}",
            )
        perplexity = f"{scores['perplexity']:.4g}"
        rows.append((label(name), f"{scores['bits']:.4f}", perplexity, *of_network))
    bits = [scores["bits"] for scores in models.values()]
    best = bits.index(min(bits))
    return Table(
        f"The next {unit}",
        ("model", f"bits a {unit}", "perplexity", "first", "in three", "parameters", "hidden"),
        tuple(rows),
        note="On the whole test part, the state carried from its beginning to its end. First and "
        f"in three: how often the {unit} that came was the likeliest, or one of three. The n-grams "
        "are counts of the training part, mixed as Witten & Bell (1991) do. Parameters include "
        f"the embedding ({models[MODEL]['parameters_of_embedding']:,} of each cell).",
        best=(None, best, best, None, None, None, None),
    )


def context_table(found: Evaluation) -> Table:
    """Return the bits by context, a row for each context."""
    wide = found.tables["context"].pivot(index="context", columns="model", values="bits")
    cells = plotting.models_of(found.tables["context"])
    rows = tuple(
        (f"{context:,}", *(f"{row[cell]:.3f}" for cell in cells))
        for context, row in wide.iterrows()
    )
    unit = found.schema.unit
    return Table(f"Bits by {unit}s read before", (f"{unit}s", *map(label, cells)), rows)


def written_table(problem: Problem, found: Evaluation) -> Table:
    """Return the continuations of the beginning of the test part by each cell."""
    settings = problem.evaluation
    rows = [("the text", f"{found.prompt}…")]
    rows += [(label(cell), f"…{text}") for cell, text in found.written.items()]
    return Table(
        "How they go on",
        ("model", "text"),
        tuple(rows),
        note=f"Drawn at temperature {settings.temperature:g} with seed {settings.seed}, the same "
        "draws for all.",
    )
