"""Generated English, in which one word decides another that comes much later.

Four questions, each without and with a change:

* pronoun: the person who is buying apples is he, she or they later;
* number: a subject before a long bracket has is or are after it;
* place: the city where a person lives gives the name of the state;
* bill: the person who proposes a bill is he or she when it passes.

With a change, another subject or city comes first, and the later one counts. Between the deciding
word and the question there are clauses about other things, with verbs that agree with other
subjects.
"""

import re
from typing import NamedTuple

import numpy as np

WORD = re.compile(r"\w+(?:-\w+)*|[.;()]")
# Numbers of words before the deciding one: several, so that no network learns its position; few, so
# that all sequences of a batch have the same length. The shortest is too short for another subject.
LEADS = (3, 9, 14, 20)
MEN = ("martin", "paul", "peter", "john", "thomas", "robert")
WOMEN = ("jennifer", "martha", "mary", "anna", "laura", "helen")
ACTS = ("buying apples", "baking bread", "selling fish", "painting doors", "reading letters")
TRADES = ("farmer", "teacher", "sailor", "painter", "baker")
STATES = {
    "santa-fe": "new-mexico",
    "boston": "massachusetts",
    "austin": "texas",
    "denver": "colorado",
    "miami": "florida",
    "chicago": "illinois",
    "seattle": "washington",
    "phoenix": "arizona",
}
CLAUSES = (
    "rain fell",
    "bells rang",
    "time passed",
    "the wind turned",
    "a clock struck",
    "the dogs slept",
    "the sky is grey",
    "the shops are open",
    "a lamp is new",
    "the roads are wet",
    "a bird sang in town",
    "the trains left in time",
    "the river ran under the bridge",
    "two boats lay at the bridge",
)
FILLERS = {1: ["indeed"], 2: ["yes", "indeed"]}  # for gaps too short for a clause
ASKED = {
    "pronoun": "then",
    "number": "still",
    "place": "the state there is called",
    "bill": "it passed because",
}
ANSWERS = ("he", "she", "they", "is", "are", *STATES.values())
GROUPS = tuple(f"{question}{change}" for question in ASKED for change in ("", ", changed"))
CHANCE = (1 / 3 + 1 / 2 + 1 / len(STATES) + 1 / 2) / len(ASKED)  # guessing a fitting answer
NUMBER = "number"


class Statement(NamedTuple):
    """A statement that decides an answer: its words up to the deciding word, and the rest."""

    answer: str
    deciding: str
    rest: str


def split_words(text: str) -> list[str]:
    """Split a text into words in lower case; full stops, semicolons and brackets are words."""
    return WORD.findall(text.lower())


def example(group: int, gap: int, noise: np.random.Generator) -> tuple[list[str], str]:
    """Generate the words of a text that ends with a question, and its answer.

    Args:
        group: number of one of GROUPS.
        gap: words between the deciding word and the last one of the question.
        noise: the source of all random numbers.
    """
    question, changed = list(ASKED)[group // 2], group % 2
    statement = _statement(question, noise)
    words: list[str] = []
    if changed:
        earlier = _statement(question, noise)
        while earlier.answer == statement.answer:
            earlier = _statement(question, noise)
        closing = "went home ." if question == NUMBER else earlier.rest
        words = split_words(f"{earlier.deciding} {closing}")
    lead = int(noise.choice(LEADS[changed:]))
    deciding = split_words(statement.deciding)
    words += _clauses(lead + 1 - len(words) - len(deciding), ".", noise) + deciding
    rest, asked = split_words(statement.rest), split_words(ASKED[question])
    end = ";" if question == NUMBER else "."
    rest += _clauses(gap + 1 - len(rest) - len(asked), end, noise)
    if question == NUMBER:
        rest[-1] = ")"
    return [*words, *rest, *asked], statement.answer


def vocabulary() -> tuple[str, ...]:
    """Return every word that a text may have, answers included."""
    parts = (*MEN, *WOMEN, *ACTS, *STATES, *CLAUSES, *ASKED.values(), *ANSWERS)
    trades = " ".join(f"{trade} {trade}s" for trade in TRADES)
    rest = "the and is are lives in proposes a bill went home yes indeed . ; ( )"
    return tuple(sorted(set(split_words(" ".join((*parts, trades, rest))))))


def _statement(question: str, noise: np.random.Generator) -> Statement:
    """Generate a statement that decides the answer to a question."""
    man = bool(noise.integers(2))
    name, pronoun = (_one(MEN, noise), "he") if man else (_one(WOMEN, noise), "she")
    if question == "pronoun":
        act = _one(ACTS, noise)
        if noise.integers(3):
            return Statement(pronoun, name, f"is {act} .")
        return Statement("they", f"{name} and {_one(WOMEN if man else MEN, noise)}", f"are {act} .")
    if question == NUMBER:
        several = bool(noise.integers(2))
        return Statement(
            "are" if several else "is", f"the {_one(TRADES, noise)}{'s' * several}", "("
        )
    if question == "place":
        city = _one(tuple(STATES), noise)
        return Statement(STATES[city], f"{name} lives in {city}", ".")
    return Statement(pronoun, name, "proposes a bill .")


def _one(options: tuple[str, ...], noise: np.random.Generator) -> str:
    return options[noise.integers(len(options))]


def _clauses(count: int, end: str, noise: np.random.Generator) -> list[str]:
    """Generate a given number of words: complete clauses of suitable lengths."""
    words: list[str] = []
    while (left := count - len(words)) > 2:
        clause = _one(CLAUSES, noise).split()
        rest = left - len(clause) - 1
        if rest == 0 or rest > 2:
            words += [*clause, end]
    return words + (FILLERS[left] if left else [])
