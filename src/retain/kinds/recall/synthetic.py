"""Generated examples: the copy task, the adding problem, and agreement in English."""

import functools
import string
from collections.abc import Iterator

import numpy as np

from retain.kinds.recall import agreement
from retain.kinds.recall.config import Data
from retain.kinds.recall.dataset import Example, Schema

QUESTION = "?"
PLAIN, MARKED = ".", "+"


def schema(data: Data) -> Schema:
    """Return the meaning of tokens and targets."""
    if data.source == "adding":
        return Schema("adding", (PLAIN, MARKED), (), data.test_gaps, "")
    if data.source == "agreement":
        words, answers = agreement.vocabulary(), agreement.ANSWERS
        return Schema("agreement", words, answers, data.test_gaps, "", agreement.GROUPS)
    keys = tuple(string.ascii_uppercase[: data.symbols])
    distractors = tuple(key.lower() for key in keys)
    return Schema("copy", (*keys, *distractors, QUESTION), keys, data.test_gaps, "")


def examples(data: Data) -> Iterator[Example]:
    """Yield the examples of all parts; each gap of each part has a separate random generator."""
    of_a_gap = -(-data.train // len(data.train_gaps))
    counts = [("train", gap, of_a_gap) for gap in data.train_gaps]
    counts += [("validation", gap, data.validation) for gap in data.train_gaps]
    counts += [("test", gap, data.test) for gap in data.test_gaps]
    generate = {"adding": adding, "agreement": agree, "copy": copy}[data.source]
    for number, (part, gap, count) in enumerate(counts):
        noise = np.random.Generator(np.random.Philox(key=(data.seed, number)))
        for _ in range(count):
            yield generate(data, part, gap, noise)


def copy(data: Data, part: str, gap: int, noise: np.random.Generator) -> Example:
    """Generate a key, `gap` distractors, and the question which key it was."""
    key = noise.integers(data.symbols)
    between = noise.integers(data.symbols, 2 * data.symbols, gap)
    tokens = np.concatenate([[key], between, [2 * data.symbols]])
    return Example(part, gap, tokens.astype(np.uint16), float(key))


def adding(data: Data, part: str, gap: int, noise: np.random.Generator) -> Example:
    """Generate `gap` numbers between 0 and 1, one of each half marked, whose sum is the answer.

    In the form of Arjovsky, Shah & Bengio (2016), after Hochreiter & Schmidhuber (1997).
    """
    values = noise.random(gap).astype(np.float32)
    half = gap // 2
    marked = [noise.integers(half), half + noise.integers(gap - half)]
    tokens = np.zeros(gap, dtype=np.uint16)
    tokens[marked] = 1
    return Example(part, gap, tokens, float(values[marked].sum()), values)


def agree(data: Data, part: str, gap: int, noise: np.random.Generator) -> Example:
    """Generate a text of `agreement.py`, of any of its groups."""
    group = int(noise.integers(len(agreement.GROUPS)))
    words, answer = agreement.example(group, gap, noise)
    tokens = np.array([_numbers()[word] for word in words], dtype=np.uint16)
    return Example(part, gap, tokens, float(agreement.ANSWERS.index(answer)), group=group)


@functools.cache
def _numbers() -> dict[str, int]:
    return {word: number for number, word in enumerate(agreement.vocabulary())}
