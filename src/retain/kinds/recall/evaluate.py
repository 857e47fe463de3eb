"""Every network of a recall problem on every test sequence, and what its answers hang on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from retain.errors import IncomparableError
from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Metrics
from retain.kinds.recall import dataset, lstm_gates, predictor
from retain.kinds.recall.batches import Batch, Examples
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Schema, Sequences
from retain.kinds.recall.metrics import Answers, Floats, difference
from retain.kinds.recall.network import GapClassifier
from retain.model_files import load_champion

LOOK_BACK_SEQUENCES = 64


class RecallMetrics(Metrics):
    """The content of metrics.json: also by seed, by group, and how many sequences there are."""

    seeds: dict[str, dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    sequences: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: figures for metrics.json, and tables."""

    metrics: RecallMetrics
    tables: dict[str, pd.DataFrame]
    schema: Schema
    counts: dict[str, int]  # sequences by part
    shown: Inspection  # the gates of the judged model in one test sequence
    tried: pd.DataFrame  # model, rate, seed, accuracy, loss, kept: on the validation part

    def plots(self) -> dict[str, pd.DataFrame]:
        """The tables as `dvc plots` compares them: one column a model."""
        shares = self.tables["accuracy_by_gap"].groupby(["model", "gap"], sort=False)["accuracy"]
        long = {
            "accuracy_by_gap": (shares.mean().reset_index(), "gap", "accuracy"),
            "look_back": (self.tables["look_back"], "lag", "norm"),
            "training": (self.tables["training"], "epoch", "validation_loss"),
        }
        return {
            name: table.pivot(index=x, columns="model", values=y).reset_index()
            for name, (table, x, y) in long.items()
        }


def answers(network: GapClassifier, source: Sequences) -> Answers:
    """What the networks answer to all test sequences."""
    numbers, right, losses = [], [], []
    with torch.inference_mode():
        for own, batch in Examples(source, "test").chunks():
            said = network(batch)
            numbers.append(own)
            right.append(network.right(said, batch.targets).numpy())
            losses.append(network.loss(said, batch.targets).double().numpy())
    order = np.argsort(np.concatenate(numbers), kind="stable")
    index = source.index[np.concatenate(numbers)[order]]
    return Answers(
        np.concatenate(right, axis=1)[:, order],
        np.concatenate(losses, axis=1)[:, order],
        gaps=index[:, 1],
        groups=index[:, 4],
    )


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem on its test sequences.

    Args:
        prepared: what `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    gaps = source.schema.gaps
    served = {cell: predictor.load(folder) for cell, folder in models.items()}
    for cell, model in served.items():
        model.check_fits(source.schema, str(models[cell]))
    found = {cell: answers(model.network, source) for cell, model in served.items()}
    scored: dict[str, dict[str, Any]] = {}
    seeds: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    shares, gradients, curves, tried = [], [], [], []
    for cell, model in served.items():
        own, config = found[cell], model.config
        scored[cell] = own.scores(gaps, settings.threshold)
        scored[cell] |= {key: config[key] for key in ("parameters", "hidden_size")}
        scored[cell]["learning_rate"] = config["learning_rates"][model.chosen]
        seeds[cell] = {}
        for number, seed in enumerate(config["seeds"]):
            by_gap = {str(gap): float(own.by_gap(gap)[number]) for gap in gaps}
            horizon = own.horizons(gaps, settings.threshold)[number]
            seeds[cell][str(seed)] = {"memory_horizon": horizon, "accuracy": by_gap}
            shares += [(cell, int(gap), seed, share) for gap, share in by_gap.items()]
        norms = look_back(model.network, source)
        lags = np.arange(len(norms))
        gradients.append(pd.DataFrame({"model": cell, "lag": lags, "norm": norms}))
        curves.append(pd.read_csv(models[cell] / "history.csv").assign(model=cell))
        tried.append(model.tried().assign(model=cell))
        groups[cell] = {
            group: {str(gap): float(own.by_gap(gap, number).mean()) for gap in gaps}
            for number, group in enumerate(source.schema.groups)
        }
    differences = {
        f"{MODEL}_minus_{cell}": {
            "error": difference(
                found[MODEL], found[cell], settings.bootstrap, settings.seed
            ).to_dict()
        }
        for cell in found
        if cell != MODEL
    }
    counts = {part: len(source.part(part)) for part in dataset.PARTS}
    return Evaluation(
        metrics={
            "models": scored,
            "differences": differences,
            "seeds": seeds,
            "groups": groups,
            "sequences": counts,
        },
        tables={
            "accuracy_by_gap": pd.DataFrame(shares, columns=["model", "gap", "seed", "accuracy"]),
            "look_back": pd.concat(gradients, ignore_index=True),
            "training": pd.concat(curves, ignore_index=True),
        },
        schema=source.schema,
        counts=counts,
        shown=lstm_gates.of_a_test(served[MODEL], source),
        tried=pd.concat(tried, ignore_index=True),
    )


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """A new model and the champion, both on today's test.

    Raises:
        IncomparableError: the champion reads other words, or knows other answers.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    old = load_champion(predictor.load, champion, source.schema)
    if old.schema.digest != source.schema.digest:
        raise IncomparableError(
            "it was trained on other stories, and some of today's test may be among them"
        )
    ours, theirs = answers(predictor.load(new).network, source), answers(old.network, source)
    gaps, threshold = source.schema.gaps, settings.threshold
    return Comparison(
        measures=("error", "accuracy", "memory_horizon"),
        scores=(ours.scores(gaps, threshold), theirs.scores(gaps, threshold)),
        differences={"error": difference(ours, theirs, settings.bootstrap, settings.seed)},
    )


def look_back(network: GapClassifier, source: Sequences) -> Floats:
    """How strongly the right answer hangs on each step, (steps,), the question's last step first.

    The root mean square norm of the gradient of the right answer's score (the answer itself, where
    it is a number) with respect to the input of a step, over test sequences of the longest gap; of
    several seeds the median.
    """
    numbers = source.part("test")
    numbers = numbers[source.index[numbers, 1] == source.schema.gaps[-1]][:LOOK_BACK_SEQUENCES]
    tokens, values = source.gathered(numbers)
    targets = torch.from_numpy(source.targets[numbers])
    batch = Batch(torch.from_numpy(tokens), torch.from_numpy(values), targets)
    inputs = network.inputs(batch)
    inputs = inputs.repeat(len(network.members), 1, 1, 1).requires_grad_()
    said = network.answers(network.states(inputs)[:, -1])
    choice = targets.long() if source.schema.answers else torch.zeros(len(targets)).long()
    scores = said.gather(-1, choice.expand(len(said), -1).unsqueeze(-1))
    (slopes,) = torch.autograd.grad(scores.sum(), inputs)
    squares = slopes.double().square().sum(-1).numpy()  # (seeds, steps, sequences)
    there = tokens >= 0
    means = (squares * there).sum(-1) / there.sum(-1)
    # Not torch's square root: MKL's is not the same on every processor.
    norms: Floats = np.median(np.sqrt(means), axis=0)[::-1]
    return norms
