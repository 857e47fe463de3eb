"""Stories with questions in the text format of the bAbI tasks (Weston et al. 2015).

A line has a number and a sentence, or a number, a question, its answer and the numbers of the
supporting lines, separated by tabs; the number 1 begins a story. Files are named `qaN_….train.txt`
or `qaN_…_train.txt`, and the same with `test`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retain.errors import DataError
from retain.kinds.recall.config import Data
from retain.kinds.recall.dataset import Example, Schema
from retain.words import listed

FILE = re.compile(r"qa(?P<task>\d+)_.*[_.](?P<part>train|test)\.txt")
WORD = re.compile(r"[^\s.,?!;:]+|[.?]")


class File(NamedTuple):
    """A file of one task's stories."""

    part: str
    task: int
    path: Path


@dataclass(frozen=True)
class Question:
    """A question with all sentences before it."""

    words: list[str]
    answer: str
    gap: int  # words after the first supporting sentence
    where: str


def split_words(text: str) -> list[str]:
    """Split a text into words in lower case; full stops and question marks are words."""
    return WORD.findall(text.lower())


def read_questions(path: Path) -> Iterator[Question]:
    """Yield the questions of a file, in its order.

    Raises:
        DataError: a line is not in the format, or the file has no question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text: convert it with `iconv -t utf-8`") from None
    faults: list[str] = []
    story: dict[int, list[str]] = {}  # the words of its sentences by the number of their line
    has_question = False
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        head, _, rest = line.partition(" ")
        if not head.isdecimal() or not rest.strip():
            faults.append(f"line {number}: {line[:60]!r} does not begin with a number and a blank")
            continue
        place, newest = int(head), max(story, default=0)
        if place == 1:
            story = {}
        elif story and place <= newest:
            faults.append(f"line {number}: number {head} after {newest}; a new story begins at 1")
        text, *answer = rest.split("\t")
        if not answer:
            story[place] = split_words(rest)
            continue
        facts = answer[1].split() if len(answer) > 1 else []
        if fault := _fault_of(answer[0], facts, story):
            faults.append(f"line {number}: {fault}")
            continue
        has_question = True
        first = min(map(int, facts), default=min(story, default=0))
        yield Question(
            [word for sentence in story.values() for word in sentence] + split_words(text),
            answer[0].strip().lower(),
            sum(len(sentence) for fact, sentence in story.items() if fact > first),
            f"{path}, line {number}",
        )
    if faults:
        raise DataError(
            f"{path} is not in the format of the bAbI tasks (number, blank, sentence; questions "
            f"with tab, answer, tab, numbers of facts):\n{listed(faults)}"
        )
    if not has_question:
        raise DataError(f"{path} has no question: a line with a tab behind the question mark")


def _fault_of(answer: str, facts: list[str], story: Mapping[int, object]) -> str:
    """Say what is wrong with a question's answer and the numbers of its facts; "" if nothing is."""
    for fact in facts:
        if not fact.isdecimal() or int(fact) not in story:
            return f"the fact names {fact!r}, which is no line before it"
    return "" if answer.strip() else "the answer is missing"


def find_files(data: Data, root: Path) -> list[File]:
    """Find the training files, then the test files, sorted by name.

    Raises:
        DataError: the folder or a file is missing.
    """
    folder = root / data.path
    if not folder.is_dir():
        raise DataError(f"{data.path} is no folder: put files such as qa1_x_train.txt into one")
    files = [
        File(match["part"], int(match["task"]), path)
        for path in sorted(folder.iterdir())
        if (match := FILE.fullmatch(path.name))
        and (not data.tasks or int(match["task"]) in data.tasks)
    ]
    missing = [str(task) for task in data.tasks if task not in {file.task for file in files}]
    if missing or len({file.part for file in files}) < 2:
        what = f"of task {', '.join(missing)}" if missing else "of training and test"
        raise DataError(
            f"{data.path} has no files {what}: they are named qaN_…_train.txt and qaN_…_test.txt"
        )
    return sorted(files, key=lambda file: file.part, reverse=True)


def read(data: Data, files: list[File], digest: str) -> tuple[Schema, list[Example]]:
    """Read every question; the last part of each training file is for validation.

    Raises:
        DataError: a file is not in the format, or the test has words that training does not have.
    """
    tasks = sorted({file.task for file in files})
    questions: list[tuple[str, int, Question]] = []
    for file in sorted(files, key=lambda file: file.part):
        group = tasks.index(file.task)
        in_file = list(read_questions(file.path))
        end = len(in_file)
        if file.part == "train":
            end -= max(1, round(len(in_file) * data.validation_share))
        questions += [(file.part, group, question) for question in in_file[:end]]
        questions += [("validation", group, question) for question in in_file[end:]]
    learned = [question for part, _, question in questions if part == "train"]
    vocabulary = tuple(sorted({word for question in learned for word in question.words}))
    answers = tuple(sorted({question.answer for question in learned}))
    numbers = {word: number for number, word in enumerate(vocabulary)}
    faults, examples = [], []
    for part, group, question in questions:
        unknown = sorted(set(question.words) - set(numbers))
        if unknown or question.answer not in answers:
            word = unknown[0] if unknown else question.answer
            faults.append(f"{question.where}: {word!r} is in no story of training ({part})")
            continue
        tokens = np.array([numbers[word] for word in question.words], dtype=np.uint16)
        gap = next((gap for gap in data.test_gaps if question.gap <= gap), data.test_gaps[-1])
        target = float(answers.index(question.answer))
        examples.append(Example(part, gap, tokens, target, group=group))
    if faults:
        raise DataError(
            f"{data.path}: words that training never has; leave these stories out, or add some "
            f"with the words to the training file:\n{listed(faults)}"
        )
    gaps = tuple(sorted({example.gap for example in examples if example.part == "test"}))
    groups = tuple(f"task {task}" for task in tasks)
    return Schema("babi", vocabulary, answers, gaps, digest, groups), examples
