"""What `retain add` tries in short trainings: which settings, in which order, and what it says."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retain.kinds.forecast.config import ALONE, Problem
from retain.kinds.forecast.data.cycles import segment_length
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model import rehearsal
from retain.kinds.forecast.model.search import Budget, Compared, Search
from retain.kinds.forecast.presets import ON_BASE, UPDATE_SECONDS

LEAST = 20  # training windows, for short trainings to tell anything
PLANNED = 50  # updates of all comparisons and their scoring, by those of a first round
FIRST = (15, 60)  # updates of a first round, at least and at most
MEASURED = 20  # updates, from which their pace is known
ROUNDS = 4  # times as many has the last one


@dataclass(frozen=True)
class Option:
    """A setting that is tried, with its name in sentences."""

    name: str
    data: dict[str, Any]
    model: dict[str, Any]


class Trials:
    """The short trainings of one table, and what sentences say of them."""

    def __init__(self, drawn: Panel, clock: Budget, used: bool):
        self._search = Search(drawn, clock)
        planned = max(clock.left, 0) / (self._search.folds * PLANNED * UPDATE_SECONDS)
        low, high = FIRST
        self._first = int(min(max(planned, low), high))
        self._used = used
        self._reasons: dict[str, str] = {}

    def choose(
        self, start: Problem, transforms: Sequence[str], contexts: Sequence[int], few: bool
    ) -> Problem:
        """Return the problem with the settings that networks do best with.

        What depends on a network on the base stays as it is where none would be kept, so few
        windows there are. What matters most is tried first, while there are seconds left.

        Args:
            transforms, contexts: those that are tried, the safest first.
            few: whether there are so few windows that a network learns no season from them.
        """
        problem, enough = start, self.enough(start)
        if enough:
            problem = self._choose("transform", problem, _transforms(transforms))
        alone = self._alone(problem, few)
        found = {key: getattr(alone.model, key) for key in ("normalisation", "residual")}
        problem = _with(problem, Option("", {}, found))
        if enough:
            frequency = self._search.source.schema.frequency
            problem = self._choose(
                "context_length", problem, _lengths(problem, contexts, frequency)
            )
            return self._choose("hidden_size", problem, _widths(problem))
        why = f"; nothing else is tried with fewer than {rehearsal.FEWEST} windows to learn from"
        self._reasons |= dict.fromkeys(("transform", "context_length"), why)
        return problem

    def enough(self, problem: Problem) -> bool:
        """Return whether there are so many windows that a network on the base may be kept."""
        windows = self._search.windows(problem)
        return len(windows) == problem.training.rehearsals and min(windows) >= rehearsal.FEWEST

    @property
    def update_seconds(self) -> float | None:
        """Seconds of the processor for one update of one network; None if few were made."""
        pace = self._search.pace
        return pace.seconds / pace.updates if pace.updates >= MEASURED else None

    def reason(self, key: str) -> str:
        """Return what a sentence says of how a key was chosen."""
        return self._reasons.get(key, "")

    def _alone(self, problem: Problem, few: bool) -> Problem:
        """Return the network without the base, with the normalisation and residual that suit it."""
        residuals = ["none", "seasonal"] if problem.data.season_length > 1 else ["none"]
        pairs = itertools.product(residuals[:: -1 if few else 1], ("last", "mean_std", "series"))
        options = [
            Option(f"{scaled} and {residual}", {}, {"normalisation": scaled, "residual": residual})
            for residual, scaled in pairs
        ]
        alone = problem.beside[ALONE]
        if min(self._search.windows(alone)) < LEAST:
            self._reasons["normalisation"] = (
                f"; nothing else is tried with fewer than {LEAST} windows"
            )
            return _with(alone, options[0])
        return self._choose("normalisation", alone, options)

    def _choose(self, key: str, problem: Problem, options: list[Option]) -> Problem:
        if not self._used or len(options) == 1:
            return _with(problem, options[0])
        candidates = [_with(problem, option) for option in options]
        compared = self._search.compare(candidates, self._first, ROUNDS * self._first)
        self._reasons[key] = _describe(compared, options)
        return candidates[compared.chosen]


def _transforms(names: Sequence[str]) -> list[Option]:
    return [Option(name, {"transform": name}, {}) for name in names]


def _lengths(problem: Problem, contexts: Sequence[int], frequency: str) -> list[Option]:
    horizon = problem.data.horizon
    return [
        Option(
            f"{steps}",
            {"context_length": steps},
            {"segment_length": segment_length(frequency, horizon, steps)},
        )
        for steps in contexts
    ]


def _widths(problem: Problem) -> list[Option]:
    width = problem.model.hidden_size
    narrow = ON_BASE["fast"]["model"]["hidden_size"]
    sizes = (width, 2 * width) if width == narrow else (width,)
    return [Option(f"{size}", {}, {"hidden_size": size}) for size in sizes]


def _describe(found: Compared, options: Sequence[Option]) -> str:
    """Return the errors of what was tried, and how much was left out."""
    by_updates: dict[int, list[int]] = {}
    for number, updates in found.updates.items():
        by_updates.setdefault(updates, []).append(number)
    rounds = []
    for updates, numbers in sorted(by_updates.items(), reverse=True):
        errors = ", ".join(f"{options[n].name}: {np.mean(found.errors[n]):.4f}" for n in numbers)
        rounds.append(f"after {updates} updates {errors}")
    left = len(options) - len(found.errors)
    text = (
        f"; errors in short trainings, in standard deviations: {'; '.join(rounds)}"
        if rounds
        else ""
    )
    if left:
        text += f"; {left} not tried, for the budget"
    elif not found.complete:
        text += "; not trained on, for the budget"
    return text


def _with(problem: Problem, option: Option) -> Problem:
    data = problem.data.model_copy(update=option.data)
    model = problem.model.model_copy(update=option.model)
    return problem.model_copy(update={"data": data, "model": model})
