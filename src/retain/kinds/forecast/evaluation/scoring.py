"""Score models on windows, and compare the scores of two."""

from collections.abc import Sequence

import numpy as np
import torch

from retain.evaluation.arrays import Floats
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.windows import Batch, Windows
from retain.kinds.forecast.evaluation.metrics import COMPARED, SCALES, MetricSums, difference
from retain.kinds.forecast.model.baselines import QuantileModel
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.predict.predictor import Predictor


def network_model(
    model: Predictor, source: Panel, base_alone: bool = False, bases: Run | None = None
) -> QuantileModel:
    """Return a model folder as a function of a panel's windows: calibrated, in data units.

    A series keeps its number and scale from the model's training.

    Args:
        base_alone: forecast with the model's classical base, without the network.
        bases: of the model along the panel, if there is another model that has it, too.
    """
    network = model.network.eval()
    predict = network.predict_base if base_alone else network.predict
    bases = bases or model.bases(source)
    index = source.index
    names = index["unique_id"].to_numpy(dtype=object)
    numbers, scales = model.known_series(names, index[["mean", "std"]].to_numpy())

    def forecast(batch: Batch) -> Floats:
        rows = batch.series - 1
        known = batch._replace(series=numbers[rows], scales=scales[rows])
        if bases is not None:
            found = bases.at(rows.numpy(), batch.rows.numpy(), network.context)
            experts, ahead = map(torch.from_numpy, found)
            known = known._replace(experts=experts, ahead=ahead)
        with torch.inference_mode():
            return predict(known).double().numpy()

    return forecast


def empty_sums(parts: Sequence[Windows], source: Panel, levels: tuple[float, ...]) -> MetricSums:
    """Allocate sums for the windows of all parts."""
    steps = np.concatenate([windows.step for windows in parts])
    first, last = int(steps.min()), int(steps.max())
    unit = 1.0 if source.counts else 0.0
    return MetricSums(first, last - first + 1, parts[0].horizon, len(source.index), levels, unit)


def sum_metrics(
    model: QuantileModel,
    windows: Windows,
    source: Panel,
    levels: tuple[float, ...],
    sums: MetricSums | None = None,
) -> MetricSums:
    """Score one model on windows of a panel; add to `sums`, if they are given."""
    if sums is None:
        sums = empty_sums([windows], source, levels)
    sum_models([(model, sums)], windows, source)
    return sums


def sum_models(
    pairs: Sequence[tuple[QuantileModel, MetricSums]], windows: Windows, source: Panel
) -> None:
    """Score models on windows of a panel, batch by batch, and add to the sums of each."""
    scales = source.index[[*SCALES]].to_numpy(dtype=np.float64)
    done = 0
    for batch in windows.chunks():
        truth = batch.window[:, 0, -windows.horizon :].double().numpy()
        series, step = windows.places(np.arange(done, done + len(truth)))
        for model, sums in pairs:
            sums.add(step, series, truth, model(batch), scales[series])
        done += len(truth)


def compare(ours: MetricSums, theirs: MetricSums, problem: Problem) -> dict[str, Interval]:
    """Compare two models in each of COMPARED, by the problem's section `evaluation`."""
    settings = problem.evaluation
    block = settings.block_length or max(2 * problem.data.horizon, problem.data.season_length)
    return {
        metric: difference(ours, theirs, metric, block, settings.bootstrap, settings.seed)
        for metric in COMPARED
    }
