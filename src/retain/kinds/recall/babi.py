"""Stories with questions in the text format of the bAbI tasks (Weston et al. 2015).

A line is a number and a sentence, or a number, a question, its answer and the numbers of the lines
that it follows from, with tabs between; a number of 1 begins a story. Files are named
`qaN_….train.txt` or `qaN_…_train.txt`, and the same with `test`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retain.errors import DataError, listed
from retain.kinds.recall.config import Data
from retain.kinds.recall.dataset import Example, Schema

FILE = re.compile(r"qa(?P<task>\d+)_.*[_.](?P<part>train|test)\.txt")
WORD = re.compile(r"[^\s.,?!;:]+|[.?]")


@dataclass(frozen=True)
class Question:
    """A question with all that was told before it."""

    words: list[str]
    answer: str
    gap: int  # words behind the first of the sentences that it follows from
    where: str


def words(text: str) -> list[str]:
    """The words of a text in lower case; full stops and question marks are words."""
    return WORD.findall(text.lower())


def questions(path: Path) -> Iterator[Question]:
    """The questions of a file, in its order.

    Raises:
        DataError: a line is not in the format, or the file has no question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: convert it with `iconv -t utf-8`") from None
    faults: list[str] = []
    told: dict[int, list[str]] = {}  # sentences of the story by the number of their line
    found = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        head, _, rest = line.partition(" ")
        if not head.isdecimal() or not rest.strip():
            faults.append(f"line {number}: {line[:60]!r} does not begin with a number and a blank")
            continue
        if int(head) == 1:
            told = {}
        elif told and int(head) <= max(told):
            faults.append(
                f"line {number}: number {head} after {max(told)}; a new story begins at 1"
            )
        question, *answer = rest.split("\t")
        if not answer:
            told[int(head)] = words(rest)
            continue
        facts = answer[1].split() if len(answer) > 1 else []
        unknown = [fact for fact in facts if not fact.isdecimal() or int(fact) not in told]
        if not answer[0].strip() or unknown:
            what = f"names {unknown[0]!r}, which is no line before it" if unknown else "is missing"
            faults.append(f"line {number}: the {'fact' if unknown else 'answer'} {what}")
            continue
        found += 1
        first = min(map(int, facts), default=min(told, default=0))
        behind = sum(len(sentence) for at, sentence in told.items() if at > first)
        asked = words(question)
        story = [word for sentence in told.values() for word in sentence]
        yield Question(story + asked, answer[0].strip().lower(), behind, f"{path}, line {number}")
    if faults:
        raise DataError(
            f"{path} is not in the format of the bAbI tasks (number, blank, sentence; questions "
            f"with tab, answer, tab, numbers of facts):\n{listed(faults)}"
        )
    if not found:
        raise DataError(f"{path} has no question: a line with a tab behind the question mark")


def files(data: Data, root: Path) -> dict[str, list[Path]]:
    """The files of training and test, by part.

    Raises:
        DataError: the folder is not there, or lacks files.
    """
    folder = root / data.path
    if not folder.is_dir():
        raise DataError(f"{data.path} is no folder: put files such as qa1_x_train.txt into one")
    found: dict[str, list[Path]] = {"train": [], "test": []}
    tasks = set()
    for path in sorted(folder.iterdir()):
        match = FILE.fullmatch(path.name)
        if match and (not data.tasks or int(match["task"]) in data.tasks):
            found[match["part"]].append(path)
            tasks.add(int(match["task"]))
    missing = [str(task) for task in data.tasks if task not in tasks]
    if missing or not found["train"] or not found["test"]:
        what = f"of task {', '.join(missing)}" if missing else "of training and test"
        raise DataError(
            f"{data.path} has no files {what}: they are named qaN_…_train.txt and qaN_…_test.txt"
        )
    return found


def _task(path: Path) -> int:
    match = FILE.fullmatch(path.name)
    assert match is not None
    return int(match["task"])


def read(data: Data, root: Path, digest: str) -> tuple[Schema, list[Example]]:
    """Every question of a folder; the last part of each training file is for validation.

    Raises:
        DataError: a file is not in the format, or the test asks for what training never has.
    """
    found = files(data, root)
    tasks = sorted({_task(path) for paths in found.values() for path in paths})
    asked: list[tuple[str, int, Question]] = []
    for path in found["test"]:
        asked += [("test", tasks.index(_task(path)), each) for each in questions(path)]
    for path in found["train"]:
        own = list(questions(path))
        kept = len(own) - max(1, round(len(own) * data.validation_share))
        task = tasks.index(_task(path))
        asked += [("train" if n < kept else "validation", task, each) for n, each in enumerate(own)]
    learned = [each for part, _, each in asked if part == "train"]
    vocabulary = tuple(sorted({word for each in learned for word in each.words}))
    answers = tuple(sorted({each.answer for each in learned}))
    numbers = {word: number for number, word in enumerate(vocabulary)}
    faults = []
    for part, _, each in asked:
        strange = sorted(set(each.words) - set(numbers)) or [each.answer] * (
            each.answer not in answers
        )
        if strange:
            faults.append(f"{each.where}: {strange[0]!r} is in no story of training ({part})")
    if faults:
        raise DataError(
            f"{data.path}: words that training never has; leave these stories out, or add some "
            f"with the words to the training file:\n{listed(faults)}"
        )
    gaps = _classes([each.gap for part, _, each in asked if part == "test"], data.test_gaps)
    groups = tuple(f"task {task}" for task in tasks)
    schema = Schema("babi", vocabulary, answers, gaps, digest, groups)
    made = [
        Example(
            part,
            next((gap for gap in data.test_gaps if each.gap <= gap), data.test_gaps[-1]),
            np.array([numbers[word] for word in each.words], dtype=np.uint16),
            float(answers.index(each.answer)),
            group=task,
        )
        for part, task, each in asked
    ]
    return schema, made


def _classes(gaps: list[int], bounds: tuple[int, ...]) -> tuple[int, ...]:
    """The bounds that have a gap at or below them and above the one before."""
    found = {next((bound for bound in bounds if gap <= bound), bounds[-1]) for gap in gaps}
    return tuple(sorted(found))
