"""A trained forecaster with torch: a model folder, loaded.

A model folder is read as safetensors and JSON only; nothing that could run code is loaded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.windows import Batch
from retain.kinds.forecast.model.forecaster import Forecaster, load_forecaster
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.running import Run
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.table_predictor import TablePredictor

ALIGNED = 8  # batches of a multiple of 8 rows give each row the same bits whatever its neighbours


@dataclass(frozen=True)
class Predictor(TablePredictor):
    """A loaded model folder: the network, and the content of config.json."""

    network: Forecaster
    schema: Schema
    data: Data
    config: dict[str, Any]

    @property
    def pool(self) -> Pool | None:
        """The classical base, if there is one."""
        base = self.network.base
        return None if base is None else base.pool

    def known_series(
        self, names: NDArray[np.object_], scales: NDArray[np.float64]
    ) -> tuple[Tensor, Tensor]:
        """Return the number and the scale of each series, like `match_series`, as tensors."""
        numbers, own_scales = self.match_series(names, scales)
        return torch.from_numpy(numbers), torch.from_numpy(own_scales)

    def bases(self, source: Panel) -> Run | None:
        """Return the classical base along all series of a panel; None if there is none."""
        if self.network.base is None:
            return None
        names = source.index["unique_id"].to_numpy(dtype=object)
        return Run(self.network.base.pool, source, self._numbers(names))

    def predict_batch(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return quantiles and mean in data units, (series, horizon, levels + 1).

        A row does not depend on the others. Best for at most `CHUNK` series.
        """
        size = len(inputs.series)
        missing = -size % ALIGNED
        parts = (torch.from_numpy(part) for part in inputs[: len(Inputs._fields) - 1])
        padded = [torch.cat([part, part[:1].repeat_interleave(missing, 0)]) for part in parts]
        window, series, static, scales, experts, ahead = padded
        batch = Batch(window, series, static, scales, torch.zeros_like(series), experts, ahead)
        with torch.inference_mode():
            return self.network.predict(batch)[:size].numpy()


def load(folder: Path) -> Predictor:
    """Read a model folder.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    network, schema, config = load_forecaster(folder)
    return Predictor(network, schema, Data.model_validate(schema.data), config)
