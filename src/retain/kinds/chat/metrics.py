"""Right and wrong replies of a model, floors, and differences between two models."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from retain.config.schema import Bootstrap
from retain.evaluation import bootstrap
from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval
from retain.kinds.chat.turns import Conversation

# Turns since a fact was last said: 1 to 2, 3 to 4, 5 to 8, 9 to 16 and so on.
BINS = ((1, 2), *((2**power + 1, 2 ** (power + 1)) for power in range(1, 10)))
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Questions:
    """The questions of the test conversations, in their order.

    Attributes:
        conversation: number of the conversation of each: (questions,).
        since: turns since the fact was last said; 0 where it was not told: (questions,).
        fact: its name: (questions,).
        groups: which questions a figure of metrics.json is of, by its name: (questions,) each.
        conversations: number of all conversations.
    """

    conversation: NDArray[np.int64]
    since: NDArray[np.int64]
    fact: NDArray[np.str_]
    groups: dict[str, Bools]
    conversations: int

    @classmethod
    def of(cls, test: Sequence[Conversation]) -> Self:
        """Find the questions of conversations."""
        asked = [
            (number, turn)
            for number, turns in enumerate(test)
            for turn in turns
            if turn.event == "asked"
        ]
        since = np.array([turn.since for _, turn in asked], dtype=np.int64)
        changed = np.array([turn.changed for _, turn in asked], dtype=np.bool_)
        groups = {f"{low}_{high}": (low <= since) & (since <= high) for low, high in BINS}
        groups |= {"changed": changed & (since > 0), "not_told": since == 0}
        return cls(
            np.array([number for number, _ in asked], dtype=np.int64),
            since,
            np.array([turn.fact for _, turn in asked], dtype=np.str_),
            {name: chosen for name, chosen in groups.items() if chosen.any()},
            len(test),
        )

    def counts(self) -> dict[str, int]:
        """Return the number of questions of each figure."""
        return {name: int(chosen.sum()) for name, chosen in self.groups.items()}


@dataclass(frozen=True)
class Outcomes:
    """The replies of one model.

    Attributes:
        right: whether the reply to each question is: (questions,).
        others: share of right replies to lines that ask for no fact; NaN for a floor.
    """

    questions: Questions
    right: Bools
    others: float = math.nan

    @classmethod
    def of(cls, test: Sequence[Conversation], replies: Sequence[Sequence[str]]) -> Self:
        """Compare replies with those of the test conversations."""
        right: list[bool] = []
        others: list[bool] = []
        for turns, said in zip(test, replies, strict=True):
            for turn, reply in zip(turns, said, strict=True):
                (right if turn.event == "asked" else others).append(turn.bot == reply)
        share = float(np.mean(others)) if others else math.nan
        return cls(Questions.of(test), np.array(right, dtype=np.bool_), share)

    def scores(self) -> dict[str, float]:
        """Return the figures of metrics.json."""
        groups = self.questions.groups.items()
        accuracy = float(self.right.mean())
        figures = {"accuracy": accuracy, "error": 1 - accuracy}
        figures |= {f"accuracy_{name}": float(self.right[chosen].mean()) for name, chosen in groups}
        return figures if math.isnan(self.others) else figures | {"accuracy_others": self.others}

    def by_fact(self) -> dict[str, float]:
        """Return the share of right answers for each fact, of those that were told."""
        told, facts = self.questions.since > 0, self.questions.fact
        return {
            str(fact): float(self.right[told & (facts == fact)].mean())
            for fact in np.unique(facts[told])
        }

    def sums(self) -> Floats:
        """Return wrong answers and questions of each conversation: (2, conversations)."""
        numbers, count = self.questions.conversation, self.questions.conversations
        wrong = np.bincount(numbers, (~self.right).astype(float), count)
        return np.stack([wrong, np.bincount(numbers, minlength=count).astype(float)])


def floors(
    test: Sequence[Conversation],
    known: Iterable[Conversation],
    facts: Mapping[str, Sequence[str]],
) -> dict[str, Outcomes]:
    """Return the outcomes of three rules that do not remember who said what.

    They reply that a fact was not told; with the most frequent value of it; with the value of it
    that was named last, whoever said it and about whom.

    Args:
        known: conversations that are not in the test, to count values in.
        facts: the values of each fact in training; those that the test asks for are known, too.
    """
    counts: dict[str, Counter[str]] = {fact: Counter() for fact in facts}
    for turns in known:
        for turn in turns:
            if turn.event == "asked" and turn.value:
                counts[turn.fact][turn.value] += 1
    frequent = {
        fact: min(counted, key=lambda value: (-counted[value], value), default="")
        for fact, counted in counts.items()
    }
    fact_of = {value: fact for fact, values in facts.items() for value in values}
    fact_of |= {turn.value: turn.fact for turns in test for turn in turns if turn.value}
    right: dict[str, list[bool]] = {"not_told": [], "most_frequent": [], "last_named": []}
    for turns in test:
        named: dict[str, str] = {}
        for turn in turns:
            if turn.event == "asked":
                right["not_told"].append(not turn.value)
                right["most_frequent"].append(turn.value == frequent[turn.fact])
                right["last_named"].append(turn.value == named.get(turn.fact, ""))
            for word in f"{turn.you} {turn.bot}".split():
                if word in fact_of:
                    named[fact_of[word]] = word
    questions = Questions.of(test)
    return {name: Outcomes(questions, np.array(oks, dtype=np.bool_)) for name, oks in right.items()}


def compare(ours: Outcomes, theirs: Outcomes, settings: Bootstrap) -> dict[str, Interval]:
    """Return the error of `ours` minus that of `theirs`, with its interval.

    Conversations are drawn whole, since the questions of one share what was said in it.
    """
    sums = np.concatenate([ours.sums(), theirs.sums()])
    change = bootstrap.difference(
        sums, sums.sum(1)[:, None], 1, 1, settings.bootstrap, settings.seed, "conversations"
    )
    return {"error": change}
