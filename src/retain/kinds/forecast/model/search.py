"""Compare settings by short trainings of networks.

Each candidate's networks are trained on the rows before parts of the past, as in a rehearsal. They
are judged by their smallest errors there over the number of updates; on a classical base by the
base's errors if these are smaller, since then the network would not be kept. The worse candidates
are dropped, and the others are trained further, as long as a budget of seconds allows: successive
halving (Jamieson & Talwalkar 2016). This module does not depend on what the candidates differ in.

Errors are those of the quantiles, before calibration: of two candidates with the same median, the
one with the better intervals on unseen data is better.
"""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from retain.config.schema import Cell
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.model import learner, rehearsal
from retain.kinds.forecast.model.conformal import collect
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.model.ready import Ready
from retain.training.sampler import Examples, ResumableSampler

FOLDS = 2  # parts of the past on which candidates are judged
LEARNED = 2_000  # most training windows of a short training
JUDGED = 500  # most windows of a part
WARMUP = 20  # updates until the learning rate of params is reached
WORTHWHILE = 0.01  # share by which a candidate's error must be smaller than that of a safer one
SEED = 1

Errors = tuple[float, ...]  # by fold, in deviations of the series


class Budget:
    """A budget of processor seconds, from now on."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.process_time):
        self.seconds, self._clock, self._begin = seconds, clock, clock()

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begin

    @property
    def left(self) -> float:
        """Seconds that are left; negative if more were used."""
        return self.seconds - self.spent


@dataclass
class Pace:
    """The number of updates of one network, and their processor seconds."""

    updates: int = 0
    seconds: float = 0.0

    @contextmanager
    def counting(self, updates: int) -> Iterator[None]:
        """Add the seconds of the block for a number of updates."""
        begin = time.process_time()
        yield
        self.updates += updates
        self.seconds += time.process_time() - begin


@dataclass(frozen=True)
class Compared:
    """The result of a comparison.

    Attributes:
        chosen: the number of a candidate.
        errors: by candidate, in the last round that it took part in.
        updates: by candidate, the number of updates of its networks in that round.
        complete: whether the budget allowed all rounds.
    """

    chosen: int
    errors: dict[int, Errors] = field(default_factory=dict)
    updates: dict[int, int] = field(default_factory=dict)
    complete: bool = True


def halve(
    count: int,
    errors_of: Callable[[int, int], Errors],
    budget: Budget,
    first: int,
    most: int,
) -> Compared:
    """Compare candidates 0, 1, …, in order from the safest to the least safe.

    In each round the remaining candidates are trained to twice as many updates. The better half
    stays, and the safest always.

    Args:
        errors_of: takes a candidate and the number of updates to train it to; returns its errors.
        first: updates of the first round.
        most: updates of the last round, if no candidate fails.
    """
    alive, updates = list(range(count)), first
    errors: dict[int, Errors] = {}
    reached: dict[int, int] = {}
    trained, begin = 0, budget.spent
    while True:
        found: dict[int, Errors] = {}
        for candidate in alive:
            more = updates - reached.get(candidate, 0)
            each = (budget.spent - begin) / trained if trained else 0.0
            if budget.left < each * more or budget.left <= 0:
                break
            found[candidate] = errors_of(candidate, updates)
            trained += more
        whole = len(found) == len(alive)
        if whole or not errors:  # of a first round those that were tried can be compared
            errors |= found
            reached |= dict.fromkeys(found, updates)
        judged = {number: errors[number] for number in alive if number in errors}
        if not whole or updates >= most or len(alive) == 1:
            return Compared(safest(judged), errors, reached, whole or len(alive) == 1)
        ranked = sorted(alive[1:], key=lambda number: float(np.mean(judged[number])))
        alive = [alive[0], *sorted(ranked[: max(1, (len(alive) + 1) // 2 - 1)])]
        updates = min(2 * updates, most)


def safest(errors: dict[int, Errors]) -> int:
    """Return the first candidate that no later one clearly beats; 0 if none was tried.

    Clearly: better by WORTHWHILE on average, and better in each fold.
    """
    chosen = min(errors, default=0)
    for number in sorted(errors):
        new, old = np.array(errors[number]), np.array(errors[chosen])
        if new.mean() < (1 - WORTHWHILE) * old.mean() and (new < old).all():
            chosen = number
    return chosen


class Search:
    """Comparisons of problems on one panel, within one budget.

    Args:
        source: the panel for all candidates, which are judged on its validation part and a part of
            the same length before it. Windows may reach back before its first row.
    """

    def __init__(self, source: Panel, budget: Budget, cell: Cell = "lstm", folds: int = FOLDS):
        self.source, self.budget, self.cell, self.folds = source, budget, cell, folds
        self.pace = Pace()
        self._bases: dict[tuple[int, int], tuple[Pool, Run]] = {}

    def compare(self, candidates: Sequence[Problem], first: int, most: int) -> Compared:
        """Train networks of the candidates, of which the first is the safest; see `halve`."""
        trials: dict[int, list[_Trial]] = {}
        cuts = [self._cuts(problem) for problem in candidates]
        count = min(map(len, cuts))
        folds = [_common(fold) for fold in zip(*(own[-count:] for own in cuts), strict=True)]
        folds = [(panels, rows) for panels, rows in folds if len(rows)]
        if not folds:
            return Compared(0)

        def errors_of(number: int, updates: int) -> Errors:
            if number not in trials:
                problem = candidates[number]
                trials[number] = [
                    _Trial(problem, self.cell, cut, rows, self._base(problem, cut), self.pace)
                    for cut, rows in ((panels[number], rows) for panels, rows in folds)
                ]
            return _least([trial.errors_until(updates) for trial in trials[number]])

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.random.fork_rng(devices=[]):
                return halve(len(candidates), errors_of, self.budget, first, most)
        finally:
            torch.set_num_threads(threads)

    def windows(self, problem: Problem) -> list[int]:
        """Return how many training windows each fold has, the earliest first."""
        return [len(Windows(cut, "train")) for cut in self._cuts(problem)]

    def _cuts(self, problem: Problem) -> list[Panel]:
        schema = replace(self.source.schema, data=problem.data.model_dump(mode="json"))
        source = replace(self.source, schema=schema)
        source = source.cut(schema.validation_step, schema.test_step, schema.steps)
        return rehearsal.cuts(source, self.folds)

    def _base(self, problem: Problem, cut: Panel) -> tuple[Pool, Run] | None:
        """Fit the base of a fold, which is the same for all networks."""
        if problem.model.base == "none":
            return None
        key = cut.schema.validation_step, problem.data.season_length
        if key not in self._bases:
            self._bases[key] = learner.fit_base(cut)
        return self._bases[key]


def _least(by_fold: list[list[float]]) -> Errors:
    """Return the errors of all folds at the number of updates with the smallest mean."""
    every = np.array(by_fold)  # (folds, times)
    return tuple(every[:, int(every.mean(axis=0).argmin())].tolist())


def _common(cuts: tuple[Panel, ...]) -> tuple[tuple[Panel, ...], NDArray[np.int64]]:
    """Return the panels of a fold, and the first step of windows that all candidates forecast."""
    rows = None
    for cut in cuts:
        windows = Windows(cut, "validation")
        own = windows.locate(np.arange(len(windows)))[1]
        rows = own if rows is None else np.intersect1d(rows, own)
    assert rows is not None
    return cuts, rows[np.linspace(0, len(rows) - 1, min(len(rows), JUDGED)).astype(np.int64)]


class _Trial:
    """A candidate's network in one fold, with its averaged weights; see `WeightAverage`."""

    def __init__(
        self,
        problem: Problem,
        cell: Cell,
        cut: Panel,
        rows: NDArray[np.int64],
        base: tuple[Pool, Run] | None,
        pace: Pace,
    ):
        self.problem, self.pace = problem, pace
        torch.manual_seed(SEED)
        made = learner.make(cut, problem, cell, ensemble=1, limit=LEARNED, fitted=base)
        training = problem.training
        self.network, self.averaged = made.network.train(), copy.deepcopy(made.network).eval()
        self.rate, self.steps = training.rate(cell), 0
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), self.rate, weight_decay=training.weight_decay, fused=True
        )
        self.batches = _forever(made.examples(), training.batch_size)
        self.part = Windows(cut, "validation").beginning_at(rows).on(made.bases, hold=True)
        self.errors = [self._error()] if base is not None else []

    def errors_until(self, updates: int) -> list[float]:
        """Train up to so many updates; return the errors now and before, those of a base first."""
        with self.pace.counting(updates - self.steps):
            while self.steps < updates:
                self._update(next(self.batches))
        self.errors.append(self._error())
        return self.errors

    def _error(self) -> float:
        """Return twice the mean quantile loss, which is the absolute error for a median."""
        network = self.averaged
        found = collect(network, self.part, network.target.transform)
        errors = torch.from_numpy(rehearsal.output_errors(found, network.target))
        levels = torch.tensor(network.levels if errors.shape[-1] > 1 else (0.5,))
        error = float(2 * learner.pinball(errors, levels).nanmean())
        return error if np.isfinite(error) else float("inf")

    def _update(self, batch: Batch | Ready) -> None:
        training = self.problem.training
        torch.manual_seed((SEED << 32) + self.steps)  # of dropout and of mirroring
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1.0, self.steps / WARMUP)
        total, weight = learner.loss_of(self.problem, self.network, batch)
        self.optimizer.zero_grad()
        (total / weight.clamp(min=1)).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), training.gradient_clip)
        self.optimizer.step()
        share = 1 - min(training.ema_decay, self.steps / (self.steps + 9))
        with torch.no_grad():
            for mean, weights in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(weights, share)


def _forever(train: Examples, size: int) -> Iterator[Any]:
    sampler = ResumableSampler(train, size, SEED)
    while True:
        yield from sampler
        sampler.epoch += 1
