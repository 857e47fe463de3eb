"""Drift: how far new data are from the champion's training data, and its error on them.

Both are measured on the newest part of the data, which has the length of the windows in the
champion's profile.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain.errors import ModelError
from retain.evaluation.arrays import Floats
from retain.evaluation.results import Drift, DriftFindings
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, profile, timestamps
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import scoring, wording
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.words import several

SCALED = "mase"  # the error to monitor: the scale of the series has no effect


def check(
    problem: Problem,
    prepared: Path,
    champion: Path | None = None,
    expected: Mapping[str, float] | None = None,
) -> DriftFindings:
    """Compare prepared data with the champion's training data.

    Args:
        prepared: what `prepare` wrote.
        champion: its model folder; without one only the data are checked.
        expected: its metrics on the test part it was registered with.
    """
    source = panel.load(prepared)
    settings = problem.retrain
    end = profile.last_step(source) + 1
    model, note = _comparable(source, champion)
    frozen = model.config["reference"] if model else profile.measure(source)
    begin = max(end - frozen["window"], 0)
    findings = DriftFindings(newest=_newest(source, begin, end, problem.data))
    if note:
        findings.notes.append(note)
    scales = source.index[["mean", "std"]].to_numpy(dtype=np.float64)
    if model is not None:
        names = source.index["unique_id"].to_numpy(dtype=object)
        scales = model.known_series(names, scales)[1].double().numpy()
    _, values = profile.sample(source, scales, begin, end)
    findings.worse.extend(_reasons_not_to_train(source, values, frozen, model, problem))
    if model is None or findings.worse:
        return findings
    for name, column in zip(profile.table_columns(source.schema), values.T, strict=True):
        trained = frozen["columns"][name]
        distances = zip(("psi", "wasserstein"), profile.distances(trained, column), strict=True)
        for measure, value in distances:
            if np.isfinite(value):
                bound, usual = getattr(settings, measure), trained[measure]
                drift = Drift(name, measure, value, max(bound, usual), usual > bound)
                findings.drifts.append(drift)
    before = (expected or {}).get(SCALED)
    now = error(model, source, begin, end) if before else None
    if now is None or not before:
        findings.notes.append("no error to compare: no whole new window, or none was registered")
    else:
        findings.drifts.append(Drift("champion's error", SCALED, now / before, settings.error))
    return findings


def _newest(source: Panel, begin: int, end: int, data: Data) -> str:
    return wording.span(source.grid[begin], source.grid[end - 1], data, source.schema.frequency)


def error(model: Predictor, source: Panel, begin: int, end: int) -> float | None:
    """Compute a model's MASE on the windows between two grid steps that it was not trained on.

    The scale is that of the series when the panel was made. None where there is no such window.
    """
    begin = max(begin, int(source.grid.searchsorted(model.trained_until())))
    windows = Windows(source, (begin, end))
    if not len(windows):
        return None
    forecast = scoring.network_model(model, source)
    sums = scoring.sum_metrics(forecast, windows, source, model.network.levels)
    score = sums.scores()[SCALED]
    return score if np.isfinite(score) else None


def _comparable(source: Panel, champion: Path | None) -> tuple[Predictor | None, str]:
    """Load the champion, if it reads today's data; otherwise say why not."""
    if champion is None:
        return None, ""
    try:
        model = predictor.load(champion)
        model.check_fits(source.schema, "the champion")
    except ModelError as error:
        return None, f"nothing is compared with the champion: {error}"
    if "reference" not in model.config:
        return None, "nothing is compared with the champion: it was trained without a reference"
    return model, ""


def _reasons_not_to_train(
    source: Panel,
    values: Floats,
    frozen: dict[str, Any],
    model: Predictor | None,
    problem: Problem,
) -> list[str]:
    """List what the data have lost."""
    reasons, settings, data = [], problem.retrain, problem.data
    last = source.grid[profile.last_step(source)]
    where = f"in the newest {frozen['window']:,} steps"
    if model is not None:
        today = set(source.index["unique_id"])
        gone = [name for name in model.config["series"]["unique_id"] if name not in today]
        if gone:
            reasons.append(
                f"fewer series: {len(gone):,} of {frozen['series']:,} that the champion knows are "
                f"gone or no longer usable ({several(gone, 5)})"
            )
        if last < pd.Timestamp(frozen["last"]):
            reasons.append(
                f"time goes backwards: the last value is of {timestamps.in_words(last, data)}, and "
                "the champion's data reach to "
                f"{timestamps.in_words(pd.Timestamp(frozen['last']), data)}"
            )
    share = np.isnan(values).mean(axis=0)
    for name, empty in zip(profile.table_columns(source.schema), share, strict=True):
        if empty == 1 and frozen["columns"][name]["quantiles"]:
            reasons.append(f"column `{name}` has no value {where}")
    if settings.max_missing < share[0] < 1:
        reasons.append(
            f"gaps: {100 * share[0]:.0f} % of the target is missing {where}; allowed by "
            f"retrain.max_missing are {100 * settings.max_missing:.0f} %"
        )
    return reasons
