"""Score the networks and the naive forecasts on every test window, side by side.

The naive forecasts get their intervals as the networks get theirs, from the validation windows, so
that nothing is compared with a straw man.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from retain.errors import IncomparableError
from retain.evaluation.bootstrap import FEWEST_BLOCKS, Interval
from retain.evaluation.quality_gate import MODEL, Comparison
from retain.evaluation.results import Metrics
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import VALIDATION_WINDOWS, Batch, Windows
from retain.kinds.forecast.evaluation.figures import View
from retain.kinds.forecast.evaluation.metrics import (
    COMPARED,
    Floats,
    MetricSums,
    conformal_offsets,
    difference,
)
from retain.kinds.forecast.model import baselines
from retain.kinds.forecast.model.forecaster import Forecaster, fix_quantile_crossing
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.model_files import load_champion

LOOK_BACK_WINDOWS = 256
LOOK_BACK_PROBES = 4

Model = Callable[[Batch], Floats]  # a batch of windows → quantiles (batch, horizon, levels)


class ForecastMetrics(Metrics):
    """The content of metrics.json; `windows` counts those of the test part."""

    windows: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: figures for metrics.json, tables for the plots, windows to look at."""

    metrics: ForecastMetrics
    tables: dict[str, pd.DataFrame]
    views: list[View]
    schema: Schema
    grid: pd.DatetimeIndex

    def plots(self) -> dict[str, pd.DataFrame]:
        """The tables as `dvc plots` compares them: one column a model; MASE, where it is by series.

        Other scores by series have `MODEL.SCORE` for a column.
        """
        values = {
            "error_by_step": ("step", "mae"),
            "calibration": ("level", "observed"),
            "look_back": ("lag", "norm"),
            "training": ("epoch", "validation_loss"),
        }
        wide = {
            name: self.tables[name].pivot(index=x, columns="model", values=y).reset_index()
            for name, (x, y) in values.items()
        }
        series = self.tables["error_by_series"]
        by_series = series.pivot(index="unique_id", columns="model").reindex(
            series["unique_id"].unique()
        )
        named = [(str(column[0]), str(column[1])) for column in by_series.columns]
        by_series.columns = pd.Index(
            [model if score == "mase" else f"{model}.{score}" for score, model in named]
        )
        return wide | {"error_by_series": by_series.reset_index()}


def network_model(served: Predictor, source: Panel) -> Model:
    """A model folder as a model of the series of a panel: calibrated quantiles in data units.

    A series keeps the number and the scale that it had when the model was trained.
    """
    network = served.network.eval()
    index = source.index
    names = index["unique_id"].to_numpy(dtype=object)
    numbers, scales = served.known_series(names, index[["mean", "std"]].to_numpy())

    def forecast(batch: Batch) -> Floats:
        own = batch._replace(series=numbers[batch.series - 1], scales=scales[batch.series - 1])
        with torch.inference_mode():
            return network.predict(own).double().numpy()

    return forecast


def naive_models(problem: Problem, validation: Windows) -> dict[str, Model]:
    """The naive forecasts by name, with intervals from their errors on the validation windows."""
    horizon, season = problem.data.horizon, problem.data.season_length
    context = problem.data.context_length

    def naive(batch: Batch) -> Tensor:
        return baselines.naive(batch.window[:, 0, season:-horizon], horizon)

    def seasonal_naive(batch: Batch) -> Tensor:
        past = batch.window[:, 0, :-horizon]
        return baselines.seasonal_naive(past, horizon, season, fallback=naive(batch))

    def drift(batch: Batch) -> Tensor:
        return baselines.drift(batch.window[:, 0, -horizon - context : -horizon], horizon)

    points = {"seasonal_naive": seasonal_naive, "naive": naive, "drift": drift}
    return {name: _with_interval(point, problem, validation) for name, point in points.items()}


def _with_interval(
    point: Callable[[Batch], Tensor], problem: Problem, validation: Windows
) -> Model:
    levels, horizon = problem.model.quantiles, problem.data.horizon
    left = []
    for batch in validation.chunks():
        truth = batch.window[:, 0, -horizon:]
        left.append(((truth - point(batch)) / batch.scales[:, 1:]).numpy())
    offsets = torch.from_numpy(conformal_offsets(np.concatenate(left)[..., None], levels)).double()

    def forecast(batch: Batch) -> Floats:
        scale = batch.scales[:, 1].double()[:, None, None]
        values = point(batch).double().unsqueeze(-1) + scale * offsets
        return fix_quantile_crossing(values, levels.index(0.5)).numpy()

    return forecast


def tally(
    model: Model,
    windows: Windows,
    source: Panel,
    levels: tuple[float, ...],
    scores: MetricSums | None = None,
) -> MetricSums:
    """Score one model on windows of a panel; into `scores`, if they are given."""
    if scores is None:
        steps = windows.step
        first, last = int(steps.min()), int(steps.max())
        scores = MetricSums(first, last - first + 1, windows.horizon, len(source.index), levels)
    scales = source.index["mase_scale"].to_numpy(dtype=np.float64)
    done = 0
    for batch in windows.chunks():
        numbers = np.arange(done, done + len(batch.series))
        truth = batch.window[:, 0, -windows.horizon :].double().numpy()
        series, step = windows.places(numbers)
        scores.add(step, series, truth, model(batch), scales[series])
        done += len(numbers)
    return scores


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
    served = {cell: predictor.load(folder) for cell, folder in models.items()}
    for cell, model in served.items():
        model.check_fits(source.schema, f"{models[cell]}")
    scored = {cell: network_model(model, source) for cell, model in served.items()}
    scored |= naive_models(problem, validation)
    levels = problem.model.quantiles
    tallies = {name: tally(model, test, source, levels) for name, model in scored.items()}

    judged = MODEL
    differences = {
        f"{judged}_minus_{other}": {
            metric: compare(tallies[judged], tallies[other], metric, problem).to_dict()
            for metric in COMPARED
        }
        for other in tallies
        if other != judged
    }
    scores: dict[str, dict[str, Any]] = {name: t.scores() for name, t in tallies.items()}
    for cell, model in served.items():
        scores[cell] |= {key: model.config[key] for key in ("parameters", "hidden_size")}
    metrics: ForecastMetrics = {
        "models": scores,
        "differences": differences,
        "windows": {"test": len(test), "test_without_values": test.dropped},
    }
    views = [
        _view(title, test, number, scored, source)
        for title, number in _shown(tallies[judged], test)
    ]
    tables = _tables(tallies, served, source, test)
    tables["training"] = pd.concat(
        pd.read_csv(folder / "history.csv").assign(model=cell) for cell, folder in models.items()
    )
    return Evaluation(metrics, tables, views, source.schema, source.grid)


def compare(ours: MetricSums, theirs: MetricSums, metric: str, problem: Problem) -> Interval:
    """The difference in `metric` under the settings of the problem's section `evaluation`."""
    settings = problem.evaluation
    block = settings.block_length or max(problem.data.horizon, problem.data.season_length)
    # Rather shorter blocks than too few of them, but never shorter than the overlap of windows.
    block = max(problem.data.horizon, min(block, ours.by_origin.shape[2] // FEWEST_BLOCKS))
    return difference(ours, theirs, metric, block, settings.bootstrap, settings.seed)


def compare_with_champion(
    problem: Problem, prepared: Path, new: Path, champion: Path
) -> Comparison:
    """A new model and the champion, both on today's test windows.

    Raises:
        IncomparableError: the champion does not read today's columns, or was trained on what is
            today's test part.
    """
    source = panel.load(prepared)
    test = Windows(source, "test")

    def scored(served: Predictor) -> MetricSums:
        return tally(network_model(served, source), test, source, served.network.levels)

    old = load_champion(predictor.load, champion, source.schema)
    begins = source.grid[source.schema.test_step]
    if old.trained_until() > begins:
        raise IncomparableError(
            f"it was trained until {old.trained_until()}, and today's test part begins at {begins}"
        )
    ours, theirs = scored(predictor.load(new)), scored(old)
    return Comparison(
        measures=("mae", "rmse", "mase", "crps", "coverage_80"),
        scores=(ours.scores(), theirs.scores()),
        differences={metric: compare(ours, theirs, metric, problem) for metric in COMPARED},
        by_step=(ours.mae_by_step().tolist(), theirs.mae_by_step().tolist()),
    )


def _shown(scores: MetricSums, test: Windows) -> Iterator[tuple[str, int]]:
    """Windows to look at: best, typical and worst by the judged model's error, none overlapping."""
    errors = np.concatenate(scores.by_window)
    order = np.argsort(errors, kind="stable")
    middle = np.argsort(np.abs(errors - np.median(errors)), kind="stable")
    series, step = test.series, test.step
    taken: list[int] = []
    for title, ranked in (("typical", middle), ("best", order), ("worst", order[::-1])):
        found = 0
        for number in ranked.tolist():
            apart = all(
                series[number] != series[other] or abs(step[number] - step[other]) >= test.horizon
                for other in taken
            )
            if apart:
                taken.append(number)
                found += 1
                yield title, number
            if found == 2:
                break


def _view(title: str, test: Windows, number: int, models: dict[str, Model], source: Panel) -> View:
    batch = test.batch(np.array([number]))
    series, step = (int(found[0]) for found in test.places(np.array([number])))
    shown = test.context
    stamps = source.grid[max(step - shown, 0) : step + test.horizon]
    y = batch.window[0, 0, -len(stamps) :].double().numpy()
    name = source.index["unique_id"].iloc[series]
    several = len(source.index) > 1
    return View(
        title=f"{title}, {f'{name}, ' if several else ''}{stamps[-test.horizon]:%Y-%m-%d}",
        context_ds=stamps[: -test.horizon].to_numpy(),
        context_y=y[: -test.horizon],
        horizon_ds=stamps[-test.horizon :].to_numpy(),
        truth=y[-test.horizon :],
        quantiles={
            model: models[model](batch)[0] for model in models if model not in ("naive", "drift")
        },
    )


def _tables(
    tallies: dict[str, MetricSums], served: dict[str, Predictor], source: Panel, test: Windows
) -> dict[str, pd.DataFrame]:
    """The data behind the figures, as they go into the plots folder."""
    steps, calibration, series, gradients = [], [], [], []
    for name, scores in tallies.items():
        mae = scores.mae_by_step()
        ahead = np.arange(1, len(mae) + 1)
        steps.append(pd.DataFrame({"model": name, "step": ahead, "mae": mae}))
        observed = scores.below[0] / scores.below[1]
        calibration.append(
            pd.DataFrame({"model": name, "level": scores.levels, "observed": observed})
        )
        rows = pd.DataFrame(scores.scores_by_series())
        rows.insert(0, "unique_id", source.index["unique_id"])
        rows.insert(0, "model", name)
        series.append(rows[rows["mae"].notna()])
    for cell, model in served.items():
        norms = look_back(model.network, test)
        lags = np.arange(1, len(norms) + 1)
        gradients.append(pd.DataFrame({"model": cell, "lag": lags, "norm": norms}))
    parts = {
        "error_by_step": steps,
        "calibration": calibration,
        "error_by_series": series,
        "look_back": gradients,
    }
    return {name: pd.concat(part, ignore_index=True) for name, part in parts.items()}


def look_back(network: Forecaster, windows: Windows) -> Floats:
    """How strongly the forecast hangs on each input step: (context,), the newest step first.

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
