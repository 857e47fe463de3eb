"""A model folder: written with the same bytes, read by later versions, refused in words."""

import csv
import io
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from retain import __version__, model_files
from retain.errors import ModelError
from retain.training.setup import Epoch

FORMAT_1 = Path(__file__).parents[1] / "fixtures" / "format-1"
HISTORY = [Epoch(0, 4, 0.01, 1 / 3, 0.5), Epoch(1, 8, 1e-4, 0.25, float(np.float32(0.1)))]


def write(folder: Path, config: object = None) -> Path:
    folder.mkdir(exist_ok=True)
    content = {"kind": "forecast", "place": config}
    model_files.write_model(folder, nn.Linear(2, 3), content, HISTORY)
    return folder


def test_a_model_is_written_with_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        torch.manual_seed(1)
        write(tmp_path / name, "Zürich")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["config.json", "history.csv", "weights.safetensors"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_model_is_read_back_as_it_was(tmp_path: Path) -> None:
    network = nn.Linear(2, 3)
    model_files.write_model(tmp_path, network, {"kind": "text", "numbers": [1, 0.1]}, HISTORY)
    weights = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())
    own = {"format": 4, "retain": __version__}
    assert model_files.read_config(tmp_path) == own | {"kind": "text", "numbers": [1, 0.1]}
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "step", "learning_rate", "train_loss", "validation_loss"]
    for row, written in zip(HISTORY, rows, strict=True):
        for name, value in written.items():
            assert float(value) == pytest.approx(getattr(row, name), rel=1e-8)


def test_weights_are_the_bytes_of_safetensors_whatever_their_type(tmp_path: Path) -> None:
    types = ("float64", "float32", "bfloat16", "float16", "int64", "int32", "uint8", "bool")
    numbers = torch.arange(24).reshape(2, 3, 4)
    weights = {f"b {name}": numbers.to(getattr(torch, name)) for name in types}
    weights |= {f"a/{name}": value[0].T for name, value in weights.items()}  # not contiguous
    weights |= {"none": torch.zeros(0, 4), "number": torch.tensor(3.0), 'ü"\\': torch.ones(1)}
    network = nn.Module()
    for number, value in enumerate(weights.values()):
        network.register_buffer(str(number), value)
    network.state_dict = lambda: weights  # type: ignore[method-assign, assignment]
    model_files.write_model(tmp_path, network, {"kind": "forecast"}, HISTORY)
    expected = save({name: value.contiguous() for name, value in weights.items()})
    assert (tmp_path / "weights.safetensors").read_bytes() == expected


@pytest.mark.long
def test_a_model_is_not_held_twice_while_it_is_written(tmp_path: Path) -> None:
    network, size = nn.Module(), 1 << 24
    network.register_buffer("states", torch.zeros(size // 4))
    config = {"kind": "forecast", "series": ["a"] * (size // 8)}
    tracemalloc.start()
    try:
        model_files.write_model(tmp_path, network, config, HISTORY)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "weights.safetensors").stat().st_size > size
    assert (tmp_path / "config.json").stat().st_size > size / 2
    assert most < size / 4


def test_a_config_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(tmp_path, float("nan"))


@pytest.mark.parametrize("folder", sorted(FORMAT_1.glob("*/")), ids=lambda folder: folder.name)
def test_a_model_of_format_1_predicts_what_it_did_when_it_was_written(folder: Path) -> None:
    model = model_files.load_model(folder / "model")
    prediction = model.predict(pd.read_csv(folder / "input.csv"))
    as_read = pd.read_csv(io.StringIO(prediction.to_csv(index=False)))
    expected = pd.read_csv(folder / "output.csv")
    if folder.name == "forecast":
        expected = expected.rename(columns={"unique_id": "store", "ds": "at"})
        assert list(as_read.columns.difference(expected.columns)) == ["mean", "median", "note"]
        quantiles = as_read.columns[4:-1]
        assert (as_read[quantiles].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
        # Quantiles that cross are sorted now; then, they were made equal.
        crossed = (expected[quantiles].diff(axis=1).iloc[:, 1:] == 0).any(axis=1)
        assert crossed.sum() == 1
        as_read, expected = as_read[~crossed][expected.columns], expected[~crossed]
    pd.testing.assert_frame_equal(as_read, expected, rtol=1e-5, atol=1e-7)


def changed(folder: Path, **keys: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        model_files.load_model(folder)
    return str(error.value)


def test_a_newer_format_names_the_version_that_wrote_it(tmp_path: Path) -> None:
    folder = changed(write(tmp_path), format=5, retain="7.1.0")
    assert refusal(folder) == (
        f"the model in {folder} has format 5 and was written by retain 7.1.0; this is retain "
        f"{__version__}, which reads formats 1 to 4: install retain 7.1.0, or train the model again"
    )


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"format": "new"}', b"{}", b"\xff"])
def test_a_config_that_is_damaged_is_refused(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path) / "config.json").write_bytes(content)
    message = refusal(tmp_path)
    assert message.startswith(
        f"the model in {tmp_path} is damaged or was made by another version of retain (written by "
        f"an unknown version, read by retain {__version__}; "
    )
    assert message.endswith("): train it again, or fetch it with `dvc pull`")


def test_weights_that_do_not_fit_name_the_version_that_wrote_them(tmp_path: Path) -> None:
    folder = changed(write(tmp_path), retain="0.9.0")
    with pytest.raises(ModelError, match=r"\(written by retain 0.9.0, read by retain .*bias"):  # noqa: SIM117
        with model_files.reading(folder) as (_, weights):
            nn.Linear(3, 3, bias=False).load_state_dict(weights)


def test_a_kind_that_is_not_installed_is_named(tmp_path: Path) -> None:
    folder = changed(write(tmp_path), kind="toy")
    assert refusal(folder) == f"the model in {folder} is of kind toy, which is not installed"


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    path = write(tmp_path) / name
    path.unlink()
    with pytest.raises(ModelError) as error, model_files.reading(tmp_path):
        pass
    assert str(error.value) == (
        f"{path} does not exist: train the model, or fetch it with `dvc pull`"
    )
