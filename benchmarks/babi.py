"""Questions about stories, beside the figures that were published for an LSTM.

The bAbI tasks of Weston et al. (2015) with one, two and three supporting facts, with yes-no
questions and with coreference, 1,000 questions of training each. Every cell reads the story word by
word and then the question, as there. Nothing is chosen on the test part: learning rate and epoch
are those of the lowest loss on the last tenth of the training file.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import published, tables

CELLS = ("lstm", "gru", "rnn")
SEEDS = 3
# As many rates for each cell; without gates a cell diverges at rates that the gated ones need.
RATES = {"lstm": [0.01, 0.03, 0.06], "gru": [0.01, 0.03, 0.06], "rnn": [0.001, 0.003, 0.01]}
# By task: the longest memory that gates begin with, about that of the longest story, and epochs.
TASKS = {1: (60, 15), 2: (100, 12), 3: (300, 8), 6: (60, 20), 11: (60, 20)}
COUNTED = 3  # words of the longest n-gram
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def entry(task: int, folder: Path, cells: tuple[str, ...] = CELLS) -> dict[str, Any]:
    """Return the problem of a task as in params.yaml."""
    chrono, epochs = TASKS[task]
    return {
        "kind": "recall",
        "preset": "fast",
        "data": {"source": "babi", "path": str(folder), "tasks": [task]},
        "model": {"hidden_size": 32, "chrono": chrono},
        "training": {
            "cells": list(cells),
            "learning_rates": RATES,
            "seeds": SEEDS,
            "weight_decay": 0.1,
            "batch_size": 16,
            "epoch_steps": 57,  # all of 900 questions
            "max_epochs": epochs,
        },
        "evaluation": {},
        "gate": [],
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tasks; by default all five. The others keep their rows."""
    parser.add_argument("--task", type=int, choices=list(TASKS), action="append")


def run(options: argparse.Namespace) -> None:
    """Train and score every cell on every task, and write the table."""
    folder = options.data.resolve() / "babi" / "en"
    if not folder.is_dir():
        raise SystemExit(f"{folder} does not exist: fetch bAbI from its authors, or give --data")
    results = tables.RESULTS / "babi.csv"
    found = pd.read_csv(results) if results.is_file() else pd.DataFrame({"task": []}, dtype=int)
    for task in options.task or TASKS:
        with tempfile.TemporaryDirectory() as scratch:
            rows = pd.DataFrame(scored(task, folder, Path(scratch)))
        print(rows.to_string(index=False), flush=True)
        found = pd.concat([found[found["task"] != task], rows], ignore_index=True)
        found = found.sort_values("task", kind="stable")
        text = table(found) + f"\n\n{notes(found)}"
        tables.write("babi", found, text, "python -m benchmarks babi")


def scored(task: int, folder: Path, scratch: Path) -> list[dict[str, Any]]:
    """A row for each seed of each cell, and for each baseline."""
    from retain.config import loader
    from retain.kinds.recall import dataset, prepare
    from retain.kinds.recall.config import Problem

    problem = loader.parse(f"task_{task}", entry(task, folder))
    assert isinstance(problem, Problem)
    prepare.prepare(problem, Path(), scratch)
    source = dataset.load(scratch)
    validation, test = ngram(source)
    rows: list[dict[str, Any]] = [
        {"model": "majority", "test": majority(source)},
        {"model": "last", "test": last(source)},
        {"model": "n-gram", "validation": validation, "test": test},
    ]
    for cell in CELLS:
        rows += trained(problem, cell, scratch, source)
    return [{"task": task, **row} for row in rows]


def trained(problem: Any, cell: str, prepared: Path, source: Any) -> list[dict[str, Any]]:
    """Train the networks of a cell as the pipeline does, and have them answer the test part."""
    from retain.kinds.recall import evaluate, setup
    from retain.training.trainer import fit, seed_everything

    began = time.process_time()
    seed_everything(problem.training)
    built = setup.build(problem, prepared, cell)
    with contextlib.redirect_stdout(io.StringIO()):  # a line for each epoch
        history = fit(built, problem.training, cell, cell)
    built.calibrate()
    network: Any = built.network
    shares = evaluate.answer_test(network, source).correct.mean(axis=1)
    seconds, chosen = time.process_time() - began, int(network.chosen)
    return [
        {
            "model": cell,
            "seed": seed,
            "parameters": built.config["parameters"],
            "learning_rate": built.config["learning_rates"][chosen],
            "best_epoch": 1 + min(history, key=lambda epoch: epoch.validation_loss).epoch,
            "cpu_seconds": round(seconds, 1),  # of all rates and seeds together
            "validation": float(network.accuracies[number, chosen]),
            "test": float(shares[number]),
        }
        for number, seed in enumerate(built.config["seeds"])
    ]


def majority(source: Any) -> float:
    """The share that the most frequent answer of training is right in the test."""
    answers = source.targets[source.part("train")].astype(int)
    return float((source.targets[source.part("test")] == np.bincount(answers).argmax()).mean())


def last(source: Any) -> float:
    """Return the share of test questions whose answer is the last answer word in the story."""
    answers = set(source.schema.answers)
    right = []
    for number in source.part("test"):
        words = told(source, number)
        story = words[: len(words) - words[::-1].index(".")]
        said = next((word for word in reversed(story) if word in answers), None)
        right.append(said == source.schema.answers[int(source.targets[number])])
    return float(np.mean(right))


def told(source: Any, number: int) -> list[str]:
    """The words of a story and, behind its last full stop, of the question."""
    start, steps = source.index[number, 2:4]
    return [source.schema.vocabulary[token] for token in source.tokens[start : start + steps]]


def grams(words: list[str]) -> set[tuple[str, ...]]:
    """The n-grams of the sentences that share a word with the question, which comes last."""
    *story, question = " ".join(words).split(" . ")
    asked = set(question.split()) - {"?"}
    found = [sentence.split() for sentence in story]
    return {
        tuple(own[at : at + n])
        for own in found
        if asked & set(own)
        for n in range(1, COUNTED + 1)
        for at in range(len(own) - n + 1)
    }


def ngram(source: Any) -> tuple[float, float]:
    """Right answers in validation and test of a linear classifier over `grams`.

    As Weston et al. describe their baseline, which leaves open how long n-grams are and how the
    classifier is trained: here logistic regression, its penalty chosen on validation.
    """
    import torch
    from torch.nn.functional import cross_entropy

    sets = {
        part: [grams(told(source, number)) for number in source.part(part)]
        for part in ("train", "validation", "test")
    }
    columns = {gram: n for n, gram in enumerate(sorted(set().union(*sets["train"])))}
    given, due = {}, {}
    for part, own in sets.items():
        given[part] = torch.zeros(len(own), len(columns))
        for row, each in enumerate(own):
            given[part][row, [columns[gram] for gram in each if gram in columns]] = 1
        due[part] = torch.from_numpy(source.targets[source.part(part)]).long()
    tried = []
    for penalty in PENALTIES:
        weight = torch.zeros(len(columns), len(source.schema.answers), requires_grad=True)
        bias = torch.zeros(len(source.schema.answers), requires_grad=True)
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=200)

        def loss(penalty: float = penalty, weight: Any = weight, bias: Any = bias) -> Any:
            value = cross_entropy(given["train"] @ weight + bias, due["train"])
            value = value + penalty * weight.square().sum()
            weight.grad = bias.grad = None
            value.backward()
            return value

        optimiser.step(loss)
        with torch.no_grad():
            said = {part: given[part] @ weight + bias for part in ("validation", "test")}
        right = [(said[part].argmax(1) == due[part]).float().mean().item() for part in said]
        tried.append((cross_entropy(said["validation"], due["validation"]).item(), right))
    _, (validation, test) = min(tried)
    return validation, test


def spread(shares: "pd.Series[float]") -> str:
    """The mean, and the range where there are several, in percent."""
    low, high = 100 * shares.min(), 100 * shares.max()
    return f"{100 * shares.mean():.1f}" + (f" ({low:.1f}–{high:.1f})" if len(shares) > 1 else "")


def table(found: pd.DataFrame) -> str:
    """Right answers in the test by task and model, beside what was published."""
    lines = []
    for task, own in found.groupby("task"):
        ours = {name: spread(rows["test"]) for name, rows in own.groupby("model")}
        lstm, counts = published.BABI[int(str(task))]
        lines.append(
            {
                "task": task,
                **{f"retain {cell}": ours[cell] for cell in CELLS},
                "LSTM, published": lstm,
                "n-gram": ours["n-gram"],
                "n-gram, published": counts,
                "last place named": ours["last"],
                "most frequent answer": ours["majority"],
            }
        )
    return "Right answers in the test, %, mean and range of the seeds:\n\n" + tables.markdown(
        pd.DataFrame(lines)
    )


def notes(found: pd.DataFrame) -> str:
    """Sizes, rates and time."""
    networks = found[found["model"].isin(CELLS)]
    sizes = networks.groupby("model")["parameters"].agg(["min", "max"]).astype(int)
    own = ", ".join(f"{cell} {low:,}–{high:,}" for cell, (low, high) in sizes.T.items())
    seconds = networks.groupby(["task", "model"])["cpu_seconds"].first().sum()
    return (
        f"Networks: {SEEDS} seeds, {len(RATES['lstm'])} learning rates for each cell, chosen with "
        f"the epoch by the loss on 100 questions of validation; parameters {own}, as a task has "
        f"few or many words. All trainings took {seconds / 60:.0f} minutes of one processor.\n\n"
        "The n-grams are ours after the paper's description, which leaves details open: those of "
        "the sentences that share a word with the question, and logistic regression. “Last place "
        "named” always answers with the last word of the story that is an answer."
    )
