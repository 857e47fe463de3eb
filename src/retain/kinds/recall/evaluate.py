"""Score every network of a recall problem, and measure which steps its answers depend on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Metrics, plots, stack, stack_histories
from retain.kinds.recall import dataset, predictor
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import GAP, GROUP, STEPS, Examples, Schema, Sequences
from retain.kinds.recall.metrics import Outcomes, compare
from retain.kinds.recall.network import GapClassifier
from retain.kinds.recall.predictor import Predictor
from retain.kinds.tokens import judge, load_comparable, load_models

LOOK_BACK_SEQUENCES = 64


class RecallMetrics(Metrics):
    """The content of metrics.json, also by seed and by group, with the number of sequences."""

    seeds: dict[str, dict[str, Any]]
    groups: dict[str, dict[str, Any]]
    sequences: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: figures for metrics.json, and tables."""

    metrics: RecallMetrics
    tables: dict[str, pd.DataFrame]
    schema: Schema
    gates: Inspection  # of the judged model in one test sequence
    tried: pd.DataFrame  # model, rate, seed, accuracy, loss, kept: on the validation part

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables for `dvc plots`: a line for each model, the mean over its seeds."""
        return plots(
            self.tables,
            {
                "accuracy_by_gap": ("gap", "accuracy"),
                "look_back": ("lag", "norm"),
                "training": ("epoch", "validation_loss"),
            },
        )


def answer_test(network: GapClassifier, source: Sequences) -> Outcomes:
    """Let the networks answer all test sequences."""
    correct, losses = network.answer_all(Examples(source, "test"))
    index = source.index[source.part("test")]
    return Outcomes(
        correct.numpy(), losses.double().numpy(), gaps=index[:, GAP], groups=index[:, GROUP]
    )


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem on its test sequences.

    Args:
        prepared: the folder that `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    gaps, threshold = source.schema.gaps, settings.threshold
    predictors = load_models(predictor.load, models, source.schema)
    outcomes = {cell: answer_test(model.network, source) for cell, model in predictors.items()}
    scores = {
        cell: outcomes[cell].scores(gaps, threshold)
        | {
            "parameters": model.config["parameters"],
            "hidden_size": model.config["hidden_size"],
            "learning_rate": model.config["learning_rates"][model.chosen],
        }
        for cell, model in predictors.items()
    }
    seeds = {
        cell: outcomes[cell].by_seed(model.config["seeds"], gaps, threshold)
        for cell, model in predictors.items()
    }
    judged = judge(
        problem.register_cell,
        models,
        outcomes,
        lambda ours, theirs: compare(ours, theirs, settings),
    )
    return Evaluation(
        metrics={
            "models": scores,
            "differences": judged["differences"],
            "model": judged["model"],
            "validation_loss": judged["validation_loss"],
            "seeds": seeds,
            "groups": {
                cell: outcome.by_group(source.schema.groups, gaps)
                for cell, outcome in outcomes.items()
            },
            "sequences": {part: len(source.part(part)) for part in dataset.PARTS},
        },
        tables={
            "accuracy_by_gap": pd.DataFrame(
                [
                    (cell, int(gap), int(seed), share)
                    for cell, by_seed in seeds.items()
                    for seed, of_seed in by_seed.items()
                    for gap, share in of_seed["accuracy"].items()
                ],
                columns=["model", "gap", "seed", "accuracy"],
            ),
            "look_back": stack(
                {cell: look_back(model.network, source) for cell, model in predictors.items()}
            ),
            "training": stack_histories(models),
        },
        schema=source.schema,
        gates=inspect_test(predictors[MODEL], source),
        tried=stack({cell: model.tried() for cell, model in predictors.items()}),
    )


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion, both on today's test.

    Raises:
        IncomparableError: the champion has other words or answers.
    """
    source, settings = dataset.load(prepared), problem.evaluation
    gaps, threshold = source.schema.gaps, settings.threshold
    old = load_comparable(predictor.load, champion, source.schema)
    ours, theirs = (answer_test(model.network, source) for model in (predictor.load(new), old))
    return Comparison(
        measures=("error", "accuracy", "memory_horizon"),
        scores=(ours.scores(gaps, threshold), theirs.scores(gaps, threshold)),
        differences=compare(ours, theirs, settings),
    )


def inspect_test(model: Predictor, source: Sequences) -> Inspection:
    """Return the gates in a test sequence of the shortest gap, after a change if there is one.

    The step that decides the answer is marked, if its position is known.
    """
    numbers, gap = source.part("test"), source.schema.gaps[0]
    numbers = numbers[source.index[numbers, GAP] == gap]
    changed = [n for n, group in enumerate(source.schema.groups) if "changed" in group]
    after = numbers[np.isin(source.index[numbers, GROUP], changed)]
    chosen = int((after if len(after) else numbers)[0])
    decides = int(source.index[chosen, STEPS]) - 2 - gap
    text = model.write(source, chosen)
    known = source.schema.source in ("copy", "agreement")
    return model.inspect(text, text, decides if known else None)


def look_back(network: GapClassifier, source: Sequences) -> pd.DataFrame:
    """Return how much the right answer depends on each step: columns lag, 0 at the last, and norm.

    The root mean square norm of the gradient of the right answer's score (the answer itself, where
    it is a number) with respect to the input of a step, over test sequences of the longest gap; the
    median over the seeds.
    """
    numbers = source.part("test")
    numbers = numbers[source.index[numbers, GAP] == source.schema.gaps[-1]][:LOOK_BACK_SEQUENCES]
    batch = source.batch(numbers)
    inputs = network.inputs(batch).repeat(len(network.members), 1, 1, 1).requires_grad_()
    scores = network.answer_scores(network.states(inputs)[:, -1])
    targets = batch.targets.long() if source.schema.answers else torch.zeros(len(numbers)).long()
    correct = scores.gather(-1, targets.expand(len(scores), -1).unsqueeze(-1))
    (slopes,) = torch.autograd.grad(correct.sum(), inputs)
    squares = slopes.double().square().sum(-1).numpy()  # (seeds, steps, sequences)
    within = batch.tokens.numpy() >= 0
    means = (squares * within).sum(-1) / within.sum(-1)
    # Not torch's square root: MKL's is not the same on every processor.
    norms = np.median(np.sqrt(means), axis=0)[::-1]
    return pd.DataFrame({"lag": np.arange(len(norms)), "norm": norms})
