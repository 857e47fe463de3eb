"""Whether new data are still what the champion knows, and whether it still forecasts them as well.

Both are asked of the newest part of the data: as many steps as the champion's reference has frozen.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain.config.schema import Retrain
from retain.errors import ModelError
from retain.evaluation.results import Drift, DriftFindings
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel, profile
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import evaluate
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor

SCALED = "mase"  # the error to watch: a series' scale does not count, nor that of all


def check(
    problem: Problem,
    prepared: Path,
    champion: Path | None = None,
    expected: Mapping[str, float] | None = None,
) -> DriftFindings:
    """Compare prepared data with what the champion was trained on.

    Args:
        prepared: what `prepare` wrote.
        champion: its model folder; without one only the data themselves are looked at.
        expected: its metrics on the test part it was registered with.
    """
    source = panel.load(prepared)
    settings = problem.retrain
    end = profile.last_seen(source) + 1
    served, note = _comparable(source, champion)
    frozen = served.config["reference"] if served else profile.of(source)
    begin = max(end - frozen["window"], 0)
    found = DriftFindings(newest=f"{source.grid[begin]} to {source.grid[end - 1]}")
    if note:
        found.notes.append(note)
    scales = source.index[["mean", "std"]].to_numpy(dtype=np.float64)
    if served is not None:
        names = source.index["unique_id"].to_numpy(dtype=object)
        scales = served.known_series(names, scales)[1].double().numpy()
    _, values = profile.sample(source, scales, begin, end)
    found.worse.extend(_worse(source, values, frozen, served, settings))
    if served is None or found.worse:
        return found
    for name, column in zip(profile.names(source.schema), values.T, strict=True):
        was = frozen["columns"][name]
        psi, wasserstein = profile.distances(was, column)
        for measure, value in (("psi", psi), ("wasserstein", wasserstein)):
            if np.isfinite(value):
                bound = getattr(settings, measure)
                usual = was[measure] > bound
                found.drifts.append(
                    Drift(name, measure, value, was[measure] if usual else bound, usual)
                )
    now, before = error(served, source, begin, end), (expected or {}).get(SCALED)
    if now is None or not before:
        found.notes.append("no error to compare: no whole new window, or none was registered")
    else:
        found.drifts.append(Drift("champion's error", SCALED, now / before, settings.error))
    return found


def error(served: Predictor, source: Panel, begin: int, end: int) -> float | None:
    """A model's MASE over all windows from one grid step to another that it has not learned from.

    The scale is that of the series when the panel was made. None where there is no such window.
    """
    begin = max(begin, int(source.grid.searchsorted(served.trained_until())))
    windows = Windows(source, (begin, end))
    if not len(windows):
        return None
    model = evaluate.network_model(served, source)
    scores = evaluate.tally(model, windows, source, served.network.levels).scores()
    return float(scores[SCALED]) if np.isfinite(scores[SCALED]) else None


def _comparable(source: Panel, champion: Path | None) -> tuple[Predictor | None, str]:
    """The champion, if today's data can be put into it, or why not."""
    if champion is None:
        return None, ""
    try:
        served = predictor.load(champion)
        served.check_fits(source.schema, "the champion")
    except ModelError as error:
        return None, f"nothing is compared with the champion: {error}"
    if "reference" not in served.config:
        return None, "nothing is compared with the champion: it was trained without a reference"
    return served, ""


def _worse(
    source: Panel,
    values: profile.Floats,
    frozen: dict[str, Any],
    served: Predictor | None,
    settings: Retrain,
) -> list[str]:
    """Reasons not to train on the data: what was there and is gone."""
    reasons = []
    last = source.grid[profile.last_seen(source)]
    where = f"in the newest {frozen['window']:,} steps"
    if served is not None:
        today = set(source.index["unique_id"])
        gone = [name for name in served.config["series"]["unique_id"] if name not in today]
        if gone:
            reasons.append(
                f"fewer series: {len(gone):,} of {frozen['series']:,} that the champion knows are "
                f"gone or no longer usable ({', '.join(gone[:5])}{', …' if gone[5:] else ''})"
            )
        if last < pd.Timestamp(frozen["last"]):
            reasons.append(
                f"time goes backwards: the last value is of {last}, and the champion's data reach "
                f"to {frozen['last']}"
            )
    share = np.isnan(values).mean(axis=0)
    for name, empty in zip(profile.names(source.schema), share, strict=True):
        if empty == 1 and frozen["columns"][name]["quantiles"]:
            reasons.append(f"column `{name}` has no value {where}")
    if settings.max_missing < share[0] < 1:
        reasons.append(
            f"gaps: {100 * share[0]:.0f} % of the target is missing {where}; allowed by "
            f"retrain.max_missing are {100 * settings.max_missing:.0f} %"
        )
    return reasons
