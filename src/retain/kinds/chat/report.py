"""The report of a chat problem: figures, tables and sentences."""

from collections.abc import Sequence

import matplotlib.figure
import pandas as pd
from matplotlib.ticker import FuncFormatter

from retain.evaluation import curves, plotting
from retain.evaluation.plotting import INK, MARKS, MUTED, WIDTH, drawn
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.report import Figure, Report, Table
from retain.evaluation.results import Interval
from retain.kinds.chat import memory
from retain.kinds.chat.config import Problem
from retain.kinds.chat.evaluate import ChatMetrics, Evaluation
from retain.kinds.chat.metrics import BINS
from retain.kinds.tokens import differences_table, gates_figure, percent

NONE = "–"
NAMES = {
    "not_told": "always “you have not told me”",
    "most_frequent": "the most frequent answer",
    "last_named": "the last one named",
}
RULE = "last_named"  # that of the figure
CONDITIONS = {"changed": "changed", "not_told": "not told"}
LINES = {memory.TOLD: (MARKS["lstm"].colour, "-"), memory.REPLACED: (INK, (0, (5, 1.5))),
         memory.OTHERS: (MUTED, (0, (1, 1.2)))}  # fmt: skip


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    counts = found.metrics["questions"]
    kept = found.tables["kept"]
    figures = (
        Figure(
            "by_turns",
            "Right answers by turns since the fact was said",
            "Each network talks through whole test conversations and reads its own replies. A mark "
            "stands at the end of a range: 1 to 2, 3 to 4, 5 to 8 turns and so on. The dotted line "
            "is a rule: it answers with the last name, town, colour or food that anybody named.",
            by_turns(found.tables["by_turns"]),
        ),
        *((_kept_figure(kept),) if len(kept) else ()),
        gates_figure(found.gates, "The beginning of a test conversation"),
        curves.training_figure(
            "Loss by epoch, in nats a word of the replies; a fact's word counts "
            f"{problem.training.fact_weight:g} times.",
            found.tables["training"],
        ),
    )
    return Report(
        title=name,
        lead=_lead(found.metrics),
        checks=checks,
        tables=(
            turns_table(found.metrics),
            facts_table(found.metrics),
            differences_table(
                found.metrics,
                label,
                "Differences in error",
                "Error is the share of wrong answers to questions. {methods} They tell what other "
                "conversations would change, not what another seed of the training would.",
            ),
            talk_table(found),
        ),
        figures=figures,
        facts=(
            ("Source", f"{problem.data.source}, {problem.data.path}"),
            ("Test", f"{counts['conversations']:,} conversations of {counts['turns']:,} turns"),
            ("Questions", f"{sum(counts[group] for group in _ranges(found.metrics)):,} for facts "
             f"that were told, {counts.get('not_told', 0):,} for others"),
            ("Words", f"{len(found.schema.vocabulary) - 3:,}"),
            ("Right is", "a reply of which every word is right"),
            ("Chrono initialisation", f"{problem.model.chrono or 'none'}"),
        ),
    )  # fmt: skip


@drawn("by_turns", "Share of right answers by turns since the fact was said, a line for each model")
def by_turns(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """Draw the columns model, turns, accuracy."""
    figure = matplotlib.figure.Figure(figsize=(WIDTH, 4.2))
    axes = figure.subplots()
    keys = plotting.lines(axes, table[table["model"].isin(MARKS)], "turns", "accuracy")
    rule = table[table["model"] == RULE]
    keys += axes.plot(
        rule["turns"],
        rule["accuracy"],
        color=MUTED,
        linewidth=1.2,
        linestyle=(0, (1, 1.2)),
        label=NAMES[RULE],
    )
    turns = sorted(set(table["turns"]))
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1)
    axes.set_xticks(turns, [f"{turn:,}" for turn in turns])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(plotting.percent))
    axes.set_xlabel("turns since the fact was said, at most")
    axes.set_title("right answers")
    plotting.legend(figure, keys)
    return figure


def _kept_figure(table: pd.DataFrame) -> Figure:
    return Figure(
        "kept",
        "What the gates keep of a word",
        "How much of what a name, town, colour or food wrote into the cell is left some turns "
        "later: the sum over the units of |input gate · modulation|, times the forget gates since. "
        f"Units with a half-life of {memory.SLOW} words and more; means over test conversations, "
        "each word followed until the fact is said again. The input gate decides whose word is "
        "written, the forget gate what is dropped once it is replaced.",
        kept_by_turns(table),
    )


@drawn(
    "kept", "Amount left in the cell of words by turns since they were said, a line for each use"
)
def kept_by_turns(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """Draw the columns what, turns, left."""
    figure = matplotlib.figure.Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    keys = []
    for what, (colour, dash) in LINES.items():
        rows = table[table["what"] == what]
        keys += axes.plot(
            rows["turns"] + 1, rows["left"], color=colour, linestyle=dash, marker="o", label=what
        )
    turns = sorted(set(table["turns"]))
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, None)
    axes.set_xticks([turn + 1 for turn in turns], [f"{turn}" for turn in turns])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("turns since the word was said")
    axes.set_title("left in the cell")
    plotting.legend(figure, keys)
    return figure


def label(model: str) -> str:
    """Return a model's display name."""
    return NAMES.get(model, plotting.mark(model).label)


def _ranges(metrics: ChatMetrics) -> list[str]:
    """Return the ranges of turns that questions are of, as keys of `questions`."""
    names = (f"{first}_{last}" for first, last in BINS)
    return [name for name in names if name in metrics["questions"]]


def _lead(metrics: ChatMetrics) -> str:
    """Describe the scores, and the judged model compared with the RNN and the best floor."""
    models, model = metrics["models"], metrics.get("model", MODEL)
    scores = ", ".join(
        f"{label(cell)} {percent(models[cell]['accuracy'])}" for cell in metrics["facts"]
    )
    best = min(NAMES, key=lambda name: models[name]["error"])
    comparisons = []
    for name, words in {
        "rnn": "the RNN of equal size",
        best: f"the best rule ({label(best)})",
    }.items():
        if change := metrics["differences"].get(f"{model}_minus_{name}", {}).get("error"):
            interval = Interval.from_dict(change)
            comparisons.append(
                f"against {words} the {label(model)} is {interval.judgement} "
                f"({100 * change['value']:+.1f} points of error)"
            )
    sentence = "; ".join(comparisons)
    return f"Right answers to questions: {scores}. {sentence[:1].upper()}{sentence[1:]}."


def turns_table(metrics: ChatMetrics) -> Table:
    """Return the right answers of every model by turns, after a change, and where not told."""
    ranges = _ranges(metrics)
    others = [group for group in CONDITIONS if group in metrics["questions"]]
    rows = []
    for name, scores in metrics["models"].items():
        shares = [percent(scores.get(f"accuracy_{group}")) for group in (*ranges, *others)]
        rest = percent(scores.get("accuracy_others"))
        rows.append((label(name), percent(scores["accuracy"]), *shares, rest))
    counts = metrics["questions"]
    all_asked = sum(counts[group] for group in ranges) + counts.get("not_told", 0)
    numbers = [f"{counts[group]:,}" for group in (*ranges, *others)]
    rows.append(("questions", f"{all_asked:,}", *numbers, NONE))
    titles = (*(group.replace("_", "–") for group in ranges), *(CONDITIONS[o] for o in others))
    sizes = ", ".join(
        f"{label(cell)} {int(metrics['models'][cell]['parameters']):,} parameters, rate "
        f"{metrics['models'][cell]['learning_rate']:g}"
        for cell in metrics["facts"]
    )
    return Table(
        "Right answers by turns since the fact was said",
        ("model", "all", *titles, "other replies"),
        tuple(rows),
        note="A range is of turns since the person or the bot last said the fact. Changed: it had "
        "another value before. Not told: the right answer says so. Other replies: to lines that "
        f"ask for no fact. {sizes}.",
    )


def facts_table(metrics: ChatMetrics) -> Table:
    """Return the right answers of every cell by fact."""
    facts = list(metrics["facts"][MODEL])
    rows = tuple(
        (label(cell), *(percent(shares.get(fact)) for fact in facts))
        for cell, shares in metrics["facts"].items()
    )
    return Table("Right answers by fact", ("cell", *facts), rows, note="Of facts that were told.")


def talk_table(found: Evaluation) -> Table:
    """Return the beginning of a test conversation with the judged model's replies."""
    rows = tuple((line, said, "" if said == right else right) for line, said, right in found.talk)
    title = f"A test conversation with the {label(found.metrics.get('model', MODEL))}"
    return Table(title, ("you", "bot", "should be"), rows, note="Its first turns, as they came.")
