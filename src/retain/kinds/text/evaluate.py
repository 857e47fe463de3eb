"""Score every network of a text problem on the whole test part, and the effect of more context."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from retain.evaluation import bootstrap
from retain.evaluation.arrays import Floats
from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Interval, Metrics, plots, stack, stack_histories
from retain.kinds.text import config, dataset, ngrams, predictor
from retain.kinds.text.config import Problem
from retain.kinds.text.dataset import Schema, Tokens
from retain.kinds.text.network import LanguageModel
from retain.kinds.tokens import judge, load_comparable, load_models
from retain.networks.recurrent import State

READ_AT_ONCE = 2000  # steps of one text, or texts of one step; this limits the memory
CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PLACES = 1000  # places of the test part at which each context is tested
PROMPT = {"letter": 60, "word": 12}


class TextMetrics(Metrics):
    """The content of metrics.json; `units` counts those of each part."""

    units: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: figures for metrics.json, tables, and written texts."""

    metrics: TextMetrics
    tables: dict[str, pd.DataFrame]
    schema: Schema
    gates: Inspection  # of the judged model in the prompt
    prompt: str  # the beginning of the test part
    written: dict[str, str]  # the continuation by each network

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables for `dvc plots`: a line for each model."""
        columns = {"context": ("context", "bits"), "training": ("epoch", "validation_loss")}
        return plots(self.tables, columns)


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem, and n-grams, on its test part.

    Args:
        prepared: the folder that `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    schema, test = source.schema, source.part("test")
    prompt = test[: PROMPT[schema.unit]].tolist()
    predictors = load_models(predictor.load, models, schema)
    bits: dict[str, Floats] = {}
    figures: dict[str, dict[str, float]] = {}
    for cell, model in predictors.items():
        bits[cell], ranks = carried(model.network, test)
        figures[cell] = scores(bits[cell], ranks) | {
            "accuracy_top_3": float((ranks < 3).mean()),
            "parameters": model.config["parameters"],
            "parameters_of_embedding": model.config["parameters_of_embedding"],
            "hidden_size": model.config["hidden_size"],
        }
    counted = ngrams.probabilities(source.part("train"), test, len(schema.vocabulary))
    for name, probabilities in counted.items():
        bits[name] = -np.log2(probabilities)
        figures[name] = scores(bits[name])
    judged = judge(
        problem.register_cell,
        models,
        bits,
        lambda ours, theirs: compare(ours, theirs, settings),
    )
    return Evaluation(
        metrics={
            "models": figures,
            "differences": judged["differences"],
            "model": judged["model"],
            "validation_loss": judged["validation_loss"],
            "units": {
                **{part: len(source.part(part)) for part in dataset.PARTS},
                "vocabulary": len(schema.vocabulary),
                "unknown_in_test": int((test == 0).sum()),
            },
        },
        tables={
            "context": stack(
                {c: by_context(model.network, test, bits[c]) for c, model in predictors.items()}
            ),
            "training": stack_histories(models),
        },
        schema=schema,
        gates=predictors[MODEL].inspect_tokens(
            schema.joined(prompt), prompt, [schema.vocabulary[token] for token in prompt]
        ),
        prompt=schema.joined(prompt),
        written={
            cell: model.continued(prompt, settings.length, settings.temperature, settings.seed)
            for cell, model in predictors.items()
        },
    )


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion, both on today's test part.

    Raises:
        IncomparableError: the champion has other units, or was trained on another text.
    """
    source = dataset.load(prepared)
    old = load_comparable(predictor.load, champion, source.schema)
    (ours, our_ranks), (theirs, their_ranks) = (
        carried(model.network, source.part("test")) for model in (predictor.load(new), old)
    )
    return Comparison(
        measures=("bits", "perplexity", "accuracy"),
        scores=(scores(ours, our_ranks), scores(theirs, their_ranks)),
        differences=compare(ours, theirs, problem.evaluation),
    )


def scores(bits: Floats, ranks: Tokens | None = None) -> dict[str, float]:
    """Return figures of metrics.json.

    Args:
        bits: −log2 of the probability of each unit.
        ranks: number of other units that were more probable.
    """
    mean = float(bits.mean())
    with np.errstate(over="ignore"):
        perplexity = float(np.float64(2) ** mean)
    figures = {
        "bits": mean,
        "perplexity": perplexity,
        "not_finite": int((~np.isfinite(bits)).sum()),
    }
    return figures if ranks is None else figures | {"accuracy": float((ranks < 1).mean())}


def compare(ours: Floats, theirs: Floats, settings: config.Evaluation) -> dict[str, Interval]:
    """Return the mean bits of `ours` minus those of `theirs`, with their interval.

    Neighbouring units share subject and style, over about a block.
    """
    ones = np.ones_like(ours)
    sums, block = np.stack([ours, ones, theirs, ones]), settings.block
    change = bootstrap.difference(
        sums, sums.sum(1)[:, None], block, block, settings.bootstrap, settings.seed, "units of text"
    )
    return {"bits": change}


def carried(network: LanguageModel, tokens: Tokens) -> tuple[Floats, Tokens]:
    """Score each unit of a text except the first, with the state carried from the beginning.

    Returns:
        Bits, (tokens − 1,), and the number of other units that were more probable, (tokens − 1,).
    """
    state: State | None = None
    bits, ranks = [], []
    with torch.inference_mode():
        for begin in range(0, len(tokens) - 1, READ_AT_ONCE):
            part = torch.from_numpy(tokens[begin : begin + READ_AT_ONCE + 1])
            unit_scores, state = network(part[:-1].unsqueeze(1), state)
            unit_scores = unit_scores[:, 0]  # (steps, units)
            bits.append(_bits(unit_scores, part[1:]))
            ranks.append((unit_scores > unit_scores.gather(1, part[1:, None])).sum(1).numpy())
    return np.concatenate(bits), np.concatenate(ranks)


def by_context(network: LanguageModel, tokens: Tokens, whole: Floats) -> pd.DataFrame:
    """Return a table of context and bits: the bits per unit after a given number of units.

    The state is zero before them. Contexts longer than the test part are left out. They are tested
    only at some places, which may be easier or harder than the rest. So the difference from the
    bits with the full context at these places is added to the bits of the whole part.

    Args:
        network: any.
        tokens: of the test part.
        whole: their bits, by `carried`.
    """
    contexts = [length for length in CONTEXTS if length < len(tokens) // 2]
    places = np.linspace(contexts[-1], len(tokens) - 1, PLACES).astype(np.int64)
    rows, correction = [], float(whole.mean() - whole[places - 1].mean())
    with torch.inference_mode():
        for length in contexts:
            window = places + np.arange(-length, 1)[:, None]  # (context + 1, places)
            part = torch.from_numpy(tokens[window])
            unit_scores, _ = network.last(part[:-1])
            rows.append((length, float(_bits(unit_scores, part[-1]).mean()) + correction))
    return pd.DataFrame(rows, columns=["context", "bits"])


def _bits(unit_scores: Tensor, units: Tensor) -> Floats:
    """Return −log2 of the probability of each unit: (units,)."""
    nats = functional.cross_entropy(unit_scores.double(), units, reduction="none").numpy()
    bits: Floats = nats / math.log(2)
    return bits
