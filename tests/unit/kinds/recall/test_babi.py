"""Stories and params of recall problems as people write them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retain.config.loader import parse
from retain.errors import DataError, ParamsError
from retain.kinds.recall import babi, dataset, prepare
from retain.kinds.recall.config import Problem

STORY = """\
1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Where is John?\thallway\t2
1 John moved to the hallway.
2 Where is John?\thallway\t1
"""


def folder(place: Path, train: str = 5 * STORY, test: str = STORY) -> Path:
    (place / "tasks").mkdir()
    (place / "tasks" / "qa1_small_train.txt").write_text(train)
    (place / "tasks" / "qa1_small_test.txt").write_text(test)
    return place


def problem(**data: Any) -> Problem:
    entry = {
        "kind": "recall",
        "preset": "fast",
        "data": {"source": "babi", "path": "tasks", "test_gaps": [5, 10, 100], **data},
        "gate": [],
    }
    parsed = parse("small", entry)
    assert isinstance(parsed, Problem)
    return parsed


def read(root: Path) -> dataset.Sequences:
    (root / "prepared").mkdir()
    prepare.prepare(problem(), root, root / "prepared")
    return dataset.load(root / "prepared")


def test_a_question_has_all_sentences_before_it_and_no_question() -> None:
    first, second, third = babi.parse_questions(STORY, "a.txt")
    assert " ".join(first.words) == (
        "mary moved to the bathroom . john went to the hallway . where is mary ?"
    )
    assert first.answer == "bathroom"
    assert "daniel" in second.words
    assert second.words.count("?") == 1
    assert " ".join(third.words) == "john moved to the hallway . where is john ?"


def test_the_gap_is_the_number_of_words_after_the_first_fact() -> None:
    assert [question.gap for question in babi.parse_questions(STORY, "a.txt")] == [6, 7, 0]


def test_stories_become_numbers_of_words_and_answers(tmp_path: Path) -> None:
    source = read(folder(tmp_path))
    assert source.schema.answers == ("bathroom", "hallway")
    assert source.schema.gaps == (5, 10)  # a longer one does not occur
    assert source.schema.groups == ("task 1",)
    (first, *_) = source.part("test")
    start, length = source.index[first, 2:4]
    words = [source.schema.vocabulary[t] for t in source.tokens[start : start + length]]
    assert " ".join(words).endswith("where is mary ?")
    assert [len(source.part(part)) for part in dataset.PARTS] == [12, 3, 3]
    assert np.isin(source.index[source.part("test"), 1], [5, 10]).all()


@pytest.mark.parametrize(("stories", "learned"), [(5, 20), (19, 85), (200, 900)])
def test_no_story_is_in_two_parts(stories: int, learned: int) -> None:
    story = "1 Mary sat.\n" + "".join(f"{n} Who sat?\tMary\t1\n" for n in range(2, 7))
    questions = list(babi.parse_questions(stories * story, "a.txt"))
    assert babi.learned_count(questions, problem().data) == learned
    assert babi.learned_count(questions[:5], problem().data) == 4  # there is no other


def test_too_many_words_are_refused(tmp_path: Path) -> None:
    words = "".join(f"{n + 1} w{n} sat.\n" for n in range(66_000))
    text = f"{words}70000 Who sat?\tw1\t2\n1 w1 sat.\n2 Who sat?\tw1\t1\n"
    with pytest.raises(DataError, match=r"tasks: 66,\d+ words are too many to tell apart"):
        read(folder(tmp_path, train=text))


def test_a_byte_order_mark_is_no_part_of_a_story(tmp_path: Path) -> None:
    source = read(folder(tmp_path, test=f"\ufeff{STORY}"))
    assert len(source.part("test")) == 3


FAULTS = {
    "too long a number": ("1" * 5000 + " Mary sat.\n", "does not begin with a number"),
    "too long a number of a fact": (
        f"1 Mary sat.\n2 Who sat?\tMary\t{'1' * 5000}\n",
        "which is no line before it",
    ),
    "no number": (
        "Mary moved to the bathroom.\n",
        "line 1: 'Mary moved to the bathroom.' does not begin with a number and a blank",
    ),
    "a number that goes back": (
        "1 Mary sat.\n3 John sat.\n2 Mary went.\n4 Who sat?\tJohn\t3\n",
        "line 3: number 2 after 3; a new story begins at 1",
    ),
    "a fact that comes later": (
        "1 Mary sat.\n2 Who sat?\tMary\t3\n3 John sat.\n",
        "line 2: the fact names '3', which is no line before it",
    ),
    "no answer": ("1 Mary sat.\n2 Who sat?\t \t1\n", "line 2: the answer is missing"),
    "no question": ("1 Mary sat.\n", "has no question: a line with a tab"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        read(folder(tmp_path, test=text))
    assert message in str(error.value)
    assert "tasks/qa1_small_test.txt" in str(error.value)


def test_a_word_that_training_never_has_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(folder(tmp_path, test=STORY.replace("back", "home")))
    assert "qa1_small_test.txt, line 5: 'home' is in no story of training" in str(error.value)


def test_text_that_is_not_utf8_says_how_to_convert_it(tmp_path: Path) -> None:
    path = folder(tmp_path) / "tasks" / "qa1_small_test.txt"
    path.write_bytes(STORY.replace("Mary", "Mária").encode("latin-1"))
    with pytest.raises(DataError, match=r"test.txt, line 1, byte 4 \(0xe1\): not UTF-8;"):
        read(tmp_path)


def test_a_folder_without_files_says_what_they_are_called(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tasks is no folder: put files such as"):
        prepare.prepare(problem(), tmp_path, tmp_path)
    (tmp_path / "tasks").mkdir()
    with pytest.raises(DataError, match="has no files of training and test: they are named"):
        prepare.prepare(problem(), tmp_path, tmp_path)
    (tmp_path / "tasks" / "qa1_small_train.txt").write_text(STORY)
    with pytest.raises(DataError, match="has no files of task 7"):
        prepare.prepare(problem(tasks=[1, 7]), tmp_path, tmp_path)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a source that is read without a path": (
        {"data": {"source": "babi"}},
        "`problems.small.data`: babi is read: path must name the folder of the stories",
    ),
    "gaps that do not increase": (
        {"data": {"source": "babi", "path": "tasks", "test_gaps": [10, 5]}},
        "`problems.small.data.test_gaps`: gaps must increase",
    ),
    "more rates for one cell": (
        {"training": {"learning_rates": {"lstm": [0.1], "gru": [0.1], "rnn": [0.1, 0.01]}}},
        "`problems.small.training.learning_rates`: try as many rates for each cell",
    ),
    "a cell without rates": (
        {"training": {"learning_rates": {"lstm": [0.1]}}},
        "`problems.small.training`: learning_rates has none for gru",
    ),
    "an error of another kind": (
        {"gate": [{"check": "beats", "baseline": "rnn", "metric": "mae"}]},
        "gate.0.metric is 'mae'; expected one of error",
    ),
    "a baseline of another kind": (
        {"gate": [{"check": "beats", "baseline": "naive"}]},
        "gate.0.baseline is 'naive'; expected one of rnn, gru",
    ),
    "cells without the lstm first": (
        {"training": {"cells": ["rnn", "lstm"]}},
        "`problems.small.training.cells`: name each cell once, lstm first",
    ),
}


@pytest.mark.parametrize(("entry", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_params_is_named_with_its_key(entry: dict[str, Any], message: str) -> None:
    whole = {"data": {"source": "babi", "path": "tasks"}, "gate": []} | entry
    with pytest.raises(ParamsError) as error:
        parse("small", {"kind": "recall", "preset": "fast"} | whole)
    assert message in str(error.value)


def test_a_made_source_needs_no_path_and_is_told_of_the_former_one() -> None:
    entry: dict[str, Any] = {
        "kind": "recall",
        "preset": "fast",
        "data": {"source": "copy"},
        "gate": [],
    }
    assert parse("small", entry).advice() == ()
    entry["data"]["path"] = "src/retain/recall/made.py"
    (sentence,) = parse("small", entry).advice()
    assert "write `path: pipelines/prepare.py`" in sentence
