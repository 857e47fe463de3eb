"""The folder of an exported forecaster: the graph, an example, what it says of itself, a script."""

import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from retain.config.exports import Exported, Format
from retain.errors import ModelError
from retain.evaluation import arrays
from retain.kinds.forecast.export import onnx_file, readme, run_pool, session, windows
from retain.kinds.forecast.export.graph import Graph
from retain.kinds.forecast.export.windows import Arrays
from retain.kinds.forecast.model.pool import (
    lagging,
    newest,
    pool,
    smoothing,
    subtracting,
    tracing,
    tracks,
)
from retain.kinds.forecast.predict import predictor
from retain.kinds.forecast.predict.predictor import Predictor
from retain.project import files, fingerprint

COMPARED, EXAMPLE = 64, 4  # windows
LIMIT = 1e-5  # of the deviation of a series, that a value may differ
EPSILON = float(np.finfo(np.float32).eps)
# Last bits of float32 that a value may differ all the same: the mean of a context of large values
# has some of them, by the order in which it is added up.
BITS = 8
ROUNDED = 1e-3  # share of whole numbers that may be rounded to the neighbour
FILES: dict[Format, str] = {"onnx": "model.onnx", "torch": "model.pt2"}
VENDORED = (arrays, lagging, newest, pool, smoothing, subtracting, tracing, tracks)


def export(folder: Path, out: Path, how: Format) -> Exported:
    """Write the model of a folder as a folder that needs no retain.

    Raises:
        ModelError: `out` exists; the model cannot be read; a package is missing; what was written
            differs from the model.
    """
    if how == "onnx":
        session.require_packages()
    if out.exists():
        raise ModelError(f"{out} exists already; remove it, or name another folder with -o")
    model = predictor.load(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as scratch:
        made = Path(scratch) / out.name
        made.mkdir()
        difference = write_graph(model, made / FILES[how], how)
        md5 = fingerprint.folder_md5(folder)
        content = readme.metadata(model, md5, how)
        content["file"] = {"name": FILES[how], "md5": fingerprint.file_md5(made / FILES[how])}
        content["compared"] = {
            "windows": COMPARED,
            "largest_difference": difference,
            "unit": "deviation of a series",
        }
        files.write_text(made / "metadata.json", files.to_json(content))
        files.write_text(made / "README.md", readme.text(model, content))
        if model.pool is not None:
            _write_pool(model, made / "pool")
        example = windows.draw(model, EXAMPLE, seed=2)
        expected = windows.predict(model, example)
        for name in ("experts", "ahead"):  # which pool/ computes
            example.pop(name, None)
        example |= {"quantiles": expected[..., :-1], "mean": expected[..., -1]}
        files.write_bytes(made / "example.npz", _npz(example))
        shutil.copyfile(Path(__file__).with_name(f"run_{how}.py"), made / "run.py")
        made.rename(out)
    return Exported(out, md5, COMPARED, difference)


def write_graph(model: Predictor, path: Path, how: Format) -> float:
    """Write a model's graph, and return its largest difference to the model.

    Returns:
        The difference over COMPARED windows, in deviations of their series.

    Raises:
        ModelError: it is too large.
    """
    drawn = windows.draw(model, COMPARED)
    inputs = {name: values for name, values in drawn.items() if name != "step"}
    program = onnx_file.trace(Graph(model), inputs)
    if how == "onnx":
        onnx_file.write(program, list(inputs), path)
        found = session.run(session.open_session(path), inputs)
    else:
        torch.export.save(program, path)
        read: Any = torch.export.load(path).module()
        outputs = read(**{name: torch.from_numpy(values) for name, values in inputs.items()})
        found = np.concatenate([outputs[0].numpy(), outputs[1].numpy()[..., None]], axis=-1)
    return compare(model, inputs, found)


def compare(model: Predictor, inputs: Arrays, found: NDArray[np.float32]) -> float:
    """Return the largest difference of forecasts to a model's, in deviations of their series.

    Raises:
        ModelError: one is above LIMIT, and above what float32 can tell of such a large value.
    """
    expected = windows.predict(model, inputs).astype(np.float64)
    units = windows.units(model, inputs["series"].astype(np.int64))[:, None, None]
    apart = np.abs(found - expected)
    if model.network.target.whole:
        # A value near ½ may be rounded up here and down there; there are few of them.
        rounded = apart[..., :-1] == 1.0
        few = rounded.sum() <= max(1, ROUNDED * rounded.size)
        apart[..., :-1] = np.where(rounded & few, 0.0, apart[..., :-1])
    near = np.maximum(LIMIT * units, BITS * _last_bit(model, expected))
    difference = float((apart / units).max())
    if not (apart <= near).all():
        raise ModelError(
            f"the exported model differs from the model by {difference:.2g} deviations of a "
            f"series, which is more than {LIMIT:g}; it was not written"
        )
    return difference


def _last_bit(model: Predictor, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the last bit of float32 changes in a value, or in its transform."""
    transform, y = model.network.target.transform, torch.from_numpy(values)
    transformed = transform.forward(y).abs() / transform.slope(y)
    bits: NDArray[np.float64] = torch.maximum(y.abs(), transformed).numpy() * EPSILON
    return bits


def _write_pool(model: Predictor, folder: Path) -> None:
    """Write the classical base: its numbers, and the modules that run it, as a package."""
    assert model.pool is not None
    folder.mkdir()
    prefixes = (f"{pool.__package__}.", "retain.evaluation.")
    for module in (*VENDORED, run_pool):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        for prefix in prefixes:
            source = source.replace(f"from {prefix}", "from pool.")
        source = source.replace(f"from {pool.__package__} import", "from pool import")
        last = module.__name__.rpartition(".")[2]
        name = "__init__" if module is run_pool else last
        files.write_text(folder / f"{name}.py", source)
    files.write_bytes(folder / "pool.npz", _npz(model.pool.arrays()))


def _npz(content: Arrays) -> bytes:
    """Return arrays as an .npz file without pickle and without a time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in content.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(values), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    return buffer.getvalue()
