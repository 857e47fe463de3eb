"""How often the verdict is right: equal models, and better ones, on test parts of many shapes.

Simulates two forecasters whose errors are strongly correlated, calls what evaluation calls, and
counts the verdicts; beside it, what other methods say of two equal models.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from benchmarks import tables
from retain.evaluation import bootstrap

Errors = NDArray[np.floating[Any]]

SHAPES = (  # series, length, horizon, steps
    (1, 1_000, 28, "days"),
    (1, 132, 12, "months"),
    (4, 132, 6, "months"),
    (6, 40, 3, "months"),
    (20, 880, 28, "days"),
    (1_000, 104, 13, "weeks"),
    (8, 26_000, 24, "hours"),
)
ONE_HORIZON = ((20, 28, "days"), (400, 13, "weeks"))  # series, horizon: a single forecast origin
TEST_SHARE, HORIZONS = 0.15, 6
PERSISTENCE = 0.7  # of a one-step error in the steps after it
IN_COMMON = 0.5  # the share of the variance of one-step errors that all series have in common
CORRELATION = 0.9  # between the errors of the two forecasters
BETTER = 0.75  # the better one's MAE as a multiple of the other's
RESAMPLES = 400

NOTES = """\
The test part is the last {share:.0%} of a table in whole horizons, but at least {horizons} horizons
or, if they are less, those that fit into half of the table; origins are at every step. One-step
errors have Student's law with 4 degrees of freedom; half of their variance is common to all series;
an error is the sum of those since the origin, each decaying by {persistence:g} a step. The errors
of the two forecasters have a correlation of {correlation:g} and, where they are equal, the same
law; those of the better one are {better:g} times as large. Of two equal models, each is to be
called better in 5 of 100 cases at most. The standard error of a rate is at most {error:.1f} points,
near 5 % half of that; on the largest table nearly twice as much. The bootstrap draws {resamples}
times here, 2,000 times in an evaluation. “Smallest” is the improvement that `smallest_difference`
promises to tell in 80 of 100 cases.

The same two equal models, the first called better in so many of 100 cases by other methods: blocks
of one horizon drawn with replacement; the test of Diebold & Mariano as corrected by Harvey,
Leybourne & Newbold (1997); series and blocks drawn together (Owen 2007); series drawn alone.

"""


def origins(length: int, horizon: int) -> int:
    """How many forecast origins the test part of a table has."""
    horizons = max(int(TEST_SHARE * length / horizon), min(HORIZONS, length // 2 // horizon))
    return (horizons - 1) * horizon + 1


def draw(
    rng: np.random.Generator, count: int, series: int, horizon: int, ratio: float
) -> tuple[Errors, Errors]:
    """Draw two forecasters' sums of absolute errors over the horizon: (origins, series) each.

    Args:
        ratio: the MAE of the first as a multiple of the second's.
    """
    own, common = np.sqrt([(1 - IN_COMMON) / 2, IN_COMMON / 2])  # the law's variance is 2
    steps, shape = (3, count + horizon - 1), (3, count, series)
    shocks = common * rng.standard_t(4, (*steps, 1)) + own * rng.standard_t(4, (*steps, series))
    errors, sums = np.zeros(shape), np.zeros((2, count, series))
    for step in range(horizon):
        errors = PERSISTENCE * errors + shocks[:, step : step + count]
        both = np.sqrt(CORRELATION) * errors[:1] + np.sqrt(1 - CORRELATION) * errors[1:]
        sums += np.abs(both)
    return ratio * sums[0], sums[1]


def judge(ours: Errors, theirs: Errors, horizon: int, seed: int) -> str:
    """Judge two models as an evaluation does."""
    return interval(ours, theirs, horizon, seed).judgement


def interval(ours: Errors, theirs: Errors, horizon: int, seed: int) -> Any:
    """Call the function that evaluation calls, on the sums that it has."""
    counts = np.full_like(ours, horizon)
    every = np.stack([ours, counts, theirs, counts])  # (4, origins, series)
    return bootstrap.difference(
        every.sum(2), every.sum(1), horizon, 2 * horizon, RESAMPLES, seed, "forecast origins"
    )


def diebold_mariano(change: Errors, horizon: int, rng: np.random.Generator) -> bool:
    """Whether the corrected test calls the first model better; (origins, series) of differences."""
    by_origin = change.sum(1)
    count, rest = len(by_origin), by_origin - by_origin.mean()
    covariances = [rest[lag:] @ rest[: count - lag] / count for lag in range(min(horizon, count))]
    variance = (covariances[0] + 2 * sum(covariances[1:])) / count
    correction = (count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count
    if variance <= 0 or correction <= 0:
        return False
    statistic = by_origin.mean() / np.sqrt(variance / correction)
    return bool(statistic < -stats.t.ppf(0.975, count - 1))


def resampled(by_time: bool, by_series: bool) -> Callable[[Errors, int, np.random.Generator], bool]:
    """Make a percentile bootstrap over blocks of one horizon, over series, or over both."""

    def better(change: Errors, horizon: int, rng: np.random.Generator) -> bool:
        count, series = change.shape
        running = np.cumsum(np.pad(change, ((1, 0), (0, 0))), axis=0)
        blocks = running[horizon:] - running[:-horizon] if by_time else change.sum(0)[None]
        per_draw = -(-count // horizon) if by_time else 1
        times = rng.multinomial(per_draw, np.full(len(blocks), 1 / len(blocks)), RESAMPLES)
        weights = np.ones((RESAMPLES, series))
        if by_series:
            weights = rng.multinomial(series, np.full(series, 1 / series), RESAMPLES)
        totals = ((times @ blocks) * weights).sum(1)
        return bool(np.quantile(totals, 0.975) < 0)

    return better


OTHERS = {
    "blocks": resampled(True, False),
    "Harvey et al.": diebold_mariano,
    "series and blocks": resampled(True, True),
    "series": resampled(False, True),
}


def rates(
    count: int, series: int, horizon: int, ratio: float, draws: int, others: bool = False
) -> dict[str, float]:
    """Count verdicts, and what other methods call better, as shares of the draws."""
    rng = np.random.default_rng(1)
    found: Counter[str] = Counter()
    for number in range(draws):
        ours, theirs = draw(rng, count, series, horizon, ratio)
        found[judge(ours, theirs, horizon, number)] += 1
        for name, method in OTHERS.items() if others else ():
            if count > horizon or name == "series":
                found[name] += method(ours - theirs, horizon, rng)
    return {name: times / draws for name, times in found.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--draws", type=int, default=2000, help="of a shape; fewer of the largest")


def measure(
    count: int, series: int, length: str, horizon: int, draws: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Simulate one shape: a row of each table."""
    large = count * series * horizon > 600_000
    draws = max(draws // 3, 1) if large else draws
    equal = rates(count, series, horizon, 1.0, draws, others=not large)
    better = rates(count, series, horizon, BETTER, draws)
    first = interval(*draw(np.random.default_rng(1), count, series, horizon, 1.0), horizon, 1)
    told = bootstrap.smallest_difference(count, series, horizon)
    smallest = "undecided" if told is None else f"{100 * told:.0f} %"
    shape = {"table": f"{series:,} × {length}", "horizon": horizon, "origins": count}
    percent = {name: f"{100 * share:.1f}" for name, share in equal.items()}
    row = shape | {
        "judged by": first.method,
        "draws": draws,
        "equal, better, %": percent.get("better", "0.0"),
        "equal, worse, %": percent.get("worse", "0.0"),
        f"{1 - BETTER:.0%} better, better, %": f"{100 * better.get('better', 0):.1f}",
        "smallest": smallest,
    }
    several = {"Harvey et al.", "blocks"} if series == 1 else set(OTHERS)
    return row, shape | {
        name: percent.get(name, "–") if name in several else "–" for name in OTHERS
    }


def run(options: argparse.Namespace) -> None:
    """Simulate, print, and write the section."""
    torch.set_num_threads(1)
    shapes = [
        (origins(length, horizon), series, f"{length:,} {steps}", horizon)
        for series, length, horizon, steps in SHAPES
    ] + [(1, series, f"one horizon of {steps}", horizon) for series, horizon, steps in ONE_HORIZON]
    rows, others = [], []
    for count, series, length, horizon in shapes:
        row, other = measure(count, series, length, horizon, options.draws)
        print(row | other, flush=True)
        rows.append(row)
        others.append(other)
    notes = NOTES.format(
        share=TEST_SHARE,
        horizons=HORIZONS,
        persistence=PERSISTENCE,
        correlation=CORRELATION,
        better=BETTER,
        resamples=RESAMPLES,
        error=50 / options.draws**0.5,
    )
    both = pd.DataFrame(rows).merge(pd.DataFrame(others))
    text = (
        f"{tables.markdown(pd.DataFrame(rows))}\n\n{notes}{tables.markdown(pd.DataFrame(others))}"
    )
    tables.write("verdict", both, text, f"python -m benchmarks verdict --draws {options.draws}")
