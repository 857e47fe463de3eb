"""A study: the trials of one cell, drawn by Optuna and kept in a journal.

TPE (Bergstra et al. 2011) draws the settings, and Hyperband (Li et al. 2018) ends trials early.
Both depend only on the seed, on the number of a trial and on the trials that have ended before it.
The journal holds trials that have ended, a line of JSON each: a trial that a kill cut off is not in
it, and is drawn again as it was.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from retain.config.search import Choices, Range, Space
from retain.errors import RetainError
from retain.project import files

RANDOM = 8  # trials, after those of the settings as they are, that are drawn without TPE
LEAST = 4  # no trial is ended before one part in so many of the epochs
REDUCTION = 3  # of the trials that reach a rung of Hyperband, one in so many continues
NAME = "tune"  # of the study in its journal; Hyperband reads it, so that it must not change


@dataclass(frozen=True)
class Ended:
    """A trial that has ended.

    Attributes:
        settings: the keys of params.yaml that it set.
        scores: of the validation part, after each epoch.
        value: the score of the epoch with the least validation loss; None if it was ended early.
        epochs: the most epochs of its training.
        why: why it has no score, if it failed.
        seconds: of the processor.
    """

    number: int
    settings: dict[str, Any]
    scores: tuple[float, ...]
    value: float | None
    epochs: int
    why: str
    seconds: float

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self.why:
            return f"failed: {self.why}"
        if self.value is None:
            return f"ended early, after {len(self.scores)} of {self.epochs} epochs"
        return f"complete, {len(self.scores)} epochs"


class Study:
    """The trials of one cell.

    Args:
        path: of the journal, which may exist.
        seed: of the draws.
    """

    def __init__(self, path: Path, space: Space, seed: int):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.path, self.space, self.seed = path, space, seed
        self._distributions = {key: _distribution(one) for key, one in space.ranges.items()}
        self._journal, kept = _open(path)
        self._live = optuna.create_study(study_name=NAME, sampler=self._sampler(0))
        self._running: dict[int, optuna.Trial] = {}
        for number in range(max([len(space.starts), *(last + 1 for last in kept)])):
            if number in kept:
                self._live.add_trial(kept[number])
            elif number < len(space.starts):
                self._live.enqueue_trial(dict(space.starts[number]))
            else:  # with several jobs, a later trial may have ended before
                self._live.add_trial(optuna.trial.create_trial(state=TrialState.WAITING))

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = zlib.crc32(f"{self.seed} {number}".encode())
        first = RANDOM + len(self.space.starts)
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=first)

    @property
    def begun(self) -> int:
        """How many trials have ended or run."""
        return len(self._running) + sum(one.state.is_finished() for one in self._trials)

    @property
    def running(self) -> int:
        """How many trials run."""
        return len(self._running)

    @property
    def ended(self) -> list[Ended]:
        """The trials that have ended, by their number."""
        return [_ended(trial) for trial in self._trials if trial.state.is_finished()]

    @property
    def scored(self) -> list[Ended]:
        """The trials that were trained to their end, the best first; of equal ones the earliest."""
        scored = [one for one in self.ended if one.value is not None]
        return sorted(scored, key=lambda one: one.value or 0.0)

    @property
    def best(self) -> Ended | None:
        """The trial with the least score; the earliest of several."""
        return next(iter(self.scored), None)

    @property
    def before(self) -> Ended | None:
        """The best of the settings as they are."""
        return next((one for one in self.scored if one.number < len(self.space.starts)), None)

    @property
    def _trials(self) -> list[FrozenTrial]:
        """All trials, only to be read: `study.trials` is a deep copy of each."""
        return self._live.get_trials(deepcopy=False)

    def importance(self) -> dict[str, float]:
        """Return the share of each key in what sets the best trials apart (PED-ANOVA).

        Watanabe et al. 2023, doi 10.24963/ijcai.2023/488. Empty with too few trials.
        """
        scored = self._live.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(scored) < 4 or len({trial.value for trial in scored}) < 2:
            return {}
        return optuna.importance.get_param_importances(self._live)

    def begin(self) -> tuple[int, dict[str, Any]]:
        """Draw the next trial; return its number and the keys of params.yaml that it sets."""
        waiting = [one.number for one in self._trials if one.state == TrialState.WAITING]
        number = min(waiting, default=len(self._trials))
        self._live.sampler = self._sampler(number)
        self._live.pruner = optuna.pruners.NopPruner()  # for TPE to see all brackets of Hyperband
        trial = self._live.ask(self._distributions)
        assert trial.number == number
        trial.set_user_attr("number", number)
        settings = self.space.settings(trial.params)
        trial.set_user_attr("settings", settings)
        self._running[number] = trial
        return number, settings

    def plan(self, number: int, epochs: int) -> None:
        """Record the most epochs of a running trial."""
        self._running[number].set_user_attr("epochs", epochs)

    def report(self, number: int, epoch: int, score: float) -> bool:
        """Record the score after an epoch, from 1; return whether the trial shall end."""
        trial = self._running[number]
        trial.report(score, epoch)
        first = self._trials[0].user_attrs
        most = int(first.get("epochs") or trial.user_attrs["epochs"])
        self._live.pruner = optuna.pruners.HyperbandPruner(-(-most // LEAST), most, REDUCTION)
        worse = trial.should_prune()
        return worse and number >= len(self.space.starts)

    def end(self, number: int, value: float | None, seconds: float, why: str = "") -> Ended:
        """Record the end of a running trial, and write it into the journal.

        Args:
            value: its score; None if it was ended early or failed.
            seconds: of the processor.
            why: why it failed.
        """
        trial = self._running.pop(number)
        trial.set_user_attr("seconds", round(seconds, 3))
        trial.set_user_attr("why", why)
        if value is None or not math.isfinite(value):
            self._live.tell(trial, state=TrialState.PRUNED)
        else:
            self._live.tell(trial, value)
        frozen = self._trials[number]
        self._journal.add_trial(frozen)
        return _ended(frozen)


def _distribution(one: Range) -> BaseDistribution:
    if isinstance(one, Choices):
        return CategoricalDistribution(one.values)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def _ended(trial: FrozenTrial) -> Ended:
    known: Mapping[str, Any] = trial.user_attrs
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Ended(
        number=trial.number,
        settings=dict(known["settings"]),
        scores=tuple(score for _, score in sorted(trial.intermediate_values.items())),
        value=value,
        epochs=int(known.get("epochs", 0)),
        why=str(known["why"]),
        seconds=float(known["seconds"]),
    )


def _open(path: Path) -> tuple[optuna.Study, dict[int, FrozenTrial]]:
    """Open a journal; return its study, and the trials by their number.

    What a kill has left of it, a lock and half a line, is removed.

    Raises:
        RetainError: the file is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)  # `retain tune` has its own
    content = path.read_bytes() if path.is_file() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        files.write_bytes(path, whole)
    try:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(storage=storage, study_name=NAME, load_if_exists=True)
        return study, {int(trial.user_attrs["number"]): trial for trial in study.trials}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RetainError(f"{path} is damaged: remove it, and the study begins again") from None
