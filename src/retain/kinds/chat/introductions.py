"""Generated conversations in which a person introduces themselves, and asks later what they said.

There are four facts: name, town, favourite colour and food. Each may be told, changed, and asked
for in several wordings; between are small talk, and lines in which other people's names, towns,
colours and foods occur. The replies follow from the lines and the facts alone.
"""

import math
from collections.abc import Sequence

import numpy as np

from retain.kinds.chat.turns import Conversation, Turn
from retain.kinds.chat.wordings import FACTS, NOT_TOLD, OPENINGS, OTHERS, SMALL_TALK, VALUES

OPENED, OTHER, TOLD, CHANGED, BEFORE = 0.2, 0.6, 0.85, 0.25, 0.25
HELD_OUT = 4  # of as many pairs of name and town one is in the test part alone


class Noise:
    """Random numbers that are a function of a seed, a stream and a number."""

    def __init__(self, seed: int, stream: int, number: int):
        self._generator = np.random.Generator(np.random.Philox(key=(4 * seed + stream, number)))
        self._drawn: list[float] = []

    def share(self) -> float:
        """Draw a number from 0 to 1."""
        if not self._drawn:
            self._drawn = self._generator.random(512).tolist()
        return self._drawn.pop()

    def below(self, count: int) -> int:
        """Draw a whole number from 0 to `count` − 1."""
        return int(self.share() * count)


def one(options: Sequence[str], noise: Noise) -> str:
    """Draw one of several words."""
    return options[noise.below(len(options))]


def vocabulary() -> tuple[str, ...]:
    """Return every word that a line or a reply may have."""
    texts = [NOT_TOLD, *OPENINGS]
    for values in VALUES.values():
        texts += values
    for pairs in (OTHERS, SMALL_TALK, *(fact.told + fact.changed for fact in FACTS.values())):
        texts += [text for pair in pairs for text in pair]
    for wordings in FACTS.values():
        texts += [*wordings.asked, wordings.answer]
    words = {word for text in texts for word in text.split() if not word.startswith("{")}
    return tuple(sorted(words))


def conversation(turns: int, test: bool, noise: Noise) -> Conversation:
    """Generate a conversation.

    The turns between two mentions of a fact are log-uniform, up to the whole conversation.

    Args:
        turns: its length.
        test: whether its pairs of name and town are those that no other part has.
        noise: the source of all random numbers.
    """
    plan = _plan(turns, noise)
    values = {fact: one(words, noise) for fact, words in VALUES.items()}
    values["town"] = one(_towns(values["name"], test), noise)
    last: dict[str, int] = {}  # the turn in which a fact was last said
    changed: set[str] = set()
    conversation = []
    for turn, (event, fact) in enumerate(plan):
        if not event:
            conversation.append(_small_talk(values, noise))
            continue
        wordings = FACTS[fact]
        if event == "asked":
            line = one(wordings.asked, noise)
            since = turn - last[fact] if fact in last else 0
            reply = wordings.answer.format(values[fact]) if since else NOT_TOLD
            value = values[fact] if since else ""
            parts = (_opened(line, noise), reply, event, fact, value, since, fact in changed)
            conversation.append(Turn(*parts))
            if not since:
                continue
        else:
            if event == "changed":
                values[fact] = _another(fact, values, test, noise)
                changed.add(fact)
            pairs = wordings.changed if event == "changed" else wordings.told
            line, reply = pairs[noise.below(len(pairs))]
            line, reply = line.format(values[fact]), reply.format(values[fact])
            conversation.append(Turn(_opened(line, noise), reply, event, fact, values[fact]))
        last[fact] = turn
    return tuple(conversation)


def _plan(turns: int, noise: Noise) -> list[tuple[str, str]]:
    """Draw for each turn what happens, told, changed or asked, and which fact; or nothing."""
    plan = [("", "")] * turns

    def put(turn: int, event: str, fact: str) -> int:
        while turn < turns and plan[turn][0]:
            turn += 1
        if turn < turns:
            plan[turn] = (event, fact)
        return turn

    def gap() -> int:
        return max(1, round(math.pow(turns, noise.share())))

    for fact in FACTS:
        if noise.share() > TOLD:
            turn = put(noise.below(turns), "asked", fact)
            put(turn + gap(), "asked", fact)
            continue
        turn = noise.below(max(1, turns // 3))
        if noise.share() < BEFORE:
            turn = put(turn, "asked", fact) + 1
        turn = put(turn, "told", fact)
        while (turn := turn + gap()) < turns:
            turn = put(turn, "changed" if noise.share() < CHANGED else "asked", fact)
    return plan


def _towns(name: str, test: bool) -> list[str]:
    """Return the towns that a person of this name may live in, in the test part or elsewhere."""
    number = VALUES["name"].index(name)
    return [
        town
        for place, town in enumerate(VALUES["town"])
        if ((place + number) % HELD_OUT == 0) is test
    ]


def _another(fact: str, values: dict[str, str], test: bool, noise: Noise) -> str:
    """Draw another value of a fact."""
    options: Sequence[str] = VALUES[fact]
    if fact == "town":
        options = _towns(values["name"], test)
    elif fact == "name":
        options = [name for name in options if values["town"] in _towns(name, test)]
    return one([option for option in options if option != values[fact]], noise)


def _small_talk(values: dict[str, str], noise: Noise) -> Turn:
    """Draw a line that tells nothing, of others or of nobody; no value of the person is in it."""
    if noise.share() > OTHER:
        line, reply = SMALL_TALK[noise.below(len(SMALL_TALK))]
        return Turn(_opened(line, noise), reply)
    line, reply = OTHERS[noise.below(len(OTHERS))]
    others = {}
    for fact, words in VALUES.items():
        others[fact] = one(words, noise)
        while others[fact] == values[fact]:
            others[fact] = one(words, noise)
    return Turn(_opened(line.format(**others), noise), reply.format(**others))


def _opened(line: str, noise: Noise) -> str:
    return f"{one(OPENINGS, noise)} {line}" if noise.share() < OPENED else line
