"""What the report of a text problem says: the kind's part of `report.py`."""

from collections.abc import Mapping, Sequence

from retain.evaluation import plotting
from retain.evaluation.lstm_gates import heat_maps
from retain.evaluation.quality_gate import MODEL, CheckResult, difference_rows, judgement
from retain.evaluation.report import Check, Figure, Report, Table
from retain.kinds.text import figures
from retain.kinds.text.config import Problem
from retain.kinds.text.evaluate import PLACES, Evaluation, TextMetrics

NONE = "–"
NAMES = {"fivegram": "5-gram"}
PERCENT = "\N{NO-BREAK SPACE}%"


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """The report of a problem, as a person reads it."""
    unit, counts, tables = found.schema.unit, found.counts, found.tables
    unknown = found.metrics["units"]["unknown_in_test"]
    training = problem.training
    drawn = [
        Figure(
            "context",
            "What more context gives",
            f"Bits that a {unit} of the test part takes with so many before it read and "
            f"nothing before these, tried at {PLACES:,} places and set to the level of the whole "
            "part. Lower is better; where a line is flat, what stands further back helps no more.",
            figures.by_context(tables["context"], unit),
        ),
        Figure(
            "gates",
            "What the cell does",
            f"{found.shown.note} The beginning of the test part stands below; gates are between "
            "0, closed, and 1, open. Of the units those that change most at the marked step come "
            "first; the half-life is after how many steps half of what a unit holds is forgotten.",
            heat_maps(found.shown),
        ),
        Figure(
            "training_curves",
            "Training",
            f"Loss by epoch, in nats a {unit} (1 nat is 1.44 bits).",
            plotting.training_curves(tables["training"]),
        ),
    ]
    return Report(
        title=name,
        lead=_lead(found.metrics, unit),
        passed=all(check.passed for check in checks),
        checks=tuple(Check(check.check, check.passed, check.sentence) for check in checks),
        tables=(
            scores_table(found.metrics, unit),
            differences_table(found.metrics, unit, problem.evaluation.block),
            context_table(found),
            written_table(problem, found),
        ),
        figures=tuple(drawn),
        facts=(
            ("Text", problem.data.path),
            (f"{unit.capitalize()}s", ", ".join(f"{n:,} {part}" for part, n in counts.items())),
            ("Different ones", f"{len(found.schema.vocabulary) - 1:,} in the training part"),
            ("Not among them", f"{unknown:,} of the test part"),
            (
                "Truncated backpropagation",
                f"stretches of {training.chunks} chunks of {training.chunk} {unit}s; the state is "
                "carried over a stretch, the gradient ends with a chunk",
            ),
        ),
    )


def label(model: str) -> str:
    """A model's name for a person."""
    return NAMES.get(model, plotting.mark(model).label)


def _lead(metrics: TextMetrics, unit: str) -> str:
    """How well each model foretells, and how the LSTM stands to the RNN and to counts."""
    models = metrics["models"]
    parts = [f"{label(name)} {scores['bits']:.3f}" for name, scores in models.items()]
    lead = f"Bits a {unit} on the test part: {', '.join(parts)}."
    counts = [name for name, scores in models.items() if "parameters" not in scores]
    best = min(counts, key=lambda name: models[name]["bits"])
    against = {"rnn": "the RNN of equal size", best: f"the best counts ({label(best)})"}
    found = []
    for name, words in against.items():
        if change := metrics["differences"].get(f"{MODEL}_minus_{name}", {}).get("bits"):
            verdict = judgement(change["low"], change["high"])
            verdict = verdict if verdict.startswith("no") else f"the LSTM is {verdict}"
            found.append(f"against {words}: {verdict} ({change['value']:+.3f} bits)")
    said = "; ".join(found)
    return f"{lead} {said[:1].upper()}{said[1:]}."


def scores_table(metrics: TextMetrics, unit: str) -> Table:
    """Every model on the whole test part."""
    models = metrics["models"]
    rows = []
    for name, scores in models.items():
        network = "parameters" in scores
        rows.append(
            (
                label(name),
                f"{scores['bits']:.4f}",
                f"{scores['perplexity']:.4g}",
                f"{100 * scores['accuracy']:.1f}{PERCENT}" if network else NONE,
                f"{100 * scores['accuracy_top_3']:.1f}{PERCENT}" if network else NONE,
                f"{scores['parameters']:,}" if network else NONE,
                f"{scores['hidden_size']:,}" if network else NONE,
            )
        )
    finite = [scores["bits"] for scores in models.values()]
    best = finite.index(min(finite))
    return Table(
        f"The next {unit}",
        ("model", f"bits a {unit}", "perplexity", "first", "in three", "parameters", "hidden"),
        tuple(rows),
        note="On the whole test part, the state carried from its beginning to its end. First and "
        f"in three: how often the {unit} that came was the likeliest, or one of three. The n-grams "
        "are counts of the training part, mixed as Witten & Bell (1991) do. Parameters include "
        f"the embedding ({_embedding(models)}).",
        best=(None, best, best, None, None, None, None),
    )


def _embedding(models: Mapping[str, Mapping[str, float]]) -> str:
    return f"{models[MODEL]['parameters_of_embedding']:,} of each cell"


def differences_table(metrics: TextMetrics, unit: str, block: int) -> Table:
    """The LSTM against each other model, with confidence intervals."""
    rows = [(models, *rest) for models, _, *rest in difference_rows(metrics, label, ".4f")]
    return Table(
        f"Differences in bits a {unit}",
        ("difference", "value", "95\N{NO-BREAK SPACE}% interval", "the LSTM is"),
        tuple(rows),
        note=f"Intervals by a moving-block bootstrap of {block:,} {unit}s; they tell what another "
        "text of this sort would change, not what another seed of the training would.",
    )


def context_table(result: Evaluation) -> Table:
    """Bits by context, a row a context."""
    wide = result.plots()["context"]
    cells = plotting.models_of(result.tables["context"])
    rows = tuple(
        (f"{int(row['context']):,}", *(f"{row[cell]:.3f}" for cell in cells))
        for _, row in wide.iterrows()
    )
    unit = result.schema.unit
    return Table(
        f"Bits by {unit}s read before", (f"{unit}s", *(label(cell) for cell in cells)), rows
    )


def written_table(problem: Problem, result: Evaluation) -> Table:
    """What each cell writes behind the beginning of the test part."""
    settings = problem.evaluation
    rows = [("the text", f"{result.prompt}…")]
    rows += [(label(cell), f"…{text}") for cell, text in result.written.items()]
    return Table(
        "How they go on",
        ("model", "text"),
        tuple(rows),
        note=f"Drawn at temperature {settings.temperature:g} with seed {settings.seed}, the same "
        "draws for all.",
    )
