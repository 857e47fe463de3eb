"""Translate the test part with every network of a problem, and score it, also by length."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Difference, Interval, Metrics, plots, stack, stack_histories
from retain.kinds.tokens import judge, load_comparable, load_models
from retain.kinds.translate import dataset, floors, predictor
from retain.kinds.translate.beam_search import Hypothesis
from retain.kinds.translate.config import NO_ATTENTION, Problem
from retain.kinds.translate.dataset import GROUP, Corpus, Ints, Pair
from retain.kinds.translate.metrics import Translations, compare
from retain.kinds.translate.predictor import Predictor

CLASSES = 15  # a class of lengths has at least one in so many of the test sentences,
FEWEST = 20  # and at least so many


class TranslateMetrics(Metrics):
    """The content of metrics.json; `pairs` counts those of each part, `lengths` are scores."""

    pairs: dict[str, int]
    lengths: dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: figures for metrics.json, tables, and translations."""

    metrics: TranslateMetrics
    tables: dict[str, pd.DataFrame]
    corpus: Corpus
    tests: list[Pair]  # of the test part
    translations: dict[str, Translations]  # by model
    judged: list[Hypothesis]  # of the judged model, for each pair
    gates: Inspection  # of the LSTM in a test sentence

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables for `dvc plots`: a line for each model."""
        columns = {"length": ("words", "chrf"), "training": ("epoch", "validation_loss")}
        return plots(self.tables, columns)


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem, and the floors, on its test part.

    Args:
        prepared: the folder that `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    corpus, settings = dataset.load(prepared), problem.evaluation
    test = corpus.part("test")
    tests = [corpus.pairs[pair] for pair in test.tolist()]
    references = [pair.target for pair in tests]
    folders = _folders(problem, models)
    written: dict[str, Translations] = {}
    figures: dict[str, dict[str, float]] = {}
    hypotheses: dict[str, list[Hypothesis]] = {}
    predictors = load_models(predictor.load, folders, corpus.schema)
    for name, model in predictors.items():
        hypotheses[name] = model.translate_part(corpus, test, settings.beam)
        written[name] = Translations.measure(
            [model.write(each) for each in hypotheses[name]], references
        )
        likelihoods = np.array([each.log_probability for each in hypotheses[name]])
        figures[name] = written[name].scores() | {
            "not_finite": int((~np.isfinite(likelihoods)).sum()),
            "parameters": model.config["parameters"],
            "parameters_of_embedding": model.config["parameters_of_embedding"],
            "hidden_size": model.config["hidden_size"],
        }
    for name, texts in _floors(corpus, test, tests).items():
        written[name] = Translations.measure(texts, references)
        figures[name] = written[name].scores() | {"not_finite": 0}
    groups = corpus.index[test, GROUP]

    def compared(ours: Translations, theirs: Translations) -> dict[str, Interval]:
        return compare(ours, theirs, groups, settings)

    judged = judge(problem.register_cell, models, written, compared)
    classes = list(_lengths(tests))
    lengths = {
        name: {label: {"sentences": len(rows)} | model.scores(rows) for label, _, rows in classes}
        for name, model in written.items()
    }
    by_length = {
        name: pd.DataFrame(
            [{"words": most, "label": label} | scores[label] for label, most, _ in classes]
        )
        for name, scores in lengths.items()
    }
    longest = int(np.argmax([len(pair.source.split()) for pair in tests]))
    return Evaluation(
        metrics={
            "models": figures,
            "differences": judged["differences"] | _without_attention(written, compared),
            "model": judged["model"],
            "validation_loss": judged["validation_loss"],
            "pairs": {part: len(corpus.part(part)) for part in dataset.PARTS},
            "lengths": lengths,
        },
        tables={
            "length": stack(by_length),
            "training": stack_histories(folders),
        },
        corpus=corpus,
        tests=tests,
        translations=written,
        judged=hypotheses[judged["model"]],
        gates=predictors[MODEL].inspect_pieces(
            tests[longest].source, corpus.source_of(int(test[longest]))
        ),
    )


def _folders(problem: Problem, models: Mapping[str, Path]) -> dict[str, Path]:
    """Return the model folder of each cell, with attention and without."""
    folders = dict(models)
    for beside in problem.beside:
        folders |= {f"{cell}_{beside}": folder / beside for cell, folder in models.items()}
    return folders


def _floors(corpus: Corpus, test: Ints, tests: list[Pair]) -> dict[str, list[str]]:
    """Return the translations of what needs no network."""
    train = [corpus.pairs[pair] for pair in corpus.part("train").tolist()]
    return {
        "nearest": floors.nearest(corpus, test),
        "word_by_word": floors.word_by_word(train, [pair.source for pair in tests]),
    }


def _without_attention(
    written: Mapping[str, Translations],
    compared: Callable[[Translations, Translations], Mapping[str, Interval]],
) -> dict[str, dict[str, Difference]]:
    """Compare the LSTM without attention with the other cells without it."""
    ours = f"{MODEL}_{NO_ATTENTION}"
    return {
        f"{ours}_minus_{name}": {
            metric: change.to_dict() for metric, change in compared(written[ours], theirs).items()
        }
        for name, theirs in written.items()
        if ours in written and name.endswith(NO_ATTENTION) and name != ours
    }


def _lengths(tests: list[Pair]) -> Iterator[tuple[str, int, Ints]]:
    """Yield classes of the source's words: its label, most words, and the rows of the sentences."""
    words = np.array([len(pair.source.split()) for pair in tests])
    least = max(FEWEST, len(tests) // CLASSES)
    first, rows = int(words.min()), np.array([], np.int64)
    for most in np.unique(words).tolist():
        rows = np.concatenate([rows, np.flatnonzero(words == most)])
        if len(rows) >= least or most == words.max():
            yield (f"{first}–{most}" if first < most else f"{most}"), most, rows
            first, rows = most + 1, rows[:0]


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion, both on today's test part.

    Raises:
        IncomparableError: the champion has other pieces, or was trained on other pairs.
    """
    corpus, settings = dataset.load(prepared), problem.evaluation
    old = load_comparable(predictor.load, champion, corpus.schema, "pairs")
    test = corpus.part("test")
    references = [corpus.pairs[pair].target for pair in test.tolist()]

    def measure(model: Predictor) -> Translations:
        found = model.translate_part(corpus, test, settings.beam)
        return Translations.measure([model.write(each) for each in found], references)

    ours, theirs = measure(predictor.load(new)), measure(old)
    return Comparison(
        measures=("chrf", "bleu", "exact"),
        scores=(ours.scores(), theirs.scores()),
        differences=compare(ours, theirs, corpus.index[test, GROUP], settings),
    )
