"""Generated English: its texts, their answers, and networks that predict every word."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from retain.config.loader import parse
from retain.errors import ParamsError
from retain.kinds.recall import agreement, dataset, prepare, setup, synthetic
from retain.kinds.recall.agreement import ANSWERS, GROUPS, LEADS, MEN, STATES, WOMEN
from retain.kinds.recall.config import Problem
from retain.kinds.recall.dataset import Batch
from retain.kinds.recall.network import GapClassifier
from retain.kinds.recall.report import chance


def problem(objective: str = "answer", **data: Any) -> Problem:
    entry = {
        "kind": "recall",
        "preset": "fast",
        "data": {
            "source": "agreement",
            "train_gaps": [8, 12],
            "test_gaps": [8, 12, 20],
            "train": 60,
            "validation": 10,
            "test": 40,
            **data,
        },
        "training": {"objective": objective, "seeds": 2},
        "evaluation": {},
        "gate": [],
    }
    parsed = parse("small", entry)
    assert isinstance(parsed, Problem)
    return parsed


def texts(group: str, gap: int, count: int = 60) -> list[tuple[list[str], str]]:
    noise = np.random.Generator(np.random.Philox(gap))
    return [agreement.example(GROUPS.index(group), gap, noise) for _ in range(count)]


@pytest.mark.parametrize("gap", [8, 9, 10, 11, 12, 50])
@pytest.mark.parametrize("group", GROUPS)
def test_a_gap_lies_between_the_word_that_decides_and_the_last(group: str, gap: int) -> None:
    answers, leads = set(), set()
    for words, answer in texts(group, gap):
        assert set(words) <= set(agreement.vocabulary())
        assert not set(words) & ({"he", "she", "they"} | set(STATES.values()))
        lead = len(words) - gap - 2
        decides, before = words[lead], words[lead - 1]
        if group.startswith("number"):
            assert answer == ("are" if decides.endswith("s") else "is")
            assert words[lead + 1] == "("
            assert words[-2:] == [")", "still"]
        elif group.startswith("place"):
            assert answer == STATES[decides]
        elif before == "and":
            assert answer == "they"
        else:
            assert answer == ("he" if decides in MEN else "she")
            assert decides in MEN + WOMEN
        answers.add(answer)
        leads.add(lead)
    assert len(answers) == {"pronoun": 3, "place": 8}.get(group.partition(",")[0], 2)
    assert leads == set(LEADS[1:] if "changed" in group else LEADS)


def test_after_a_change_another_subject_or_city_comes_before() -> None:
    for group in GROUPS:
        for words, answer in texts(group, 20):
            early = words[: len(words) - 20 - 5]  # before the sentence that decides
            names = [word for word in early if word in MEN + WOMEN]
            if "changed" not in group:
                assert not names
            elif group.startswith("place"):
                cities = [word for word in early if word in STATES]
                assert [STATES[city] for city in cities] != [answer]
                assert len(cities) == 1
            elif group.startswith("number"):
                assert re.match(r"the \w+ went home \.", " ".join(words))
                assert early[1].endswith("s") == (answer == "is")
            else:
                pronoun = {1: "he" if names[0] in MEN else "she", 2: "they"}[len(names)]
                assert pronoun != answer


def test_the_share_by_chance_is_that_of_a_guess_among_the_answers_to_the_question() -> None:
    shares = []
    for group in GROUPS:
        answers = [answer for _, answer in texts(group, 30, count=1000)]
        shares.append(np.mean([answers.count(answer) / 1000 for answer in set(answers)]))
    assert np.mean(shares) == pytest.approx(agreement.CHANCE)
    assert chance(synthetic.schema(problem().data)) == agreement.CHANCE


def test_examples_have_the_number_of_their_group(tmp_path: Path) -> None:
    prepare.prepare(problem(), Path(), tmp_path)
    source = dataset.load(tmp_path)
    assert source.schema.groups == GROUPS
    test = source.part("test")
    assert set(source.index[test, 4]) == set(range(len(GROUPS)))
    for number in test:
        _, _, start, length, group = source.index[number]
        words = [source.schema.vocabulary[t] for t in source.tokens[start : start + length]]
        assert ("called" in words) == GROUPS[group].startswith("place")


def test_a_gap_that_is_too_short_for_a_statement_is_refused() -> None:
    with pytest.raises(ParamsError, match="agreement takes gaps of 8 and more"):
        problem(test_gaps=[7, 8])


def test_numbers_cannot_be_learned_as_words() -> None:
    with pytest.raises(ParamsError, match=r"training.objective words: adding has numbers"):
        problem("words", source="adding")


def test_the_loss_over_words_is_of_every_word_but_the_first_and_of_none_before_it(
    tmp_path: Path,
) -> None:
    prepare.prepare(problem(), Path(), tmp_path)
    source = dataset.load(tmp_path)
    network = GapClassifier("gru", 5, source.schema, (1, 2), 1, None, predicts_words=True)
    tokens = torch.tensor([[-1, 3], [4, 5], [2, 7]])  # the first sequence begins a step later
    batch = Batch(tokens, torch.zeros(0, 2), torch.tensor([1.0, 0.0]))
    states = network.states(network.inputs(batch))
    count = len(ANSWERS)
    for number, member in enumerate(network.members):
        scores = member.answer(states[number])
        first = functional.cross_entropy(scores[1:, 0], torch.tensor([count + 2, 1]))
        second = functional.cross_entropy(scores[:, 1], torch.tensor([count + 5, count + 7, 0]))
        loss = network.training_loss(batch)[number]
        torch.testing.assert_close(loss, torch.stack([first, second]))
    assert network(batch).shape == (2, 2, count)


def test_a_network_of_words_has_the_budget_of_an_lstm_of_words(tmp_path: Path) -> None:
    prepare.prepare(problem(), Path(), tmp_path)
    config = setup.build(problem("words"), tmp_path, "rnn").config
    of_answers = setup.build(problem(), tmp_path, "rnn").config
    assert config["parameters"] == pytest.approx(config["parameter_budget"], rel=0.05)
    assert config["parameters"] > of_answers["parameters"]
