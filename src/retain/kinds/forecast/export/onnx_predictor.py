"""A trained forecaster with onnxruntime in place of torch, which is not imported."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain import __version__
from retain.errors import ModelError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.panel import Schema
from retain.kinds.forecast.export import session
from retain.kinds.forecast.model.pool.pool import Pool, tensor_name
from retain.kinds.forecast.predict.inputs import Inputs
from retain.kinds.forecast.predict.table_predictor import TablePredictor
from retain.model_files import read_config
from retain.project import fingerprint


@dataclass(frozen=True)
class OnnxPredictor(TablePredictor):
    """A loaded model folder: the session of its graph, and the content of config.json."""

    session: Any
    names: tuple[str, ...]  # of the graph's inputs
    base: Pool | None
    schema: Schema
    data: Data
    config: dict[str, Any]

    @property
    def pool(self) -> Pool | None:
        """The classical base, if there is one."""
        return self.base

    def predict_batch(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return quantiles and mean in data units, (series, horizon, levels + 1).

        The last bits of a row may depend on how many series there are.
        """
        data, window, moving = self.data, inputs.window, 1 + self.schema.past
        parts = {
            "y": window[:, 0, : data.reach] if inputs.series.all() else inputs.past,
            "series": inputs.series,
            "past": window[:, 1:moving, data.season_length : data.reach].transpose(0, 2, 1),
            "known": window[:, moving:, data.season_length :].transpose(0, 2, 1),
            "static": inputs.static,
            "experts": inputs.experts,
            "ahead": inputs.ahead,
        }
        return session.run(
            self.session, {name: np.ascontiguousarray(parts[name]) for name in self.names}
        )


def load(folder: Path, cache: Path) -> OnnxPredictor:
    """Read a model folder, and write its graph into `cache` if it is not there.

    Another process writes it, so that this one has no need of torch.

    Raises:
        ModelError: a package is missing; the folder cannot be read; its graph differs from it.
    """
    session.require_packages()
    config = read_config(folder)
    schema = Schema.from_json(config["schema"])
    path = cache / f"{fingerprint.folder_md5(folder)}-{__version__}.onnx"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "retain.kinds.forecast.export.write_graph"]
        done = subprocess.run(
            [*command, str(folder), str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ModelError(done.stderr.strip().rpartition("error: ")[2] or "no graph was written")
    opened = session.open_session(path)
    names = tuple(each.name for each in opened.get_inputs())
    data = Data.model_validate(schema.data)
    return OnnxPredictor(opened, names, _pool(folder, config, data), schema, data, config)


def _pool(folder: Path, config: dict[str, Any], data: Data) -> Pool | None:
    """Read the classical base of a model folder."""
    from safetensors import safe_open

    if "pool" not in config:
        return None
    experts, log = tuple(config["pool"]["experts"]), config["pool"]["log"]
    names = Pool.empty(experts, data.horizon, 0, log, 0).arrays()
    with safe_open(folder / "weights.safetensors", framework="numpy") as file:
        arrays = {name: file.get_tensor(f"base.{tensor_name(name)}") for name in names}
    return Pool.from_arrays(experts, data.horizon, log, arrays)
