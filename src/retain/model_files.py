"""A model folder, written and read in one place: config.json, weights and history.

Since format 2, config.json says the format and which version of retain wrote it; a folder of format
1 says neither. Since format 3 a forecaster's weights calibrate each series and the mean, too; since
format 4 it may have a classical base and transform its target, and its head reads the cell's state
of one cycle before as well.
Whoever needs the config alone imports no torch.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from retain import __version__
from retain.config.kind import Predictor, find_kind, require
from retain.errors import IncomparableError, ModelError
from retain.words import clipped

if TYPE_CHECKING:
    from torch import Tensor, nn

    from retain.training.setup import Epoch

Loaded = TypeVar("Loaded", bound=Any)
FORMAT = 4  # of the folders that are written here; older ones are read too


def write_model(
    folder: Path, network: "nn.Module", config: dict[str, Any], history: Sequence["Epoch"]
) -> None:
    """Write a model into an existing folder: weights, config and history, each byte-stable.

    None of them is copied as a whole: with a classical base they may take gigabytes.
    """
    from retain.training.setup import Epoch

    _write_weights(folder / "weights.safetensors", network.state_dict())
    content = {"format": FORMAT, "retain": __version__, **config}
    with (folder / "config.json").open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    names = [field.name for field in fields(Epoch)]
    lines = [",".join(f"{getattr(row, name):.9g}" for name in names) for row in history]
    (folder / "history.csv").write_text("\n".join([",".join(names), *lines]) + "\n")


def _write_weights(path: Path, weights: "Mapping[str, Tensor]") -> None:
    """Write the bytes that `safetensors.torch.save` returns, one tensor at a time.

    Not by its save_file, whose error on a full disk is no OSError, and whose file is for one user.
    """
    import torch
    from safetensors.torch import save

    # The order of tensors and the names of types are those of safetensors.
    empty = save({name: torch.empty(0, dtype=value.dtype) for name, value in weights.items()})
    entries: dict[str, dict[str, Any]] = json.loads(empty[8:])
    end = 0
    for name, entry in entries.items():
        begin, end = end, end + weights[name].nbytes
        entry |= {"shape": list(weights[name].shape), "data_offsets": [begin, end]}
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for name in entries:
            value = weights[name].detach().cpu().contiguous()
            file.write(value.reshape(-1).view(torch.uint8).numpy().data)


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config.json of a model folder.

    Raises:
        ModelError: it is missing or damaged, or its format is newer than this version of retain.
    """
    path = _existing(folder / "config.json")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written_in, _ = int(config.get("format", 1)), config["kind"]
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise _unreadable(folder, {}, error) from None
    if written_in > FORMAT:
        writer = config.get("retain", "a later version")
        raise ModelError(
            f"the model in {folder} has format {written_in} and was written by retain {writer}; "
            f"this is retain {__version__}, which reads formats 1 to {FORMAT}: install retain "
            f"{writer}, or train the model again"
        )
    return config


@contextmanager
def reading(folder: Path) -> Iterator[tuple[dict[str, Any], "dict[str, Tensor]"]]:
    """Read config and weights of a model folder; the network is built inside the block.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    config = read_config(folder)
    weights = _existing(folder / "weights.safetensors")
    try:
        yield config, load_file(weights)
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder, config, error) from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"{path} does not exist: train the model, or fetch it with `dvc pull`")
    return path


def _unreadable(folder: Path, config: dict[str, Any], error: Exception) -> ModelError:
    writer = f"retain {config['retain']}" if "retain" in config else "an unknown version"
    return ModelError(
        f"the model in {folder} is damaged or was made by another version of retain (written by "
        f"{writer}, read by retain {__version__}; {' '.join(str(error).split())[:200]}): train it "
        f"again, or fetch it with `dvc pull`"
    )


def load_model(folder: Path) -> Predictor:
    """Load the model in a folder, whatever its kind.

    Raises:
        ModelError: it is missing, damaged, or of a kind that is not installed.
    """
    name = read_config(folder)["kind"]
    kind = find_kind(name)
    if kind is None:
        raise ModelError(f"the model in {folder} is of kind {name}, which is not installed")
    return kind.predictor.load(folder)


def load_onnx(folder: Path, cache: Path) -> Predictor:
    """Load the model in a folder to be run by onnxruntime, without torch.

    Args:
        cache: folder of the graphs that were written already.

    Raises:
        ModelError: it is missing or damaged, or a package is missing.
        ParamsError: models of its kind are run by torch alone.
    """
    name = read_config(folder)["kind"]
    kind = find_kind(name)
    refusal = f"onnxruntime runs forecasters; the model is of kind {name}: leave --runtime out"
    return require(None if kind is None else kind.onnx, refusal)(folder, cache)


def load_champion(load: Callable[[Path], Loaded], folder: Path, schema: Any) -> Loaded:
    """Load the champion, to compare it with another model on data of `schema`.

    Args:
        load: loads a predictor of the kind.

    Raises:
        IncomparableError: it cannot be read, or does not fit the data.
    """
    try:
        champion = load(folder)
        champion.check_fits(schema, "the champion")
    except ModelError as error:
        raise IncomparableError(str(error)) from None
    return champion


def check_same(trained: Any, given: Any, keys: tuple[str, ...], where: str) -> None:
    """Raise ModelError, naming what differs, unless two schemas agree in `keys`.

    Args:
        where: the model's name in a message.
    """
    for key in keys:
        ours, theirs = getattr(trained, key), getattr(given, key)
        if ours != theirs:
            raise ModelError(
                f"{where} was trained with {key} {clipped(ours)}; the data has {clipped(theirs)}"
            )
