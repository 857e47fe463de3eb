"""Conversations that people have, read from files: a turn a line, `you TAB bot`.

Facts are not marked in such files. A word of a reply counts as one if it is rare in the training
part, or not in it at all, and if the person said it in an earlier line but not in the line that is
replied to.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from retain.errors import DataError
from retain.kinds import text_files
from retain.kinds.chat.config import Data
from retain.kinds.chat.turns import LONGEST_LINE, Conversation, Turn, split_words
from retain.words import listed

ENDINGS = (".txt", ".txt.gz", ".tsv", ".tsv.gz")
FACT = "word"  # the name of every fact
FEW = 0.05  # share of the turns that have a word which may be a fact, at most
FEWEST = 3  # conversations: one of each part


def read(data: Data, root: Path) -> tuple[list[Conversation], str]:
    """Read the different conversations of a folder, or of one file, and the md5 of the files.

    Raises:
        DataError: a file is missing, damaged or no UTF-8, a line is no turn, or there are too few
            conversations.
    """
    names = text_files.find_files(data.path, root, ENDINGS)
    texts, digest = text_files.read_files(names, root)
    conversations: list[Conversation] = []
    for name, text in texts.items():
        conversations += parse(text, name)
    different = list(dict.fromkeys(conversations))
    if repeated := len(conversations) - len(different):
        print(f"{repeated:,} conversations are left out, since they were given before")
    if len(different) < FEWEST:
        raise DataError(
            f"{data.path} has {len(different)} different conversations, and needs {FEWEST} for "
            f"training, validation and test: put an empty line between two conversations"
        )
    return different, digest


def parse(text: str, name: str) -> list[Conversation]:
    """Return the conversations of a file.

    Raises:
        DataError: a line is no turn, or too long.
    """
    conversations: list[list[Turn]] = [[]]
    faults, too_long = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            conversations.append([])
            continue
        sides = [" ".join(split_words(side)) for side in line.split("\t")]
        if len(sides) != 2 or not all(sides):
            faults.append(f"line {number}: {line[:60]!r}")
            continue
        if max(len(side.split()) for side in sides) > LONGEST_LINE:
            too_long.append(f"line {number}: {line[:60]!r}")
        conversations[-1].append(Turn(sides[0], sides[1]))
    if too_long:
        raise DataError(
            f"{name}: at most {LONGEST_LINE:,} words are read of the person or of the bot; cut "
            f"these lines:\n{listed(too_long)}"
        )
    if faults:
        raise DataError(
            f"{name}: each line must have the words of the person, one tab, and the words of the "
            f"bot:\n{listed(faults)}"
        )
    return [tuple(turns) for turns in conversations if turns]


def split(conversations: Sequence[Conversation], data: Data) -> dict[str, Sequence[Conversation]]:
    """Return the parts: the last conversations are for the test, those before for validation.

    Raises:
        DataError: no conversation is left to train on.
    """
    count = len(conversations)
    test = max(1, round(count * data.test_share))
    validation = max(1, round(count * data.validation_share))
    first = count - test - validation
    if first < 1:
        raise DataError(
            f"{data.path}: of {count} conversations, {test} of test and {validation} of validation "
            f"leave none to train on; give more, or lower data.test_share"
        )
    return {
        "train": conversations[:first],
        "validation": conversations[first : count - test],
        "test": conversations[count - test :],
    }


def common_words(conversations: Iterable[Conversation]) -> set[str]:
    """Return the words that many turns have, in the person's line or the bot's."""
    turns = [set(f"{turn.you} {turn.bot}".split()) for of_one in conversations for turn in of_one]
    counts = Counter(word for words in turns for word in words)
    return {word for word, count in counts.items() if count > max(1, FEW * len(turns))}


def annotate(conversation: Conversation, common: set[str]) -> Conversation:
    """Return a conversation with the facts that are asked for in it; no common word is one."""
    said: set[str] = set()  # by the person
    last: dict[str, int] = {}  # the turn in which a word was last said, by either
    annotated = []
    for number, turn in enumerate(conversation):
        line, reply = turn.you.split(), turn.bot.split()
        fact = next((w for w in reply if w in said and w not in common and w not in line), "")
        asked = ("asked", FACT, fact, number - last[fact]) if fact else ()
        annotated.append(Turn(turn.you, turn.bot, *asked))
        said |= set(line)
        last |= dict.fromkeys([*line, *reply], number)
    return tuple(annotated)
