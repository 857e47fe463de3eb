"""The search space of `retain tune`: ranges of keys of params.yaml, narrowed by the section `tune`.

A kind gives the ranges of its problems; keys are written `section.key`, as in
`training.learning_rate`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, TypeVar

from retain.errors import ParamsError
from retain.words import did_you_mean

if TYPE_CHECKING:
    from retain.config.schema import Cell, Problem
    from retain.training.setup import TrainingSetup

P = TypeVar("P", bound="Problem", contravariant=True)
Value = bool | int | float | str | None
KEEP = "keep"  # in the section `tune`: the key stays as it is
RATE = "training.learning_rate"
PER_CELL = (RATE,)  # keys that params.yaml may give for each cell


@dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included.

    Attributes:
        log: whether they are drawn by their logarithms.
        whole: whether they are integers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def including(self, value: Value) -> Self:
        """Return the range, widened to contain a value."""
        assert isinstance(value, int | float)
        return replace(self, low=min(self.low, value), high=max(self.high, value))

    def shown(self, value: Value) -> Value:
        """Return a drawn number with two significant digits, as params.yaml will have it."""
        rounded = min(max(float(f"{value:.2g}"), self.low), self.high)
        return int(rounded) if self.whole else rounded


@dataclass(frozen=True)
class Choices:
    """Some values, in any order."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return ", ".join("null" if value is None else str(value) for value in self.values)

    def including(self, value: Value) -> Self:
        """Return the choices with a value among them."""
        return self if value in self.values else replace(self, values=(*self.values, value))

    def shown(self, value: Value) -> Value:
        """Return the value."""
        return value


Range = Numbers | Choices


@dataclass(frozen=True)
class Space:
    """What a study of one cell of a problem tries.

    Attributes:
        ranges: by key; each contains the values of `starts`.
        starts: the settings as they are, which are the first trials; several where the problem
            itself tries several.
        fixed: keys that every trial sets.
    """

    ranges: Mapping[str, Range]
    starts: tuple[Mapping[str, Value], ...]
    fixed: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def settings(self, drawn: Mapping[str, Value]) -> dict[str, Any]:
        """Return the keys that a trial sets, from the values that were drawn."""
        if drawn in self.starts:
            return {**drawn, **self.fixed}
        shown = {key: self.ranges[key].shown(value) for key, value in drawn.items()}
        return {**shown, **self.fixed}


class BuildSpace(Protocol[P]):
    """Return what `retain tune` tries for a cell of a problem."""

    def __call__(self, problem: P, cell: Cell) -> Space: ...


class Losses(NamedTuple):
    """The sums of losses of the forecasts, and of how many values.

    Attributes:
        steps: of the time grid, at which the forecasts begin, in order of time.
        by_step: sums, and numbers of values, for each of these steps.
        by_series: the same for each series.
        overlap: over how many steps neighbours have values in common: the horizon.
    """

    steps: list[int]
    by_step: tuple[list[float], list[float]]
    by_series: tuple[list[float], list[float]]
    overlap: int


class Trial(NamedTuple):
    """A training and its scores.

    Attributes:
        score: the score of the validation part; called once after each epoch.
        losses: those that the last score is the mean of.
    """

    setup: TrainingSetup
    score: Callable[[], float]
    losses: Callable[[], Losses]


class BuildTrial(Protocol[P]):
    """Build the training of a trial, as if it were earlier by some validation parts.

    A kind whose validation losses are in the same unit for all settings needs no such part: a trial
    is then its `training`, scored by that loss.

    Raises:
        DataError: the table does not begin early enough.
    """

    def __call__(self, problem: P, prepared: Path, cell: Cell, earlier: int = 0) -> Trial: ...


def space(problem: Problem, cell: Cell, ranges: Mapping[str, Range]) -> Space:
    """Return the search space with these ranges; the first trial is the problem as it is."""
    return Space(ranges, ({key: present(problem, cell, key) for key in ranges},))


def around(value: int, least: int, most: int) -> Numbers:
    """Return whole numbers from a quarter of a size to its double, within bounds."""
    return Numbers(max(least, value // 4), min(most, 2 * value), log=True, whole=True)


def present(problem: Problem, cell: Cell, key: str) -> Value:
    """Return the value of a key for a cell."""
    if key == RATE:
        return problem.training.rate(cell)
    section, _, name = key.partition(".")
    value: Value = getattr(getattr(problem, section), name)
    return value


def narrowed(
    found: Space, tune: Mapping[Any, Mapping[str, Any]], where: str, check: Callable[..., object]
) -> Space:
    """Return a space with the ranges of the section `tune`, and the present values within them.

    Args:
        found: the space of the kind.
        tune: by section and key: `keep`, the least and the most of a number, or the values to try.
        where: the path of the section, for errors.
        check: takes settings by key; raises ParamsError where they are refused.

    Raises:
        ParamsError: a key is not searched, or a range is wrong.
    """
    ranges = dict(found.ranges)
    for section, keys in tune.items():
        for name, given in keys.items():
            key, path = f"{section}.{name}", f"{where}.{section}.{name}"
            if key not in found.ranges:
                near = did_you_mean(key, [*found.ranges])
                raise ParamsError(f"params.yaml: `{path}` names a key that is not searched{near}")
            if given == KEEP:
                del ranges[key]
                continue
            ranges[key] = _given(found.ranges[key], tuple(given), path)
            ends = ranges[key]
            for value in ends.values if isinstance(ends, Choices) else (ends.low, ends.high):
                try:
                    check({key: ends.shown(value)})
                except ParamsError as error:
                    raise ParamsError(f"params.yaml: `{path}` has a wrong value: {error}") from None
    if not ranges:
        raise ParamsError(f"params.yaml: `{where}` keeps every key: nothing is left to try")
    starts = tuple({key: start[key] for key in ranges} for start in found.starts)
    for start in starts:
        ranges = {key: ranges[key].including(value) for key, value in start.items()}
    unique = tuple(start for n, start in enumerate(starts) if start not in starts[:n])
    return Space(ranges, unique, found.fixed)


def _given(known: Range, given: tuple[Value, ...], path: str) -> Range:
    """Return the range that the section `tune` gives for a key."""
    if isinstance(known, Choices):
        return Choices(given)
    numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(given) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
        raise ParamsError(f"params.yaml: `{path}`: give the least and the most, such as [1, 10]")
    if known.whole and not all(isinstance(one, int) for one in numbers):
        raise ParamsError(f"params.yaml: `{path}`: give two whole numbers")
    if known.log and numbers[0] <= 0:
        raise ParamsError(f"params.yaml: `{path}`: the least must be above 0")
    return replace(known, low=numbers[0], high=numbers[1])


def override(entry: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem's entry of params.yaml with other values of some keys."""
    changed = copy.deepcopy(dict(entry))
    for key, value in settings.items():
        section, _, name = key.partition(".")
        changed[section] = {**(changed.get(section) or {}), name: value}
    return changed
