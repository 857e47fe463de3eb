"""Turns of a conversation, and how a line is split into words."""

import re
from typing import NamedTuple

from retain.kinds.word_pattern import compose, joined_words

LONGEST_LINE = 1000  # words
WORD = re.compile(joined_words(r"[^\W_]", "'’-"))
# Other spellings of words, as the conversations have them.
SPELLINGS = {
    "i'm": "i am",
    "i've": "i have",
    "what's": "what is",
    "where's": "where is",
    "who's": "who is",
    "it's": "it is",
    "can't": "can not",
    "cannot": "can not",
    "don't": "do not",
    "color": "colour",
    "colors": "colours",
    "favorite": "favourite",
    "neighbor": "neighbour",
    "hi": "hello",
}


class Turn(NamedTuple):
    """A line of the person and the reply of the bot.

    Attributes:
        you, bot: words in lower case with a blank between them.
        event: `told`, `changed` or `asked`; empty where the line is about no fact of the person.
        fact: its name, such as `town`; empty where there is none.
        value: the word that it is; empty where it was not told before it was asked for.
        since: of a question, the turns since the fact was last said, by either; 0 where it was not.
        changed: of a question, whether the fact had another value before.
    """

    you: str
    bot: str
    event: str = ""
    fact: str = ""
    value: str = ""
    since: int = 0
    changed: bool = False


Conversation = tuple[Turn, ...]


def split_words(line: str) -> list[str]:
    """Split a line into words in lower case, without punctuation marks.

    >>> split_words("Hi, I'm Anna!")
    ['hello', 'i', 'am', 'anna']
    """
    words = [word.replace("’", "'") for word in WORD.findall(compose(line.lower()))]
    return " ".join(SPELLINGS.get(word, word) for word in words).split()
