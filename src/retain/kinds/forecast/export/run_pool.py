"""The classical base of an exported model, run along histories with NumPy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.kinds.forecast.model.pool.newest import newest
from retain.kinds.forecast.model.pool.pool import Pool

Arrays = dict[str, NDArray[Any]]


def forecasts(given: Arrays) -> Arrays:
    """Return the inputs `experts` and `ahead` of the graph.

    Args:
        given: `y` (series, steps), whole histories, newest last and NaN where missing; `series`
            (series,); `step` (series,), the number of the first step to forecast, where step 0 is
            `origin` of metadata.json.
    """
    here = Path(__file__).parent
    about = json.loads((here.parent / "metadata.json").read_text("utf-8"))
    with np.load(here / "pool.npz", allow_pickle=False) as file:
        arrays = dict(file)
    pool = Pool.from_arrays(
        tuple(about["pool"]["experts"]), about["horizon"], about["pool"]["log"], arrays
    )
    y = given["y"].astype(np.float64)
    begins = given["step"] - y.shape[1] + np.isfinite(y).argmax(axis=1)
    found = newest(pool, y, begins, given["series"], about["context_length"])
    return {"experts": found.experts, "ahead": found.ahead}
