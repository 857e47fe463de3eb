"""Whether the best trial is better than the settings as they are, or by chance."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retain.cli import tune
from retain.config.search import Losses
from retain.errors import RetainError
from retain.tuning import evidence, report
from retain.tuning.evidence import PARTS, Evidence
from retain.tuning.plan import Plan
from retain.tuning.study import Study

from .test_plan import planned

HORIZON, ORIGINS = 6, 120


def losses(level: float, part: int, seed: int, origins: int = ORIGINS) -> Losses:
    """Losses of two series at the origins of a part; neighbours share the steps of a horizon."""
    noise = np.random.default_rng([seed, abs(part)]).exponential(size=origins + HORIZON - 1)
    sums = 2 * HORIZON * level * np.convolve(noise, np.ones(HORIZON) / HORIZON, "valid")
    counts = np.full(origins, 2.0 * HORIZON)
    steps = np.arange(origins) + 1_000 * part
    series = [float(sums.sum() / 2)] * 2, [float(counts.sum() / 2)] * 2
    return Losses(steps.tolist(), (sums.tolist(), counts.tolist()), series, HORIZON)


def judged(best: float, parts: int = 3, origins: int = ORIGINS) -> Evidence:
    pairs = [
        (losses(best, part, 1, origins), losses(1.0, part, 2, origins)) for part in range(parts)
    ]
    return evidence.compare(pairs, 7)


def test_a_clear_gain_is_told_from_chance() -> None:
    assert judged(0.6).better
    assert not judged(1.0).better
    assert judged(1.6).difference.judgement == "worse"
    assert judged(0.6).difference.value == pytest.approx(-0.4, abs=0.15)


def test_few_origins_or_no_earlier_part_decide_nothing() -> None:
    assert judged(0.6, parts=1, origins=HORIZON).difference.judgement == "undecided"
    none = evidence.compare([], 7)
    assert not none.better
    assert report.verdict("lstm", none) == (
        "Whether the LSTM's best trial is better, or by chance, is not known: the table has too "
        "few rows before the validation part."
    )
    assert report.earlier({"lstm": none}).rows[0][2] == "–"


class Runner:
    """Answers each training on an earlier part at once; the second part is not possible."""

    at_once = 1

    def __init__(self, gain: float):
        self.gain, self.tasks = gain, 0
        self.waiting: deque[tuple[int, dict[str, Any]]] = deque()

    def start(self, place: int, task: Mapping[str, Any]) -> None:
        self.tasks += 1
        self.waiting.append((place, {"epochs": 2}))
        self.waiting.append((place, {"epoch": 1, "loss": 1.0, "score": 1.0}))
        rate = task["entry"]["training"]["learning_rate"]
        level = 1.0 if rate in (0.01, 0.002) else 1 - self.gain
        earlier = task["earlier"]
        end = {"failed": "too few rows"} if earlier == 2 else {"losses": losses(level, -earlier, 3)}
        self.waiting.append((place, {"seconds": 1.0, **end}))

    def answer(self, place: int, stop: bool) -> None:
        assert not stop

    def messages(self) -> Iterator[tuple[int, dict[str, Any]]]:
        while True:
            yield self.waiting.popleft()


DATA = {"path": "t.csv", "ds": "ds", "y": "y", "frequency": "D", "horizon": 6, "context_length": 12}


def forecaster(root: Path) -> Plan:
    return planned(root, kind="forecast", data=DATA, model={})


def studied(made: Plan, folder: Path) -> dict[Any, Study]:
    """A study of each cell whose second trial is the best."""
    studies = {}
    for cell in made.spaces:
        studies[cell] = study = Study(folder / f"{cell}.jsonl", made.spaces[cell], seed=1)
        for value in (1.0, 0.5):
            number, _ = study.begin()
            study.end(number, value, 1.0)
    return studies


def test_both_settings_train_on_each_earlier_part_once(tmp_path: Path) -> None:
    made = forecaster(tmp_path)
    studies, runner = studied(made, tmp_path), Runner(0.3)
    found = evidence.collect(made, studies, runner, jobs=2)
    assert runner.tasks == 2 * 2 * PARTS
    assert [one.parts for one in found.values()] == [PARTS - 1] * 2
    assert found["lstm"].better
    again = Runner(0.3)
    assert evidence.collect(made, studies, again, jobs=2) == found
    assert again.tasks == 0
    assert report.content(studies, found)["lstm"]["earlier"]["judgement"] == "better"


@pytest.mark.parametrize(
    ("gain", "anyway", "written"), [(0.3, False, 1), (0, False, 0), (0, True, 1)]
)
def test_apply_refuses_what_may_be_chance(
    tmp_path: Path, gain: float, anyway: bool, written: bool
) -> None:
    made = forecaster(tmp_path)
    studies, path = studied(made, tmp_path), tmp_path / "params.yaml"
    found = evidence.collect(made, studies, Runner(gain), jobs=1)
    before = path.read_text()
    if not written:
        with pytest.raises(RetainError, match="may be better by chance: on 2 earlier parts"):
            tune._change(tmp_path, made, studies, found, apply=True, anyway=anyway)
    else:
        tune._change(tmp_path, made, studies, found, apply=True, anyway=anyway)
    assert (path.read_text() != before) == bool(written)
