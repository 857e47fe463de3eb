"""The conversations that are generated, those of a folder, and how they are numbered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retain.config.loader import parse
from retain.errors import DataError, ParamsError
from retain.kinds.chat import dataset, folder, introductions, prepare
from retain.kinds.chat.config import Data, Problem
from retain.kinds.chat.dataset import Encoder
from retain.kinds.chat.introductions import Noise
from retain.kinds.chat.setup import Drawn
from retain.kinds.chat.turns import Conversation, Turn, split_words
from retain.kinds.chat.wordings import FACTS, NOT_TOLD, VALUES

FACT_OF = {value: fact for fact, values in VALUES.items() for value in values}
TALK = "My name is Zoe\thello zoe\n\nI have 3 cats, Tom!\tgood\nrain\tyes\nwhat is it?\ttom\n"


def made(turns: int, test: bool, numbers: int = 40) -> list[Conversation]:
    return [introductions.conversation(turns, test, Noise(1, 2, n)) for n in range(numbers)]


def entry(**sections: Any) -> dict[str, Any]:
    return {
        "kind": "chat",
        "preset": "fast",
        "data": {"source": "introductions"},
        "gate": [],
        **sections,
    }


def test_the_right_answer_is_what_the_person_said_last() -> None:
    for turns in made(40, test=True):
        told: dict[str, str] = {}
        said: dict[str, int] = {}
        changed = set()
        for number, turn in enumerate(turns):
            if turn.event in ("told", "changed"):
                assert turn.value in turn.you.split()
                assert told.get(turn.fact) != turn.value
                changed |= {turn.fact} & told.keys()
                told[turn.fact] = turn.value
            if turn.event == "asked" and turn.fact not in told:
                assert (turn.bot, turn.value, turn.since) == (NOT_TOLD, "", 0)
            elif turn.event == "asked":
                answer = FACTS[turn.fact].answer.format(told[turn.fact])
                assert (turn.bot, turn.value) == (answer, told[turn.fact])
                assert turn.since == number - said[turn.fact]
                assert turn.changed is (turn.fact in changed)
            if turn.fact in told and turn.event:
                said[turn.fact] = number


def test_what_is_said_of_others_is_no_fact_of_the_person() -> None:
    names = 0
    for turns in made(40, test=False):
        told = {turn.fact: turn.value for turn in turns if turn.event == "told"}
        for turn in turns:
            if not turn.event:
                named = {FACT_OF[word]: word for word in turn.you.split() if word in FACT_OF}
                names += len(named)
                changed = any(other.event == "changed" for other in turns)
                assert changed or not named.items() & told.items()
    assert names > 200


def test_the_test_has_pairs_of_name_and_town_that_training_never_has() -> None:
    def pairs(conversations: list[Conversation]) -> set[tuple[str, str]]:
        found = set()
        for turns in conversations:
            told: dict[str, str] = {}
            for turn in turns:
                if turn.event in ("told", "changed"):
                    told[turn.fact] = turn.value
                if {"name", "town"} <= told.keys():
                    found.add((told["name"], told["town"]))
        return found

    training, test = pairs(made(30, test=False, numbers=400)), pairs(made(30, test=True))
    assert len(test) > 30
    assert len(training) > 300
    assert not training & test


def test_gaps_of_up_to_64_turns_occur_in_the_test() -> None:
    since = [turn.since for turns in made(80, test=True) for turn in turns if turn.since]
    counts = np.histogram(since, [1, 3, 5, 9, 17, 33, 65])[0]
    assert (counts > 30).all()


def test_every_word_is_in_the_vocabulary() -> None:
    words = set(introductions.vocabulary())
    for turns in made(40, test=False):
        for turn in turns:
            assert {*turn.you.split(), *turn.bot.split()} <= words
            assert split_words(turn.you) == turn.you.split()


def test_conversations_are_others_in_each_epoch_and_the_same_again() -> None:
    examples = Drawn(Encoder(introductions.vocabulary()), 1, (10, 12), (3, 4), drills=2)
    numbers = np.array([5, 8, 2**39])
    first, again = examples.at(2).batch(numbers), examples.at(3).batch(numbers)
    assert first.tokens.tolist() == again.tokens.tolist()
    assert examples.at(1).batch(numbers).tokens.shape[0] < first.tokens.shape[0]
    others = examples.at(2).batch(numbers + 1)
    assert others.tokens.tolist() != first.tokens.tolist()
    assert ((first.tokens == 0).sum(0) >= 11).all()  # turns, and the beginning


def test_only_the_words_of_the_bot_count_and_a_fact_fourfold() -> None:
    vocabulary = (*dataset.SPECIAL, "a", "b", "c", "d")
    turns = (Turn("a b", "c"), Turn("d", "c b", "asked", "name", "b", 1))
    batch = Encoder(vocabulary, 4.0).batch([turns, turns[:1]])
    assert batch.tokens[:, 0].tolist() == [0, 3, 4, 1, 5, 0, 6, 1, 5, 4, 0]
    assert batch.weights[:, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, 1, 4, 1]
    assert batch.weights[:, 1].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_prepared_conversations_are_read_as_they_were_written(tmp_path: Path) -> None:
    problem = parse("p", entry(data={"source": "introductions", "test": 2, "test_turns": 20}))
    assert isinstance(problem, Problem)
    prepare.prepare(problem, tmp_path, tmp_path)
    expected = [introductions.conversation(20, True, Noise(1, prepare.TEST, n)) for n in (0, 1)]
    assert dataset.load(tmp_path, "test") == expected
    assert dataset.load_draws(tmp_path) == (1, (16, 48))  # the training follows what is prepared
    schema = dataset.load_schema(tmp_path)
    assert schema.vocabulary[:4] == ("<you>", "<bot>", "<unk>", introductions.vocabulary()[0])
    assert schema.facts == VALUES


def test_lines_of_people_are_read_as_the_conversations_write_them() -> None:
    assert split_words("Hi -- I’m Anna!") == ["hello", "i", "am", "anna"]
    assert split_words("What's my favorite color?") == ["what", "is", "my", "favourite", "colour"]
    assert split_words(" ?! ") == []
    assert split_words("मेरा नाम हिन्दी_है।") == ["मेरा", "नाम", "हिन्दी", "है"]
    assert split_words("שָׁלוֹם, Cafe\u0301!") == ["שָׁלוֹם", "café"]


def test_a_fact_of_a_folder_is_a_rare_word_that_was_said_before() -> None:
    conversations = folder.parse(TALK, "a.txt")
    assert [len(turns) for turns in conversations] == [1, 3]
    assert conversations[1][0].you == "i have 3 cats tom"
    annotated = folder.annotate(conversations[1], {"i", "is", "it"})
    assert annotated[2] == Turn("what is it", "tom", "asked", "word", "tom", 2)
    assert [turn.event for turn in annotated[:2]] == ["", ""]
    assert folder.common_words([conversations[1]]) == {"tom"}


def test_conversations_that_are_given_again_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("a\tb\n\nc\td\n\nA!\tB.\n\ne\tf\n", encoding="utf-8")
    data = Data.model_validate({"source": "folder", "path": "a.txt"})
    conversations, _ = folder.read(data, tmp_path)
    assert [turns[0].you for turns in conversations] == ["a", "c", "e"]
    assert "1 conversations are left out, since they were given before" in capsys.readouterr().out


def test_shares_that_leave_nothing_to_train_on_are_refused() -> None:
    data = Data.model_validate(
        {"source": "folder", "path": "a", "test_share": 0.9, "validation_share": 0.05}
    )
    with pytest.raises(DataError, match="of 3 conversations, 3 of test and 1 of validation leave"):
        folder.split([(Turn("a", str(n)),) for n in range(3)], data)


def test_a_test_part_without_a_question_is_refused(tmp_path: Path) -> None:
    lines = "\n".join(f"hello there {n}\thi friend\n" for n in range(10))
    (tmp_path / "a.txt").write_text(lines, encoding="utf-8")
    problem = Problem.model_validate(entry(data={"source": "folder", "path": "a.txt"}))
    with pytest.raises(DataError, match="the 1 conversations of the test part ask nothing"):
        prepare.prepare(problem, tmp_path, tmp_path)


def test_a_word_of_any_length_is_read_as_it_was_written(tmp_path: Path) -> None:
    turns = (Turn("a" * 200_000, "b"),)
    dataset.save(dataset.Schema("folder", (), {}, ""), {"test": [turns]}, tmp_path)
    assert dataset.load(tmp_path, "test") == [turns]


def test_an_unknown_word_of_a_reply_counts_nothing_in_the_loss() -> None:
    batch = Encoder((*dataset.SPECIAL, "a"), 4.0).batch([(Turn("a", "a zoe"),)])
    assert batch.weights[:, 0].tolist() == [0, 0, 1, 0, 1]


def test_the_last_conversations_of_a_folder_are_the_test(tmp_path: Path) -> None:
    (tmp_path / "talk").mkdir()
    small = "it rains\tyes\n" * 20
    names = [f"n{number % 5}" for number in range(19)] + ["zoe"]
    lines = [
        f"I am {name}\thello {name}\n{small}{n}\tyes\nwho am i\t{name}\n"
        for n, name in enumerate(names)
    ]
    (tmp_path / "talk/a.txt").write_text("\n".join(lines[:10]), encoding="utf-8")
    (tmp_path / "talk/b.tsv").write_text("\n".join(lines[10:]), encoding="utf-8")
    data = {"source": "folder", "path": "talk", "test_share": 0.2}
    problem = Problem.model_validate(entry(data=data))
    prepare.prepare(problem, tmp_path, tmp_path)
    parts = {part: dataset.load(tmp_path, part) for part in dataset.PARTS}
    assert {part: len(turns) for part, turns in parts.items()} == {
        **{"train": 14, "validation": 2, "test": 4}
    }
    assert parts["test"][-2][-1] == Turn("who am i", "n3", "asked", "word", "n3", 22)
    assert parts["test"][-1][-1].value == "zoe"  # a word that training does not have
    schema = dataset.load_schema(tmp_path)
    assert "n3" in schema.vocabulary
    assert "zoe" not in schema.vocabulary
    assert schema.facts == {"word": ("n0", "n1", "n2", "n3", "n4")}
    assert len(schema.digest) == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello hello\n", "talk/a.txt: each line must have the words of the person, one tab"),
        ("hello\t\n", "line 1: 'hello"),
        ("a\tb\tc\n", "line 1: 'a"),
        ("a\tb\n\nc\td\n\nA\tb\n", "talk has 2 different conversations, and needs 3 for training"),
        (f"a\t{'b ' * 1001}\n", "at most 1,000 words are read of the person or of the bot; cut"),
        ("\n", "talk/a.txt is empty; put text into it or remove it"),
    ],
)
def test_a_fault_of_a_folder_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "talk").mkdir()
    (tmp_path / "talk/a.txt").write_text(text, encoding="utf-8")
    data = Data.model_validate({"source": "folder", "path": "talk"})
    with pytest.raises(DataError) as caught:
        folder.read(data, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "folder"}, "path must name the folder"),
        ({"source": "introductions", "turns": [9, 5]}, "the first number is the least"),
        ({"source": "introductions", "test_turns": 1}, "greater than or equal to 2"),
    ],
)
def test_a_wrong_section_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse("p", entry(data=data))
