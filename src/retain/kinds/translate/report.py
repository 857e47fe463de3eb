"""The report of a translation problem: figures, tables and sentences."""

from collections.abc import Sequence

import numpy as np

from retain.evaluation import curves, plotting
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.evaluation.report import Figure, Report, Table
from retain.evaluation.results import Interval
from retain.kinds.tokens import differences_table, gates_figure
from retain.kinds.translate import figures
from retain.kinds.translate.config import NO_ATTENTION, Problem
from retain.kinds.translate.dataset import PARTS
from retain.kinds.translate.evaluate import Evaluation, TranslateMetrics
from retain.kinds.translate.metrics import versions

NONE = "–"
SAMPLES = 4  # sentences of each sort: best, typical, worst
LEAST_WORDS = 4  # of a sentence that is shown as a best or typical one


def report(name: str, problem: Problem, found: Evaluation, checks: Sequence[CheckResult]) -> Report:
    """Build the report of a problem."""
    metrics, settings = found.metrics, problem.evaluation
    chosen = samples(found)
    return Report(
        title=name,
        lead=_lead(metrics),
        checks=checks,
        tables=(
            scores_table(metrics, settings.beam),
            differences_table(
                metrics,
                label,
                "Differences",
                "{methods} A group has the sentences that share a source or a target. The "
                "intervals tell what other sentences of this sort would change, not what another "
                "seed of the training would.",
                digits=".2f",
                names={"chrf_error": "100 − chrF", "bleu_error": "100 − BLEU"},
            ),
            length_table(metrics),
            samples_table(found, chosen),
        ),
        figures=(
            Figure(
                "length",
                "Scores by length",
                "chrF of the sentences whose source has so many words. Where a line falls, the "
                "network loses what it read at the other end of the sentence.",
                figures.by_length(found.tables["length"]),
            ),
            *_attention(found, chosen["typical"]),
            gates_figure(found.gates, "The longest source of the test part"),
            curves.training_figure(
                "Loss by epoch, in nats a piece of a word; in training with smoothed labels.",
                found.tables["training"],
            ),
        ),
        facts=(
            ("Pairs", problem.data.path),
            ("Languages", " to ".join(problem.data.languages)),
            ("Parts", ", ".join(f"{metrics['pairs'][part]:,} {part}" for part in PARTS)),
            (
                "Pieces of words",
                f"{len(found.corpus.schema.source):,} and {len(found.corpus.schema.target):,}",
            ),
            *((f"{measure} by sacreBLEU", text) for measure, text in versions().items()),
        ),
    )


def label(model: str) -> str:
    """Return a model's display name."""
    return plotting.mark(model).label


def _lead(metrics: TranslateMetrics) -> str:
    """Describe the scores, and the LSTM compared with the RNN in both settings."""
    models, model = metrics["models"], metrics.get("model", MODEL)
    parts = [f"{label(name)} {scores['chrf']:.1f}" for name, scores in models.items()]
    sentences = []
    for ours, theirs in (
        (model, "rnn"),
        (f"{MODEL}_{NO_ATTENTION}", f"rnn_{NO_ATTENTION}"),
        (model, "nearest"),
    ):
        if change := metrics["differences"].get(f"{ours}_minus_{theirs}", {}).get("chrf_error"):
            interval = Interval.from_dict(change)
            sentences.append(
                f"{label(ours)} against {label(theirs)}: {interval.judgement} "
                f"({-interval.value:+.1f} chrF)"
            )
    return f"chrF on the test part: {', '.join(parts)}. {'; '.join(sentences)}."


def scores_table(metrics: TranslateMetrics, beam: int) -> Table:
    """Return the scores of every model on the whole test part."""
    models, rows = metrics["models"], []
    for name, scores in models.items():
        sizes = (NONE, NONE)
        if "parameters" in scores:
            sizes = (f"{scores['parameters']:,}", f"{scores['hidden_size']:,}")
        shares = (f"{scores[key]:.1f}" for key in ("chrf", "bleu", "exact"))
        rows.append((label(name), *shares, *sizes))
    best = [
        int(np.argmax([scores[key] for scores in models.values()]))
        for key in ("chrf", "bleu", "exact")
    ]
    search = f"the best of {beam} hypotheses (beam search)" if beam > 1 else "greedily"
    return Table(
        "Translations of the test part",
        ("model", "chrF", "BLEU", "exact, %", "parameters", "hidden"),
        tuple(rows),
        note=f"Networks write {search}. Nearest sentence: the translation of the trained sentence "
        "that is most alike. Word by word: each word by a dictionary learned from the pairs (IBM "
        "model 1). Parameters include the embeddings "
        f"({models[MODEL]['parameters_of_embedding']:,} of each cell).",
        best=(None, *best, None, None),
        terms=(
            ("chrF", "n-grams of letters in common with the reference, 0 to 100 (Popović 2015)"),
            ("BLEU", "n-grams of words in common, 0 to 100 (Papineni et al. 2002)"),
            ("exact, %", "translations that are the reference itself"),
        ),
    )


def length_table(metrics: TranslateMetrics) -> Table:
    """Return chrF and BLEU by the words of the source, a row for each class of lengths."""
    lengths = metrics["lengths"]
    classes = lengths[MODEL]
    rows = tuple(
        (
            name,
            f"{classes[name]['sentences']:,}",
            *(
                f"{scores[name]['chrf']:.1f} / {scores[name]['bleu']:.1f}"
                for scores in lengths.values()
            ),
        )
        for name in classes
    )
    return Table(
        "chrF / BLEU by length",
        ("words", "sentences", *map(label, lengths)),
        rows,
        note="Words of the source.",
    )


def samples(found: Evaluation) -> dict[str, list[int]]:
    """Choose rows of the test part: best, typical and worst by the judged model's chrF.

    The best are the longest of those that are right; short sentences are neither best nor typical.
    """
    judged = found.translations[found.metrics.get("model", MODEL)]
    scores = judged.sentence_chrf()
    words = np.array([len(pair.source.split()) for pair in found.tests])
    rows = np.arange(len(scores))
    long = rows[words >= min(LEAST_WORDS, int(words.max()))]
    best = long[np.lexsort((long, -words[long], -scores[long]))][:SAMPLES]
    middle = np.abs(scores[long] - np.median(scores))
    typical = [row for row in long[np.lexsort((long, middle))].tolist() if row not in best]
    worst = rows[np.lexsort((rows, scores))][:SAMPLES]
    return {"best": best.tolist(), "typical": typical[:SAMPLES], "worst": worst.tolist()}


def samples_table(found: Evaluation, chosen: dict[str, list[int]]) -> Table:
    """Return the chosen sentences with their translations by the judged model and the RNN."""
    model = found.metrics.get("model", MODEL)
    shown = [name for name in dict.fromkeys((model, MODEL, "rnn")) if name in found.translations]
    rows = [
        (sort, *found.tests[row], *(found.translations[name].texts[row] for name in shown))
        for sort, numbers in chosen.items()
        for row in numbers
    ]
    return Table(
        "Translations as they came",
        ("", "source", "reference", *map(label, shown)),
        tuple(rows),
        note=f"Best, typical (about the median) and worst by the chrF of the {label(model)}.",
    )


def _attention(found: Evaluation, rows: list[int]) -> tuple[Figure, ...]:
    """Draw the attention of the judged model in some test sentences, if it has any."""
    schema, pairs = found.corpus.schema, found.corpus.part("test")
    sentences = [
        (
            schema.source.labels(found.corpus.source_of(int(pairs[row]))),
            schema.target.labels(found.judged[row].pieces),
            weights,
        )
        for row in rows
        if (weights := found.judged[row].attention) is not None
    ]
    if not sentences:
        return ()
    caption = (
        "For each piece of a word that the network writes, top to bottom, which pieces of the "
        "source it looks at, left to right; darker is more. The sentences are the typical ones of "
        "the table above."
    )
    drawing = figures.attention(sentences)
    return (Figure("attention", "What a translation looks at", caption, drawing),)
