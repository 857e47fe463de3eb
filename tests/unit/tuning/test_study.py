"""A study draws the same trials from a seed, whatever cut it off, and keeps those that ended."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from retain.config.search import Choices, Numbers, Space
from retain.errors import RetainError
from retain.tuning.study import Ended, Study

RATE, SIZE, SCALING = "training.learning_rate", "model.hidden_size", "model.normalisation"
SPACE = Space(
    {
        RATE: Numbers(1e-4, 1e-1, log=True),
        SIZE: Numbers(8, 128, log=True, whole=True),
        SCALING: Choices(("last", "series", None)),
    },
    ({RATE: 0.0123, SIZE: 33, SCALING: "last"},),
)
EPOCHS = 8
TRIALS = 30


def error(settings: dict[str, object]) -> float:
    """An objective with its least at a rate of 0.01 and a size of 64."""
    rate, size = float(str(settings[RATE])), float(str(settings[SIZE]))
    scaled = 0.0 if settings[SCALING] == "series" else 0.3
    return math.log10(rate / 0.01) ** 2 + math.log2(size / 64) ** 2 / 9 + scaled


def train(study: Study) -> Ended:
    """One trial, whose score falls to its error."""
    number, settings = study.begin()
    study.plan(number, EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        if study.report(number, epoch, error(settings) + 1 / epoch):
            return study.end(number, None, 1.0)
    return study.end(number, error(settings), 1.0)


def cut_off(study: Study) -> None:
    """A trial that a kill ends after its first rung."""
    number, settings = study.begin()
    study.plan(number, EPOCHS)
    for epoch in (1, 2, 3):
        study.report(number, epoch, error(settings))


def test_a_study_that_is_killed_again_and_again_has_the_trials_of_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    whole = Study(tmp_path / "whole.jsonl", SPACE, seed=1)
    for _ in range(TRIALS):
        train(whole)
    killed = tmp_path / "killed.jsonl"
    for number in range(TRIALS):
        study = Study(killed, SPACE, seed=1)
        assert len(study.ended) == number
        train(study)
        cut_off(study)
        with killed.open("ab") as file:  # half a line, and the lock of who wrote it
            file.write(b'{"op_code": 4, "stu')
        killed.with_name("killed.jsonl.lock").symlink_to(killed)
    assert Study(killed, SPACE, seed=1).ended == whole.ended
    assert len(whole.ended) == TRIALS


def test_a_gap_of_several_jobs_is_filled_first_and_as_it_was(tmp_path: Path) -> None:
    study = Study(tmp_path / "s.jsonl", SPACE, seed=1)
    train(study)
    lost, (later, settings) = study.begin(), study.begin()
    study.end(later, error(settings), 1.0)
    resumed = Study(tmp_path / "s.jsonl", SPACE, seed=1)
    assert [one.number for one in resumed.ended] == [0, 2]
    assert resumed.begin() == lost
    assert resumed.begin()[0] == 3


def test_the_first_trial_is_the_settings_as_they_are_and_is_never_ended_early(
    tmp_path: Path,
) -> None:
    poor = Space(SPACE.ranges, ({RATE: 0.1, SIZE: 8, SCALING: "last"},))
    study = Study(tmp_path / "s.jsonl", poor, seed=1)
    ended = [train(study) for _ in range(12)]
    assert ended[0].settings == poor.starts[0]
    assert ended[0].value is not None
    assert study.before == ended[0]
    assert study.best is not None
    assert study.best.value < ended[0].value  # type: ignore[operator]


def test_bad_trials_end_early_and_the_search_gets_better_than_chance(tmp_path: Path) -> None:
    study = Study(tmp_path / "s.jsonl", SPACE, seed=1)
    ended = [train(study) for _ in range(TRIALS)]
    early = [one for one in ended if one.value is None]
    assert len(early) > TRIALS / 3
    assert {len(one.scores) for one in early} == {2, 6}  # a quarter of the epochs, and its treble
    assert study.best is not None
    assert error(study.best.settings) < 0.15
    assert max(study.importance(), key=study.importance().__getitem__) in (RATE, SCALING, SIZE)


def test_another_seed_draws_other_trials_and_a_cell_with_the_same_seed_the_same(
    tmp_path: Path,
) -> None:
    def second(name: str, seed: int) -> object:
        study = Study(tmp_path / name, SPACE, seed)
        train(study)
        return study.begin()

    assert second("a", 1) == second("b", 1) != second("c", 2)


def test_a_trial_that_fails_is_kept_with_its_reason_and_is_never_the_best(tmp_path: Path) -> None:
    study = Study(tmp_path / "s.jsonl", SPACE, seed=1)
    train(study)
    number, _ = study.begin()
    study.end(number, math.nan, 0.5, "its memory was too small")
    kept = Study(tmp_path / "s.jsonl", SPACE, seed=1).ended[1]
    assert (kept.why, kept.value, kept.seconds) == ("its memory was too small", None, 0.5)
    assert study.best == study.ended[0]


def test_a_journal_is_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    train(Study(path, SPACE, seed=1))
    for line in path.read_text("utf-8").splitlines():
        assert isinstance(json.loads(line), dict)


def scrambled(text: str) -> str:
    return text.replace('"number"', '"nmber"')


def half(text: str) -> str:
    return "{}\n" + text[50:]


@pytest.mark.parametrize("damage", [scrambled, half])
def test_a_damaged_journal_is_named(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "s.jsonl"
    study = Study(path, SPACE, seed=1)
    train(study)
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    with pytest.raises(RetainError, match=r"s\.jsonl is damaged: remove it"):
        Study(path, SPACE, seed=1)
