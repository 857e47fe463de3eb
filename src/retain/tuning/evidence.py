"""Whether a cell's best trial is better than the settings as they are, or may be by chance.

The best of many trials looks better on the part that chose it than it is (Cawley & Talbot 2010).
So both settings are trained again on earlier parts, which chose nothing, and their losses on the
same forecast origins are compared, as the evaluation compares two models
(`evaluation/bootstrap.py`). No correction for the number of trials is needed: one pair is compared.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retain.config.kind import kind_of
from retain.config.schema import Cell
from retain.config.search import Losses
from retain.evaluation import bootstrap
from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval
from retain.project import files
from retain.tuning.plan import Plan
from retain.tuning.runner import TrialRunner
from retain.tuning.study import Study

PARTS = 3  # earlier parts at most
DRAWS, SEED = 2_000, 1  # of the bootstrap
STEPS_OF_A_BLOCK = 2  # in horizons

Key = tuple[int, int]  # number of a trial, and how many parts earlier
OnTraining = Callable[[Cell, int, int, str], None]  # the cell, a key, and why it failed


@dataclass(frozen=True)
class Evidence:
    """What earlier parts say of a cell's best trial.

    Attributes:
        trial: its number.
        parts: earlier parts that were scored.
        before: the score of the settings as they are on these parts; NaN without any.
        difference: of the best trial's score and `before`.
    """

    trial: int
    parts: int
    before: float
    difference: Interval

    @property
    def better(self) -> bool:
        """Whether the best trial is better beyond chance."""
        return self.difference.judgement == "better"

    def to_dict(self) -> dict[str, Any]:
        """The comparison as tune.json has it."""
        return {
            "trial": self.trial + 1,
            "parts": self.parts,
            "before": self.before,
            "difference": self.difference.to_dict(),
            "judgement": self.difference.judgement,
        }


def compare(pairs: list[tuple[Losses, Losses]], trial: int) -> Evidence:
    """Compare the losses of the best trial, first, with those of the settings as they are.

    Args:
        pairs: of each part, the earliest first; parts do not overlap.
    """
    if not pairs:
        unknown = Interval.undecided(float("nan"), 0, 1, "earlier parts")
        return Evidence(trial, 0, float("nan"), unknown)
    overlap = max(best.overlap for best, _ in pairs)
    by_step = np.concatenate([_shared(*pair) for pair in pairs], axis=1)
    by_series = np.sum(
        [np.concatenate([best.by_series, before.by_series]) for best, before in pairs], axis=0
    )
    block = STEPS_OF_A_BLOCK * overlap
    found = bootstrap.difference(by_step, by_series, overlap, block, DRAWS, SEED)
    sums, counts = by_step[2:].sum(axis=1)
    return Evidence(trial, len(pairs), float(sums / counts), found)


def _shared(best: Losses, before: Losses) -> Floats:
    """Return the sums and counts of both at the origins that both have: (4, origins)."""
    _, ours, theirs = np.intersect1d(best.steps, before.steps, return_indices=True)
    return np.concatenate(
        [np.asarray(best.by_step)[:, ours], np.asarray(before.by_step)[:, theirs]]
    )


def collect(
    plan: Plan,
    studies: Mapping[Cell, Study],
    runner: TrialRunner,
    jobs: int,
    on_training: OnTraining = lambda cell, number, earlier, why: None,
) -> dict[Cell, Evidence]:
    """Train the best trial of each cell and the settings as they are on earlier parts.

    Nothing is known of a cell whose best trial is the settings as they are, nor of kinds whose
    trials have no losses by forecast origin. Trainings are kept beside the journal of the study.

    Args:
        on_training: called after each training.
    """
    if kind_of(plan.problem).trial is None:
        return {}
    pairs = {
        cell: (best, before)
        for cell, study in studies.items()
        if (best := study.best) and (before := study.before) and best.number != before.number
    }
    kept = {cell: _Kept(studies[cell].path) for cell in pairs}
    tasks = deque(
        (cell, trial, earlier)
        for earlier in range(1, PARTS + 1)
        for cell, pair in pairs.items()
        for trial in pair
        if (trial.number, earlier) not in kept[cell]
    )
    running: dict[int, tuple[Cell, Key]] = {}

    def fill() -> None:
        for place in range(jobs):
            if tasks and place not in running:
                cell, trial, earlier = tasks.popleft()
                running[place] = cell, (trial.number, earlier)
                entry = plan.of(trial.settings)
                runner.start(place, {"entry": entry, "cell": cell, "earlier": earlier})

    fill()
    messages = runner.messages()
    while running:
        place, message = next(messages)
        if "epoch" in message:
            runner.answer(place, stop=False)
        elif "epochs" not in message:
            cell, key = running.pop(place)
            kept[cell].add(key, message.get("losses"))
            on_training(cell, *key, message.get("failed", ""))
            fill()
    return {
        cell: compare(kept[cell].pairs(best.number, before.number), best.number)
        for cell, (best, before) in pairs.items()
    }


class _Kept:
    """The losses of trainings on earlier parts, in a file; None for one that was not possible."""

    def __init__(self, journal: Path):
        self._path = journal.with_suffix(".earlier.json")
        self._losses = files.read_json(self._path, "remove it, and give the same command")

    def __contains__(self, key: Key) -> bool:
        return _name(key) in self._losses

    def add(self, key: Key, losses: Any) -> None:
        self._losses[_name(key)] = losses
        files.write_text(self._path, json.dumps(self._losses))

    def pairs(self, best: int, before: int) -> list[tuple[Losses, Losses]]:
        """Return the losses of two trials on the parts that both were trained for."""
        found = []
        for earlier in range(PARTS, 0, -1):
            ours, theirs = (self._losses[_name((one, earlier))] for one in (best, before))
            if ours and theirs:
                found.append((Losses(*ours), Losses(*theirs)))
        return found


def _name(key: Key) -> str:
    return f"trial {key[0]}, {key[1]} earlier"
