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
    """A file of one task's stories; its name is the path in the project."""

    part: str
    task: int
    name: str


@dataclass(frozen=True)
class Question:
    """A question with all sentences before it."""

    words: list[str]
    answer: str
    gap: int  # words after the first supporting sentence
    story: int  # its number in the file
    where: str


def split_words(text: str) -> list[str]:
    """Split a text into words in lower case; full stops and question marks are words."""
    return WORD.findall(text.lower())


def parse_questions(text: str, name: str) -> Iterator[Question]:
    """Yield the questions of a file, in its order.

    Raises:
        DataError: a line is not in the format, or the file has no question.
    """
    faults: list[str] = []
    story: dict[int, list[str]] = {}  # the words of its sentences by the number of their line
    stories = 0
    has_question = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        head, _, rest = line.partition(" ")
        if not _is_number(head) or not rest.strip():
            faults.append(f"line {number}: {line[:60]!r} does not begin with a number and a blank")
            continue
        place, newest = int(head), max(story, default=0)
        if place == 1:
            story, stories = {}, stories + 1
        elif story and place <= newest:
            faults.append(f"line {number}: number {head} after {newest}; a new story begins at 1")
        asked, *answer = rest.split("\t")
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
            [word for sentence in story.values() for word in sentence] + split_words(asked),
            answer[0].strip().lower(),
            sum(len(sentence) for fact, sentence in story.items() if fact > first),
            stories,
            f"{name}, line {number}",
        )
    if faults:
        raise DataError(
            f"{name} is not in the format of the bAbI tasks (number, blank, sentence; questions "
            f"with tab, answer, tab, numbers of facts):\n{listed(faults)}"
        )
    if not has_question:
        raise DataError(f"{name} has no question: a line with a tab behind the question mark")


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _fault_of(answer: str, facts: list[str], story: Mapping[int, object]) -> str:
    """Say what is wrong with a question's answer and the numbers of its facts; "" if nothing is."""
    for fact in facts:
        if not _is_number(fact) or int(fact) not in story:
            return f"the fact names {fact[:20]!r}, which is no line before it"
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
        File(match["part"], int(match["task"]), (Path(data.path) / name).as_posix())
        for name in sorted(path.name for path in folder.iterdir())
        if (match := FILE.fullmatch(name)) and (not data.tasks or int(match["task"]) in data.tasks)
    ]
    missing = [str(task) for task in data.tasks if task not in {file.task for file in files}]
    if missing or len({file.part for file in files}) < 2:
        what = f"of task {', '.join(missing)}" if missing else "of training and test"
        raise DataError(
            f"{data.path} has no files {what}: they are named qaN_…_train.txt and qaN_…_test.txt"
        )
    return sorted(files, key=lambda file: file.part, reverse=True)


def parse(
    data: Data, files: list[File], texts: Mapping[str, str], digest: str
) -> tuple[Schema, list[Example]]:
    """Return every question; the last stories of each training file are for validation.

    Args:
        texts: the content of each file by its name.

    Raises:
        DataError: a file is not in the format, the test has words that training does not have, or
            training has too many.
    """
    tasks = sorted({file.task for file in files})
    questions: list[tuple[str, int, Question]] = []
    for file in sorted(files, key=lambda file: file.part):
        group = tasks.index(file.task)
        in_file = list(parse_questions(texts[file.name], file.name))
        end = learned_count(in_file, data) if file.part == "train" else len(in_file)
        questions += [(file.part, group, question) for question in in_file[:end]]
        questions += [("validation", group, question) for question in in_file[end:]]
    learned = [question for part, _, question in questions if part == "train"]
    vocabulary = tuple(sorted({word for question in learned for word in question.words}))
    if len(vocabulary) > np.iinfo(np.uint16).max:
        raise DataError(f"{data.path}: {len(vocabulary):,} words are too many to tell apart")
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


def learned_count(questions: list[Question], data: Data) -> int:
    """Return how many questions are learned from; if there are several stories, whole ones."""
    end = len(questions) - max(1, round(len(questions) * data.validation_share))
    begins = [n for n in range(1, len(questions)) if questions[n].story > questions[n - 1].story]
    return min(begins, key=lambda begin: abs(begin - end), default=end)
