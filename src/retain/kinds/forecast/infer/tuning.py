"""Settings that `retain add` chooses by measuring, on the validation part of the split alone.

The season is the shortest whose seasonal-naive forecast is not clearly worse than that of a longer
one; normalisation and residual are those a small ridge regression from window to horizon does best
with. Seconds, no torch, a fixed seed.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from retain.evaluation.arrays import Floats
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.cycles import natural, segment_length
from retain.kinds.forecast.data.powers import MOSTLY_ZERO, share_of_zeros, takes_logarithms

SERIES = 32  # measured on, at most
WINDOWS = {"train": 2000, "validation": 1000}
WORTHWHILE = 0.01  # less than 1 % better than mean_std and none is noise
CLEARLY = 0.1  # by this share a longer season must be better, and `series` as normalisation
OUTSIDE = 0.1  # of the validation windows may have a level that training did not see, for `series`
ENOUGH = 2_000  # training windows for a large network,
DIFFERENT = 200  # and origins of one series: what all series share is seen once at each
EMBEDDED = 2_000  # training windows a series for an embedding of each: with fewer it overfits
FEW = 500  # windows, from which a network learns no season
RIDGE = 0.01  # penalty a window; inputs have about unit variance


@dataclass(frozen=True)
class Sample:
    """One series: its values, NaN where missing, and where its training and validation end."""

    y: Floats
    train_end: int
    validation_end: int
    mean: float
    std: float


def tune(
    built: panel.Panel, draft: Data, given: dict[str, Any], sentences: list[str]
) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Choose what fits a table, with a sentence for each choice; `given` keys are kept.

    Returns:
        Keys of the section `data`, the preset, and keys of the section `model`.
    """
    samples = _samples(built)
    cycles = natural(built.schema.frequency)
    season = given.get("season_length")
    if season is None:
        # Of a season that is longer than the training part only some of validation can be compared.
        longest = max(sample.train_end for sample in samples)
        tried = [m for m in (1, *cycles) if m * -(-draft.horizon // m) <= longest]
        errors = {m: seasonal_error(samples, m, draft.horizon) for m in tried}
        errors = {m: error for m, error in errors.items() if np.isfinite(error)}
        season = next(iter(errors), 1)
        for m, error in errors.items():
            # The first cycle asks for no more context; a longer one must be worth what it asks for.
            better = WORTHWHILE if m in cycles[:1] else CLEARLY
            season = m if error < (1 - better) * errors[season] else season
        measured = ", ".join(f"{m}: {error:.4g}" for m, error in errors.items())
        sentences.append(
            f"season_length: {season}; seasonal-naive forecasts err by {measured}, and a season "
            f"beyond the first must be {100 * CLEARLY:.0f} % better"
        )

    trained = np.array([sample.train_end for sample in samples])
    useful = trained[trained >= 3 * draft.horizon]
    # Half of what the training part has room for, so that windows are left to learn from.
    limit = max(1, (int(useful.min() if len(useful) else trained.max()) - draft.horizon) // 2)
    longest = min(draft.horizon, limit)
    unit = segment_length(built.schema.frequency, longest, longest)
    context = given.get("context_length")
    if context is None:
        wanted = max(2 * draft.horizon, season, *cycles[:1])
        context = min(-(-wanted // unit), limit // unit) * unit
        why = (
            "two horizons and a season"
            if wanted <= limit
            else "half of what the training part has room for"
        )
        sentences.append(f"context_length: {context}, {why}")
    segment = segment_length(built.schema.frequency, draft.horizon, context)
    sentences.append(f"segment_length: {segment} steps are read at a time")

    normalisation, residual = _normalisation(samples, context, draft.horizon, season, sentences)
    windows = int(np.maximum(trained - context - draft.horizon + 1, 0).sum())
    windows = windows * len(built.index) // len(samples)
    origins = int(trained.max()) - context - draft.horizon + 1
    preset = "accurate" if windows >= ENOUGH and origins >= DIFFERENT else "fast"
    sentences.append(f"preset: {preset}, for {windows:,} training windows")
    model = {
        "base": "pool",
        "segment_length": segment,
        "normalisation": normalisation,
        "residual": residual,
        "series_embedding": 16 if windows >= EMBEDDED * len(built.index) > EMBEDDED else 0,
    }
    zeros = share_of_zeros(built.values, built.index, built.schema.validation_step)
    if draft.minimum is not None and zeros > MOSTLY_ZERO:
        model["mean"] = "tweedie"
        sentences.append(
            f"mean: tweedie; {100 * zeros:.0f} % of the training values are zero, and the median "
            "of such a series says little"
        )
    transform = (
        "log1p"
        if takes_logarithms(built.values, built.index, built.schema.validation_step)
        else "none"
    )
    sentences.append(
        f"transform: {transform}; the training part has "
        + (
            "few zeros and no negative value"
            if transform == "log1p"
            else "negative values or zeros"
        )
    )
    data = {"context_length": context, "season_length": season, "transform": transform}
    return data, preset, model


def seasonal_error(samples: list[Sample], season: int, horizon: int) -> float:
    """Return the MAE of the seasonal-naive forecast over all windows of the validation part.

    Step h repeats the value of the last whole season before the forecast begins, so it looks back
    season * ceil(h / season) steps. NaN where no value can be compared.
    """
    lags = -(-np.arange(1, horizon + 1) // season) * season
    total, count = 0.0, 0
    for sample in samples:
        for lag, times in zip(*np.unique(lags, return_counts=True), strict=True):
            begin = max(sample.train_end, int(lag))
            now = sample.y[begin : sample.validation_end]
            error = np.abs(now - sample.y[begin - lag : begin - lag + len(now)])
            known = np.isfinite(error)
            total += float(error[known].sum()) * int(times)
            count += int(known.sum()) * int(times)
    return total / count if count else float("nan")


def _samples(built: panel.Panel) -> list[Sample]:
    """Return the longest series, as many as are measured on."""
    rows = built.index.sort_values("length", ascending=False, kind="stable").head(SERIES)
    schema = built.schema
    samples = []
    for row in rows.to_dict("records"):
        first, start, length = row["first_step"], row["start"], row["length"]
        samples.append(
            Sample(
                y=built.values[start : start + length, 0].astype(np.float64),
                train_end=max(0, min(length, schema.validation_step - first)),
                validation_end=max(0, min(length, schema.test_step - first)),
                mean=row["mean"],
                std=row["std"],
            )
        )
    return samples


def _normalisation(
    samples: list[Sample], context: int, horizon: int, season: int, sentences: list[str]
) -> tuple[str, str]:
    """Return normalisation and residual with the least validation error of a ridge regression."""
    reach = max(context, season)
    train = _windows(samples, reach, horizon, "train")
    score = _windows(samples, reach, horizon, "validation")
    # A ridge regression with and without the season before differs little where the context holds
    # it; a network learns no season from a few windows, and its difference to the season is safer
    # where most of them have a season before them.
    few = (
        len(train[0]) < FEW
        and season > 1
        and 2 * season <= max(sample.train_end for sample in samples)
    )
    safer = "seasonal" if few else "none"
    if len(train[0]) < 20 or not len(score[0]):
        sentences.append(
            f"normalisation: mean_std, residual: {safer}; too few whole windows to measure"
        )
        return "mean_std", safer
    errors: dict[tuple[str, str], float] = {}
    residuals = (safer,) if few or season == 1 else ("none", "seasonal")
    for normalisation, residual in itertools.product(("mean_std", "last", "series"), residuals):
        inputs, targets, _, _ = _prepare(train, context, season, normalisation, residual)
        gram = inputs.T @ inputs + RIDGE * len(inputs) * np.eye(inputs.shape[1])
        weights = np.linalg.solve(gram, inputs.T @ targets)
        inputs, targets, scale, std = _prepare(score, context, season, normalisation, residual)
        errors[normalisation, residual] = float(
            np.mean(np.abs(inputs @ weights - targets) * scale / std)
        )
    plain = errors["mean_std", safer]
    by_window = {pair: error for pair, error in errors.items() if pair[0] != "series"}
    best = min(by_window, key=lambda pair: by_window[pair])
    by_series = min(errors.keys() - by_window.keys(), key=lambda pair: (errors[pair], pair))
    # What is scaled by the training part forecasts badly where the level has left it.
    if errors[by_series] < (1 - CLEARLY) * errors[best] and _stays(train, score, reach, context):
        best = by_series
    if errors[best] > (1 - WORTHWHILE) * plain:
        best = "mean_std", safer
    sentences.append(
        f"normalisation: {best[0]}, residual: {best[1]}; a ridge regression errs "
        f"{errors[best]:.3f} standard deviations with them, {plain:.3f} with mean_std and {safer}"
    )
    return best


def _stays(
    train: tuple[Floats, Floats], score: tuple[Floats, Floats], reach: int, context: int
) -> bool:
    """Whether the levels of the validation windows lie where those of the training windows do."""

    def levels(sampled: tuple[Floats, Floats]) -> Floats:
        windows, scales = sampled
        means: Floats = windows[:, reach - context : reach].mean(axis=1)
        return (means - scales[:, 0]) / scales[:, 1]

    known, new = levels(train), levels(score)
    return bool(np.mean((new < known.min()) | (new > known.max())) <= OUTSIDE)


def _windows(samples: list[Sample], reach: int, horizon: int, part: str) -> tuple[Floats, Floats]:
    """Return windows (n, reach + horizon) whose horizon is observed, and mean and deviation (n, 2).

    Gaps in the context are bridged by straight lines, where at least half of it is observed.
    """
    random = np.random.default_rng(1)
    windows, scales = [], []
    for sample in samples:
        end = sample.train_end if part == "train" else sample.validation_end
        begin = reach if part == "train" else max(reach, sample.train_end)
        y = sample.y[begin - reach : end]
        if len(y) < reach + horizon:
            continue
        seen = np.isfinite(y)
        observed = np.lib.stride_tricks.sliding_window_view(seen, reach + horizon)
        in_horizon, in_context = observed[:, reach:], observed[:, :reach]
        places = np.flatnonzero(in_horizon.all(axis=1) & (in_context.mean(axis=1) >= 0.5))
        most = -(-WINDOWS[part] // len(samples))
        if len(places) > most:
            places = np.sort(random.choice(places, most, replace=False))
        bridged = np.interp(np.arange(len(y)), np.flatnonzero(seen), y[seen]) if len(places) else y
        windows.append(np.lib.stride_tricks.sliding_window_view(bridged, reach + horizon)[places])
        scales.append(np.tile([sample.mean, sample.std], (len(places), 1)))
    if not windows:
        return np.empty((0, reach + horizon)), np.empty((0, 2))
    return np.concatenate(windows), np.concatenate(scales)


def _prepare(
    sampled: tuple[Floats, Floats], context: int, season: int, normalisation: str, residual: str
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return normalised inputs and targets of the regression, their scale, and the deviation."""
    windows, scales = sampled
    std = scales[:, 1:]
    reach = max(context, season)
    recent, future = windows[:, reach - context : reach], windows[:, reach:]
    if normalisation == "series":
        centre, scale = scales[:, :1], std
    elif normalisation == "last":
        centre, scale = recent[:, -1:], std
    else:
        centre = recent.mean(axis=1, keepdims=True)
        scale = np.hypot(recent.std(axis=1, keepdims=True), 0.01 * std)
    inputs = (recent - centre) / scale
    base = centre
    if residual == "seasonal":
        ahead = np.arange(future.shape[1])
        base = windows[:, reach - season + ahead % season]
    return np.c_[inputs, np.ones(len(inputs))], (future - base) / scale, scale, std
