"""Score every network of a chat problem on the test conversations, by turns since a fact was said.

Each network talks through all of a conversation: it reads its own replies, right or wrong. A reply
is right if all its words are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from retain.evaluation.arrays import Floats
from retain.evaluation.lstm_gates import Inspection
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Metrics, plots, stack, stack_histories
from retain.kinds.chat import dataset, memory, predictor
from retain.kinds.chat.config import Problem
from retain.kinds.chat.dataset import Encoder
from retain.kinds.chat.metrics import BINS, Outcomes, compare, floors
from retain.kinds.chat.predictor import Predictor
from retain.kinds.chat.turns import Conversation
from retain.kinds.tokens import judge, load_comparable, load_models

AT_ONCE = 100  # conversations, which bounds the memory
SHOWN = 30  # turns of the conversation in the report


class ChatMetrics(Metrics):
    """The content of metrics.json, also by fact, with the number of questions of each figure."""

    facts: dict[str, dict[str, float]]
    questions: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation: figures for metrics.json, tables, and a conversation."""

    metrics: ChatMetrics
    tables: dict[str, pd.DataFrame]
    schema: dataset.Schema
    gates: Inspection  # of the LSTM in the beginning of a test conversation
    talk: list[tuple[str, str, str]]  # line, the judged model's reply, the right reply

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables for `dvc plots`: a line for each model, or use of a word."""
        columns = {"by_turns": ("turns", "accuracy"), "training": ("epoch", "validation_loss")}
        kept = self.tables["kept"].rename(columns={"what": "model"})
        if len(kept):
            columns["kept"] = ("turns", "left")
        return plots(self.tables | {"kept": kept}, columns)


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem, and floors, on its test conversations.

    Args:
        prepared: the folder that `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    schema, test = dataset.load_schema(prepared), dataset.load(prepared, "test")
    known = dataset.load(prepared, "validation")  # conversations like those of training
    predictors = load_models(predictor.load, models, schema)
    replies = {cell: talk(model, test) for cell, model in predictors.items()}
    outcomes = {cell: Outcomes.of(test, said) for cell, said in replies.items()}
    figures: dict[str, dict[str, float]] = {}
    for cell, model in predictors.items():
        losses = reply_losses(model, test)
        config = model.config
        figures[cell] = outcomes[cell].scores() | {
            "loss": float(losses.mean()),
            "not_finite": int((~np.isfinite(losses)).sum()),
            "parameters": config["parameters"],
            "hidden_size": config["hidden_size"],
            "learning_rate": config["learning_rate"],
        }
    for name, outcome in floors(test, known, schema.facts).items():
        outcomes[name] = outcome
        figures[name] = outcome.scores()
    judged = judge(
        problem.register_cell,
        models,
        outcomes,
        lambda ours, theirs: compare(ours, theirs, problem.evaluation),
    )
    counts = {"conversations": len(test), "turns": sum(map(len, test))}
    return Evaluation(
        metrics={
            "models": figures,
            "differences": judged["differences"],
            "model": judged["model"],
            "validation_loss": judged["validation_loss"],
            "facts": {cell: outcomes[cell].by_fact() for cell in predictors},
            "questions": outcomes[MODEL].questions.counts() | counts,
        },
        tables={
            "by_turns": stack({name: by_turns(outcome) for name, outcome in outcomes.items()}),
            "kept": memory.by_turns(
                predictors[MODEL].network, Encoder(schema.vocabulary), test, schema.facts
            ),
            "training": stack_histories(models),
        },
        schema=schema,
        gates=inspect_test(predictors[MODEL], test),
        talk=[
            (turn.you, said, turn.bot)
            for turn, said in zip(test[0][:SHOWN], replies[judged["model"]][0], strict=False)
        ],
    )


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion, both on today's test conversations.

    Raises:
        IncomparableError: the champion has other words, or was trained on other files.
    """
    schema, test = dataset.load_schema(prepared), dataset.load(prepared, "test")
    old = load_comparable(predictor.load, champion, schema)
    ours, theirs = (Outcomes.of(test, talk(model, test)) for model in (predictor.load(new), old))
    return Comparison(
        measures=("error", "accuracy"),
        scores=(ours.scores(), theirs.scores()),
        differences=compare(ours, theirs, problem.evaluation),
    )


def talk(model: Predictor, conversations: Sequence[Conversation]) -> list[list[str]]:
    """Let a network reply to all lines of each conversation; return its replies."""
    encoder, replies = Encoder(model.schema.vocabulary), []
    for begin in range(0, len(conversations), AT_ONCE):
        part = conversations[begin : begin + AT_ONCE]
        state = model.network.begin(len(part))
        said: list[list[str]] = [[] for _ in part]
        for place in range(max(map(len, part))):
            lines = [
                encoder.words(turns[place].you) if place < len(turns) else [] for turns in part
            ]
            words, state = model.network.reply(lines, state)
            for number, line in enumerate(lines):
                if line:
                    said[number].append(model.write(words[number]))
        replies += said
    return replies


def reply_losses(model: Predictor, conversations: Sequence[Conversation]) -> Floats:
    """Return −ln p of each word of the right replies, after the right replies before it."""
    encoder, losses = Encoder(model.schema.vocabulary), []
    with torch.inference_mode():
        for begin in range(0, len(conversations), AT_ONCE):
            batch = encoder.batch(conversations[begin : begin + AT_ONCE])
            states, _ = model.network(batch.tokens[:-1])
            chosen = batch.weights > 0
            scores = model.network.scores(states[chosen]).double()
            targets = batch.tokens[1:][chosen]
            losses.append(functional.cross_entropy(scores, targets, reduction="none").numpy())
    return np.concatenate(losses)


def by_turns(outcome: Outcomes) -> pd.DataFrame:
    """Return a table of right answers by turns since the fact was said: the most of each range."""
    scores = outcome.scores()
    shares = {last: scores.get(f"accuracy_{first}_{last}") for first, last in BINS}
    rows = [(last, share) for last, share in shares.items() if share is not None]
    return pd.DataFrame(rows, columns=["turns", "accuracy"])


def inspect_test(model: Predictor, test: Sequence[Conversation]) -> Inspection:
    """Return the gates in the first turns of the test conversation where a fact changes soonest."""

    def place(turns: Conversation) -> int:
        return next((n for n, turn in enumerate(turns) if turn.event == "changed"), len(turns))

    chosen = min(test, key=place)
    encoder = Encoder(model.schema.vocabulary)  # which has a number for unknown words, too
    lines = [encoder.words(turn.you) for turn in chosen[: min(place(chosen) + 2, 8)]]
    return model.inspect_words("", model.transcript(lines))
