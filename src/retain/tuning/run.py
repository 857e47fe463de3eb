"""Run the trials of a plan: equally many of each cell, as many at a time as there are jobs."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from retain.config.schema import Cell
from retain.errors import DataError, RetainError
from retain.tuning import evidence, runs
from retain.tuning.evidence import Evidence
from retain.tuning.plan import Plan
from retain.tuning.runner import TrialRunner, chosen_runner
from retain.tuning.study import Ended, Study

OnTrial = Callable[[Cell, Ended, "Progress"], None]


@dataclass(frozen=True)
class Progress:
    """How far a run of trials is.

    Attributes:
        ended, wanted: trials of the cell.
        best: its best trial so far.
        left: seconds until the end, about.
    """

    ended: int
    wanted: int
    best: Ended | None
    left: float


@dataclass
class _Trial:
    """A trial that runs, with the losses and the scores of its epochs."""

    cell: Cell
    number: int
    settings: dict[str, Any]
    began: float
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    stopped: bool = False
    why: str = ""

    @property
    def value(self) -> float | None:
        """The score of the epoch with the least validation loss; None if it was ended early."""
        if self.stopped or self.why or not self.scores:
            return None
        return self.scores[min(range(len(self.losses)), key=self.losses.__getitem__)]


def run(
    plan: Plan,
    trials: int,
    seconds: float | None,
    jobs: int | None,
    on_trial: OnTrial,
    on_open: Callable[[Mapping[Cell, Study]], None] = lambda studies: None,
    on_earlier: evidence.OnTraining = lambda cell, number, earlier, why: None,
) -> tuple[dict[Cell, Study], dict[Cell, Evidence]]:
    """Run trials until each cell has as many as wanted; those of earlier runs count.

    Then each cell's best trial is compared with the settings as they are, on earlier parts.

    With as many jobs as cells, or fewer, the trials are the same again: a cell then has one trial
    at a time.

    Args:
        seconds: after which no trial begins, unless another cell has more.
        jobs: trials at a time; None for as many as the engine does.
        on_trial: called after each trial.
        on_open: called when the studies have been opened.
        on_earlier: called after each training on an earlier part.
    """
    with chosen_runner(plan) as runner:
        jobs = jobs or runner.at_once
        prepared = _prepare(plan, runner)
        seed = plan.problem.training.seed
        studies = {
            cell: Study(plan.journal(cell, prepared), space, seed)
            for cell, space in plan.spaces.items()
        }
        on_open(studies)
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        _Run(plan, studies, runner, trials, deadline, jobs, on_trial).until_done()
        return studies, evidence.collect(plan, studies, runner, jobs, on_earlier)


def _prepare(plan: Plan, runner: TrialRunner) -> str:
    """Prepare the data as they are; return their md5."""
    runner.start(0, {"entry": plan.of({})})
    _, message = next(runner.messages())
    if "failed" in message:
        raise DataError(message["failed"])
    return str(message["prepared"])


@dataclass
class _Run:
    """The trials that run, by their place in the runner.

    Attributes:
        trials: wanted of each cell.
        deadline: by the monotonic clock, after which no trial begins.
        done: trials that have ended since `began`.
    """

    plan: Plan
    studies: dict[Cell, Study]
    runner: TrialRunner
    trials: int
    deadline: float
    jobs: int
    on_trial: OnTrial
    running: dict[int, _Trial] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    done: int = 0

    def until_done(self) -> None:
        """Run all trials."""
        self._fill()
        messages = self.runner.messages()
        while self.running:
            self._take(*next(messages))
            self._fill()

    def _fill(self) -> None:
        for place in range(self.jobs):
            if place not in self.running and (cell := self._next()) is not None:
                number, settings = self.studies[cell].begin()
                self.running[place] = _Trial(cell, number, settings, time.time())
                self.runner.start(place, {"entry": self.plan.of(settings), "cell": cell})

    def _next(self) -> Cell | None:
        """Return the cell with the fewest trials, if one may begin."""
        most = max(study.begun for study in self.studies.values())
        late = time.monotonic() >= self.deadline
        wanted = min(most, self.trials) if late else self.trials
        at_once = -(-self.jobs // len(self.studies))
        free = [
            cell
            for cell, study in self.studies.items()
            if study.begun < wanted and study.running < at_once
        ]
        return min(free, key=lambda cell: self.studies[cell].begun, default=None)

    def _take(self, place: int, message: dict[str, Any]) -> None:
        """Take a message of the trial in a place."""
        trial = self.running[place]
        study = self.studies[trial.cell]
        if "epochs" in message:
            study.plan(trial.number, message["epochs"])
        elif "epoch" in message:
            trial.losses.append(message["loss"])
            if math.isfinite(message["score"]):
                trial.scores.append(message["score"])
                trial.stopped = study.report(trial.number, message["epoch"], message["score"])
            else:
                trial.why = "its forecasts are not finite"
            self.runner.answer(place, trial.stopped or bool(trial.why))
        else:
            del self.running[place]
            why = message.get("failed", trial.why)
            if why and trial.number < len(study.space.starts):
                raise RetainError(f"{trial.cell}, with the settings as they are: {why}")
            trial.why = why
            ended = study.end(trial.number, trial.value, message["seconds"], why)
            runs.log(self.plan, trial.cell, study, ended, trial.losses, trial.began)
            self.done += 1
            self.on_trial(trial.cell, ended, self._progress(trial.cell))

    def _progress(self, cell: Cell) -> Progress:
        now = time.monotonic()
        left = sum(max(self.trials - len(one.ended), 0) for one in self.studies.values())
        study = self.studies[cell]
        about = min((now - self.began) / self.done * left, max(self.deadline - now, 0.0))
        return Progress(len(study.ended), self.trials, study.best, about)
