"""What an LSTM still holds of each word of a conversation, read off its gates.

The cell state is a sum over all words read: cell[T] = Σ_t (Π_{s>t} forget[s]) · input[t] ·
modulation[t]. So the product of the forget gates after a word says exactly how much of what the
word wrote is left. Only slow units are counted, those with a half-life of two turns and more, if
there are any: the others serve the grammar of a sentence.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from retain.evaluation.arrays import Floats
from retain.kinds.chat.dataset import Encoder
from retain.kinds.chat.network import ChatModel
from retain.kinds.chat.turns import Conversation
from retain.networks import recurrent

SLOW = 24  # words, the half-life of a slow unit at least
TURNS = (0, 1, 2, 4, 8, 16, 32, 64)  # after the one in which a word was said
CONVERSATIONS = 60
TOLD, REPLACED, OTHERS = "told", "told, and replaced since", "of others"


def left(network: ChatModel, tokens: Sequence[int], places: Sequence[int]) -> Floats:
    """Return how much of what words wrote is left in the cell after each word.

    The amount is the sum over the slow units of |input · modulation|, and later of its product with
    the forget gates since.

    Args:
        network: its cell is an LSTM.
        tokens: all words of a conversation, in order.
        places: of the words to follow.

    Returns:
        (places, steps): at the word itself what it wrote; NaN before it.
    """
    assert isinstance(network.cell, nn.LSTM)
    with torch.inference_mode():
        inputs = network.embedding(torch.tensor(tokens)).unsqueeze(0)
        gates = recurrent.gates(network.cell, inputs)
        written = (gates.input * gates.modulation).abs()[0].double()  # (steps, units)
        forget = gates.forget[0].double()
        slow = recurrent.half_life(forget) >= SLOW
        slow = slow if slow.any() else torch.ones_like(slow)
        written, logs = written[:, slow], forget[:, slow].log().cumsum(0)
    amounts = np.full((len(places), len(tokens)), np.nan)
    for row, place in enumerate(places):
        amounts[row, place:] = ((logs[place:] - logs[place]).exp() @ written[place]).numpy()
    return amounts


class Mention(NamedTuple):
    """A value that the person named, and the turns in which it is followed."""

    what: str
    turn: int
    place: int  # of the word
    begin: int
    end: int  # the first turn in which it is not followed any more


def mentions(turns: Conversation, values: set[str]) -> tuple[list[int], list[Mention]]:
    """Return the place of the last word of each turn, and every value that the person named.

    A value is followed until its fact is said again. If another value replaced it, it is followed
    from then on as well, as REPLACED.
    """
    ends: list[int] = []
    found: list[Mention] = []
    told: dict[str, Mention] = {}  # by fact, those that were not said again
    begin = 1
    for number, turn in enumerate(turns):
        words = turn.you.split()
        if turn.fact in told and turn.event in ("asked", "changed"):
            before = told.pop(turn.fact)
            found.append(before._replace(end=number))
            if turn.event == "changed":
                found.append(before._replace(what=REPLACED, begin=number))
        for place, word in enumerate(words, start=begin):
            if word in values:
                what = TOLD if turn.event else OTHERS
                mention = Mention(what, number, place, number, len(turns))
                if turn.event:
                    told[turn.fact] = mention
                else:
                    found.append(mention)
        begin += len(words) + 1 + len(turn.bot.split()) + 1
        ends.append(begin - 1)
    return ends, [*found, *told.values()]


def by_turns(
    network: ChatModel,
    encoder: Encoder,
    conversations: Sequence[Conversation],
    facts: dict[str, tuple[str, ...]],
) -> pd.DataFrame:
    """Return how much is left of values by turns since they were named: columns what, turns, left.

    The mean over the first conversations, whose replies are the right ones; no rows where
    conversations do not say what a person tells of themselves.
    """
    values = {value for values in facts.values() for value in values}
    amounts: dict[tuple[str, int], list[float]] = {}
    told = any(turn.event == TOLD for turns in conversations for turn in turns)
    for turns in conversations[:CONVERSATIONS] if told else ():
        ends, found = mentions(turns, values)
        tokens, _ = encoder.conversation(turns)
        for mention, row in zip(
            found, left(network, tokens, [mention.place for mention in found]), strict=True
        ):
            for later in TURNS:
                turn = mention.turn + later
                if mention.begin <= turn < mention.end:
                    place = ends[turn] if later else mention.place
                    amounts.setdefault((mention.what, later), []).append(float(row[place]))
    rows = [
        (what, later, float(np.mean(amounts[what, later])))
        for what in (TOLD, REPLACED, OTHERS)
        for later in TURNS
        if (what, later) in amounts
    ]
    return pd.DataFrame(rows, columns=["what", "turns", "left"])
