"""A pool is fitted once to what several tests of a process learn on; the fit draws nothing."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model import learner
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run


@pytest.fixture(scope="session", autouse=True)
def _fitted_once() -> Iterator[None]:
    fit = learner.fit_base
    kept: dict[tuple[object, ...], tuple[Pool, Run]] = {}

    def fit_once(
        source: Panel, log: bool | None = None, among: NDArray[np.int64] | None = None
    ) -> tuple[Pool, Run]:
        if among is not None:
            return fit(source, log, among)
        key = source.values.tobytes(), source.index.to_csv(), repr(source.schema), log
        if key not in kept:
            kept[key] = fit(source, log)
            series = np.arange(len(source.index))  # one origin of each, so that paths are kept, too
            kept[key][1].at(series, source.index["start"].to_numpy() + 1, 1)
        return copy.deepcopy(kept[key])  # a network changes what it holds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "fit_base", fit_once)
        yield
