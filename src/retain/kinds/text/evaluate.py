"""Every network of a text problem on the whole test part, and what more context gives it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from retain.errors import IncomparableError
from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Metrics
from retain.kinds.text import dataset, lstm_gates, ngrams, predictor
from retain.kinds.text.config import Problem
from retain.kinds.text.dataset import Corpus, Schema, Tokens
from retain.kinds.text.metrics import Floats, difference, scores
from retain.kinds.text.network import LanguageModel
from retain.model_files import load_champion
from retain.networks.recurrent import State

READ_AT_ONCE = 2000  # steps of one text, or texts of one step: it bounds the memory
CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PLACES = 1000  # of the test part, at which each context is tried
PROMPT = {"letter": 60, "word": 12}


class TextMetrics(Metrics):
    """The content of metrics.json; `units` counts those of each part."""

    units: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: figures for metrics.json, tables, and what each network wrote."""

    metrics: TextMetrics
    tables: dict[str, pd.DataFrame]
    schema: Schema
    counts: dict[str, int]  # units by part
    prompt: str
    written: dict[str, str]  # by model
    shown: Inspection  # the gates of the judged model in the prompt

    def plots(self) -> dict[str, pd.DataFrame]:
        """The tables as `dvc plots` compares them: one column a model."""
        long = {"context": ("context", "bits"), "training": ("epoch", "validation_loss")}
        return {
            name: self.tables[name].pivot(index=x, columns="model", values=y).reset_index()
            for name, (x, y) in long.items()
        }


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem on its test part, and the counts beside them.

    Args:
        prepared: what `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    test = source.part("test")
    prompt = [int(token) for token in test[: PROMPT[source.schema.unit]]]
    bits: dict[str, Floats] = {}
    scored: dict[str, dict[str, Any]] = {}
    contexts, curves, written = [], [], {}
    loaded = {cell: predictor.load(folder) for cell, folder in models.items()}
    for cell, served in loaded.items():
        folder = models[cell]
        served.check_fits(source.schema, str(folder))
        bits[cell], ranks = carried(served.network, test)
        scored[cell] = scores(bits[cell]) | {
            "accuracy": float((ranks < 1).mean()),
            "accuracy_top_3": float((ranks < 3).mean()),
        }
        sizes = ("parameters", "parameters_of_embedding", "hidden_size")
        scored[cell] |= {key: served.config[key] for key in sizes}
        contexts.append(by_context(served.network, test, bits[cell]).assign(model=cell))
        curves.append(pd.read_csv(folder / "history.csv").assign(model=cell))
        written[cell] = served.continued(
            prompt, settings.length, settings.temperature, settings.seed
        )
    vocabulary = source.schema.vocabulary
    labels = [vocabulary[token] for token in prompt]
    units = len(vocabulary)
    for name, each in ngrams.probabilities(source.part("train"), test, units).items():
        bits[name] = -np.log2(each)
        scored[name] = scores(bits[name])
    differences = {
        f"{MODEL}_minus_{name}": {
            "bits": difference(
                bits[MODEL], theirs, settings.block, settings.bootstrap, settings.seed
            ).to_dict()
        }
        for name, theirs in bits.items()
        if name != MODEL
    }
    counts = {part: len(source.part(part)) for part in dataset.PARTS}
    return Evaluation(
        metrics={
            "models": scored,
            "differences": differences,
            "units": {**counts, "vocabulary": units, "unknown_in_test": int((test == 0).sum())},
        },
        tables={
            "context": pd.concat(contexts, ignore_index=True),
            "training": pd.concat(curves, ignore_index=True),
        },
        schema=source.schema,
        counts=counts,
        prompt=source.schema.joined(prompt),
        written=written,
        shown=lstm_gates.inspection(loaded[MODEL], source.schema.joined(prompt), prompt, labels),
    )


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """A new model and the champion, both on today's test part.

    Raises:
        IncomparableError: the champion has other units, or was trained on another text.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    old = load_champion(predictor.load, champion, source.schema)
    if old.schema.digest != source.schema.digest:
        raise IncomparableError(
            "it was trained on another text, and some of today's test part may be in it"
        )
    both = [_scored(predictor.load(new).network, source), _scored(old.network, source)]
    found = difference(both[0][0], both[1][0], settings.block, settings.bootstrap, settings.seed)
    return Comparison(
        measures=("bits", "perplexity", "accuracy"),
        scores=(both[0][1], both[1][1]),
        differences={"bits": found},
    )


def _scored(network: LanguageModel, source: Corpus) -> tuple[Floats, dict[str, Any]]:
    bits, ranks = carried(network, source.part("test"))
    return bits, scores(bits) | {"accuracy": float((ranks < 1).mean())}


def carried(network: LanguageModel, tokens: Tokens) -> tuple[Floats, Tokens]:
    """What each unit but the first took, with the state carried over all that stands before.

    Returns:
        Bits, (tokens − 1,), and how many other units were held to be likelier, (tokens − 1,).
    """
    state: State | None = None
    bits, ranks = [], []
    with torch.inference_mode():
        for begin in range(0, len(tokens) - 1, READ_AT_ONCE):
            part = torch.from_numpy(tokens[begin : begin + READ_AT_ONCE + 1])
            said, state = network(part[:-1].unsqueeze(1), state)
            own = said[:, 0].gather(1, part[1:].unsqueeze(1))
            bits.append(_bits(said[:, 0], part[1:]))
            ranks.append((said[:, 0] > own).sum(1).numpy())
    return np.concatenate(bits), np.concatenate(ranks)


def by_context(network: LanguageModel, tokens: Tokens, whole: Floats) -> pd.DataFrame:
    """Columns context, bits: what a unit takes with so many units before it read.

    The state is zero before them. Contexts that the test part is too short for are left out. Tried
    at some places alone, which may be easier or harder than the rest; so what these take more than
    with everything before them is added to what the whole part takes.

    Args:
        network: any.
        tokens: of the test part.
        whole: what `carried` found of them, in bits.
    """
    fitting = [length for length in CONTEXTS if length < len(tokens) // 2]
    places = np.linspace(fitting[-1], len(tokens) - 1, PLACES).astype(np.int64)
    rows, elsewhere = [], float(whole.mean() - whole[places - 1].mean())
    with torch.inference_mode():
        for length in fitting:
            behind = places + np.arange(-length, 1)[:, None]  # (context + 1, places)
            part = torch.from_numpy(tokens[behind])
            said, _ = network.last(part[:-1])
            rows.append((length, float(_bits(said, part[-1]).mean()) + elsewhere))
    return pd.DataFrame(rows, columns=["context", "bits"])


def _bits(said: torch.Tensor, due: torch.Tensor) -> Floats:
    """−log2 of the probability of each unit that came: (units,)."""
    nats = functional.cross_entropy(said.double(), due, reduction="none").numpy()
    found: Floats = nats / math.log(2)
    return found
