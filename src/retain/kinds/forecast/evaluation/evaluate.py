"""Score the networks and the baselines on every test window.

The baselines get their intervals as the networks do, from the validation windows, so that the
comparison is fair.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from retain.errors import IncomparableError
from retain.evaluation.arrays import Floats
from retain.evaluation.quality_gate import MODEL, Comparison, differences
from retain.evaluation.results import Interval, Metrics, plots, stack, stack_histories
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.evaluation.figures import View
from retain.kinds.forecast.evaluation.metrics import COMPARED, MetricSums, difference
from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.model.baselines import QuantileModel
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.model_files import load_champion

LOOK_BACK_WINDOWS = 256
LOOK_BACK_PROBES = 4
PLOTTED = {
    "error_by_step": ("step", "mae"),
    "calibration": ("level", "observed"),
    "look_back": ("lag", "norm"),
    "training": ("epoch", "validation_loss"),
}


class ForecastMetrics(Metrics):
    """The content of metrics.json; `windows` counts those of the test part."""

    windows: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Figures for metrics.json, tables for the plots, and windows to look at."""

    metrics: ForecastMetrics
    tables: dict[str, pd.DataFrame]
    views: list[View]
    schema: Schema
    grid: pd.DatetimeIndex

    def plots(self) -> dict[str, pd.DataFrame]:
        """Pivot the tables for `dvc plots`: one column a model; by series its MASE.

        Other scores by series are in columns `MODEL.SCORE`.
        """
        series = self.tables["error_by_series"]
        by_series = series.pivot(index="unique_id", columns="model").reindex(
            series["unique_id"].unique()
        )
        by_series.columns = by_series.columns.map(
            lambda pair: pair[1] if pair[0] == "mase" else f"{pair[1]}.{pair[0]}"
        )
        return plots(self.tables, PLOTTED) | {"error_by_series": by_series.reset_index()}


def network_model(model: Predictor, source: Panel) -> QuantileModel:
    """Make a model folder a model of the series of a panel: calibrated quantiles in data units.

    A series keeps the number and the scale that it had when the model was trained.
    """
    network = model.network.eval()
    index = source.index
    names = index["unique_id"].to_numpy(dtype=object)
    numbers, scales = model.known_series(names, index[["mean", "std"]].to_numpy())

    def forecast(batch: Batch) -> Floats:
        rows = batch.series - 1
        known = batch._replace(series=numbers[rows], scales=scales[rows])
        with torch.inference_mode():
            return network.predict(known).double().numpy()

    return forecast


def sum_metrics(
    model: QuantileModel,
    windows: Windows,
    source: Panel,
    levels: tuple[float, ...],
    sums: MetricSums | None = None,
) -> MetricSums:
    """Score one model on windows of a panel; add to `sums`, if they are given."""
    if sums is None:
        steps = windows.step
        first, last = int(steps.min()), int(steps.max())
        sums = MetricSums(first, last - first + 1, windows.horizon, len(source.index), levels)
    scales = source.index["mase_scale"].to_numpy(dtype=np.float64)
    done = 0
    for batch in windows.chunks():
        truth = batch.window[:, 0, -windows.horizon :].double().numpy()
        series, step = windows.places(np.arange(done, done + len(truth)))
        sums.add(step, series, truth, model(batch), scales[series])
        done += len(truth)
    return sums


def evaluate(problem: Problem, prepared: Path, models: Mapping[str, Path]) -> Evaluation:
    """Score all models of a problem on its test windows.

    Args:
        prepared: what `prepare` wrote.
        models: the folder of each cell, that of `quality_gate.MODEL` among them.

    Raises:
        ModelError: a model does not fit the prepared data.
    """
    source = panel.load(prepared)
    test = Windows(source, "test")
    validation = Windows(source, "validation").thinned(VALIDATION_WINDOWS)
    predictors = {cell: predictor.load(folder) for cell, folder in models.items()}
    for cell, model in predictors.items():
        model.check_fits(source.schema, f"{models[cell]}")
    scored = {cell: network_model(model, source) for cell, model in predictors.items()}
    scored |= baselines.quantile_models(problem, validation)
    levels = problem.model.quantiles
    sums = {name: sum_metrics(model, test, source, levels) for name, model in scored.items()}

    scores: dict[str, dict[str, Any]] = {name: model.scores() for name, model in sums.items()}
    for cell, model in predictors.items():
        scores[cell] |= {key: model.config[key] for key in ("parameters", "hidden_size")}
    metrics: ForecastMetrics = {
        "models": scores,
        "differences": differences(sums, lambda a, b: compare(a, b, problem)),
        "calibration": sums[MODEL].calibration(),
        "windows": {"test": len(test), "test_without_values": test.dropped},
    }
    views = [
        _view(title, test, number, scored, source)
        for title, number in _choose_windows(sums[MODEL], test)
    ]
    tables = _tables(sums, predictors, source, test) | {"training": stack_histories(models)}
    return Evaluation(metrics, tables, views, source.schema, source.grid)


def compare(ours: MetricSums, theirs: MetricSums, problem: Problem) -> dict[str, Interval]:
    """Compare two models in each of COMPARED, by the problem's section `evaluation`."""
    settings = problem.evaluation
    block = settings.block_length or max(2 * problem.data.horizon, problem.data.season_length)
    return {
        metric: difference(ours, theirs, metric, block, settings.bootstrap, settings.seed)
        for metric in COMPARED
    }


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """Score a new model and the champion on today's test windows.

    Raises:
        IncomparableError: the champion does not read today's columns, or was trained on what is
            today's test part.
    """
    source = panel.load(prepared)
    test = Windows(source, "test")
    old = load_champion(predictor.load, champion, source.schema)
    begins = source.grid[source.schema.test_step]
    if old.trained_until() > begins:
        raise IncomparableError(
            f"it was trained until {old.trained_until()}, and today's test part begins at {begins}"
        )
    ours, theirs = (
        sum_metrics(network_model(model, source), test, source, model.network.levels)
        for model in (predictor.load(new), old)
    )
    return Comparison(
        measures=("mae", "rmse", "mase", "crps", "coverage_80"),
        scores=(ours.scores(), theirs.scores()),
        differences=compare(ours, theirs, problem),
        by_step=(ours.mae_by_step().tolist(), theirs.mae_by_step().tolist()),
    )


def _choose_windows(sums: MetricSums, test: Windows) -> Iterator[tuple[str, int]]:
    """Choose typical, best and worst windows by a model's error, two of each, none overlapping."""
    errors = np.concatenate(sums.by_window)
    order = np.argsort(errors, kind="stable")
    middle = np.argsort(np.abs(errors - np.median(errors)), kind="stable")
    series, step = test.series, test.step
    taken: list[int] = []
    for title, ranked in (("typical", middle), ("best", order), ("worst", order[::-1])):
        enough = len(taken) + 2
        for number in ranked.tolist():
            if all(
                series[number] != series[other] or abs(step[number] - step[other]) >= test.horizon
                for other in taken
            ):
                taken.append(number)
                yield title, number
            if len(taken) == enough:
                break


def _view(
    title: str, test: Windows, number: int, models: dict[str, QuantileModel], source: Panel
) -> View:
    numbers = np.array([number])
    batch = test.batch(numbers)
    series, step = (int(place[0]) for place in test.places(numbers))
    stamps = source.grid[max(step - test.context, 0) : step + test.horizon]
    y = batch.window[0, 0, -len(stamps) :].double().numpy()
    name = f"{source.index['unique_id'].iloc[series]}, " if len(source.index) > 1 else ""
    return View(
        title=f"{title}, {name}{stamps[-test.horizon]:%Y-%m-%d}",
        context_ds=stamps[: -test.horizon].to_numpy(),
        context_y=y[: -test.horizon],
        horizon_ds=stamps[-test.horizon :].to_numpy(),
        truth=y[-test.horizon :],
        quantiles={
            model: models[model](batch)[0] for model in models if model not in ("naive", "drift")
        },
    )


def _tables(
    sums: dict[str, MetricSums], predictors: dict[str, Predictor], source: Panel, test: Windows
) -> dict[str, pd.DataFrame]:
    """Build the tables behind the figures, as they go into the plots folder."""
    steps, calibration, series, gradients = {}, {}, {}, {}
    for name, model in sums.items():
        mae = model.mae_by_step()
        steps[name] = pd.DataFrame({"step": np.arange(1, len(mae) + 1), "mae": mae})
        observed = model.below[0] / model.below[1]
        calibration[name] = pd.DataFrame({"level": model.levels, "observed": observed})
        scores = pd.DataFrame(model.scores_by_series())
        scores.insert(0, "unique_id", source.index["unique_id"])
        series[name] = scores[scores["mae"].notna()]
    for cell, loaded in predictors.items():
        norms = look_back(loaded.network, test)
        gradients[cell] = pd.DataFrame({"lag": np.arange(1, len(norms) + 1), "norm": norms})
    return {
        "error_by_step": stack(steps),
        "calibration": stack(calibration),
        "error_by_series": stack(series),
        "look_back": stack(gradients),
    }


def look_back(network: Forecaster, windows: Windows) -> Floats:
    """Measure how strongly the forecast depends on each input step: (context,), the newest first.

    The root mean square norm of the gradient of the forecast, in normalised units, with respect to
    the network's input at each lag, by random projections (Hutchinson 1990). What the normalisation
    carries past the cell is left out: this is the memory of the cell alone.
    """
    network.eval()
    numbers = np.linspace(0, len(windows) - 1, min(len(windows), LOOK_BACK_WINDOWS))
    batch = windows.batch(np.unique(numbers.astype(np.int64)))
    with torch.no_grad():
        window = network.normalise(batch)
    generator = torch.Generator().manual_seed(0)
    context = window.context.clone().requires_grad_()
    squares = torch.zeros(context.shape[1])
    for _ in range(LOOK_BACK_PROBES):
        values = network.decode(window._replace(context=context))
        signs = torch.randint(0, 2, values.shape, generator=generator) * 2.0 - 1.0
        (gradient,) = torch.autograd.grad((values * signs).sum(), context)
        squares += gradient.square().sum(-1).mean(0)
    # torch's square root is MKL's, and not the same on every processor.
    roots: Floats = np.sqrt((squares / LOOK_BACK_PROBES).flip(0).double().numpy())
    return roots
