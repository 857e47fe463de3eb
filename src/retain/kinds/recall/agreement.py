"""English that a grammar makes: what one word decides about another that comes much later.

Four questions, each asked as it is and after a change:

* pronoun: who is buying apples is he, she or they later;
* number: a subject before a long aside has is or are behind it;
* place: the city where somebody lives tells the name of the state;
* bill: who proposes a bill is he or she when it passes.

With a change there is another subject or city first, and the later one counts. Between the word
that decides and the question stand clauses about other things, verbs that agree with other subjects
among them.
"""

import re
from typing import NamedTuple

import numpy as np

WORD = re.compile(r"\w+(?:-\w+)*|[.;()]")
# Words before the one that decides: several, so that no network learns its place; few, so that a
# batch has one length. The shortest is too short for another subject.
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
FILLERS = {1: ["indeed"], 2: ["yes", "indeed"]}  # for what is too short for a clause
ASKED = {
    "pronoun": "then",
    "number": "still",
    "place": "the state there is called",
    "bill": "it passed because",
}
ANSWERS = ("he", "she", "they", "is", "are", *STATES.values())
GROUPS = tuple(f"{question}{change}" for question in ASKED for change in ("", ", changed"))
CHANCE = (1 / 3 + 1 / 2 + 1 / len(STATES) + 1 / 2) / len(ASKED)  # guessing what fits the question
NUMBER = "number"


class Told(NamedTuple):
    """A statement: what it decides, its words up to the one that decides, and those behind."""

    answer: str
    decides: str
    behind: str


def words(text: str) -> list[str]:
    """The words of a text in lower case; full stops, semicolons and brackets are words."""
    return WORD.findall(text.lower())


def example(group: int, gap: int, noise: np.random.Generator) -> tuple[list[str], str]:
    """The words of a text that ends with a question, and its answer.

    Args:
        group: number of one of GROUPS.
        gap: words between the one that decides and the last one of the question.
        noise: what is drawn comes from here.
    """
    question, changed = list(ASKED)[group // 2], group % 2
    told, early = _told(question, noise), []
    if changed:
        other = _told(question, noise)
        while other.answer == told.answer:
            other = _told(question, noise)
        closed = "went home ." if question == NUMBER else other.behind
        early = words(f"{other.decides} {closed}")
    lead = int(noise.choice(LEADS[changed:]))
    decides, behind, asked = words(told.decides), words(told.behind), words(ASKED[question])
    early += _clauses(lead + 1 - len(early) - len(decides), ".", noise)
    aside = ";" if question == NUMBER else "."
    behind += _clauses(gap + 1 - len(behind) - len(asked), aside, noise)
    if question == NUMBER:
        behind[-1] = ")"
    return [*early, *decides, *behind, *asked], told.answer


def vocabulary() -> tuple[str, ...]:
    """Every word that a text may have, answers among them."""
    parts = (*MEN, *WOMEN, *ACTS, *STATES, *CLAUSES, *ASKED.values(), *ANSWERS)
    trades = " ".join(f"{trade} {trade}s" for trade in TRADES)
    rest = "the and is are lives in proposes a bill went home yes indeed . ; ( )"
    return tuple(sorted(set(words(" ".join((*parts, trades, rest))))))


def _told(question: str, noise: np.random.Generator) -> Told:
    """A statement that decides the answer to a question."""
    man = bool(noise.integers(2))
    name, pronoun = (_one(MEN, noise), "he") if man else (_one(WOMEN, noise), "she")
    if question == "pronoun":
        act = _one(ACTS, noise)
        if noise.integers(3):
            return Told(pronoun, name, f"is {act} .")
        return Told("they", f"{name} and {_one(WOMEN if man else MEN, noise)}", f"are {act} .")
    if question == NUMBER:
        several = bool(noise.integers(2))
        return Told("are" if several else "is", f"the {_one(TRADES, noise)}{'s' * several}", "(")
    if question == "place":
        city = _one(tuple(STATES), noise)
        return Told(STATES[city], f"{name} lives in {city}", ".")
    return Told(pronoun, name, "proposes a bill .")


def _one(options: tuple[str, ...], noise: np.random.Generator) -> str:
    return options[noise.integers(len(options))]


def _clauses(count: int, end: str, noise: np.random.Generator) -> list[str]:
    """So many words: clauses, each with its end, of lengths that leave nothing over."""
    found: list[str] = []
    while (left := count - len(found)) > 2:
        clause = _one(CLAUSES, noise).split()
        over = left - len(clause) - 1
        if over == 0 or over > 2:
            found += [*clause, end]
    return found + (FILLERS[left] if left else [])
