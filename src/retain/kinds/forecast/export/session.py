"""Run a forecaster's ONNX file with onnxruntime; imports no torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retain.errors import ModelError

NEEDED = ("onnx", "onnxruntime", "onnxscript")
OUTPUTS = ["quantiles", "mean"]


def require_packages() -> None:
    """Raise ModelError, with the command that installs them, unless NEEDED are there."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ModelError(
            f'ONNX needs {" and ".join(missing)}, not installed here: pip install "retain[export]"'
        )


def open_session(path: Path, threads: int = 1) -> Any:
    """Open an ONNX file as a session of onnxruntime on the CPU.

    Args:
        threads: that one run uses; a server runs one network at a time beside its clients.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(session: Any, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return quantiles, and the mean last: (series, horizon, levels + 1)."""
    quantiles, mean = session.run(OUTPUTS, inputs)
    return np.concatenate([quantiles, mean[..., None]], axis=-1)
