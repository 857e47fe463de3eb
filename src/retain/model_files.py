"""How the rooms `serving` of all kinds read a model folder, and a table of one column."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from retain.errors import DataError, IncomparableError, ModelError, clipped, listed

Read = TypeVar("Read")
Loaded = TypeVar("Loaded", bound=Any)


@contextmanager
def reading(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Tensor]]]:
    """Config and weights of a model folder, for a network that is built of them meanwhile.

    Raises:
        ModelError: a file is missing or damaged, or the weights do not fit the config.
    """
    for name in ("config.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder / name} does not exist: train the model, or fetch it with `dvc pull`"
            )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        yield config, load_file(folder / "weights.safetensors")
    except (SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the model in {folder} is damaged or was made by another version of retain "
            f"({' '.join(str(error).split())[:200]}): train it again, or fetch it with `dvc pull`"
        ) from None


def load_champion(load: Callable[[Path], Loaded], folder: Path, schema: Any) -> Loaded:
    """The champion, as a model to compare with on data of `schema`.

    Args:
        load: of the kind's room `serving`.

    Raises:
        IncomparableError: it cannot be read, or reads something else.
    """
    try:
        found = load(folder)
        found.check_fits(schema, "the champion")
    except ModelError as error:
        raise IncomparableError(str(error)) from None
    return found


def check_same(trained: Any, given: Any, keys: tuple[str, ...], where: str) -> None:
    """Raise ModelError, naming what differs, unless two schemas agree in `keys`.

    Args:
        where: what a message calls the model.
    """
    for key in keys:
        ours, theirs = getattr(trained, key), getattr(given, key)
        if ours != theirs:
            raise ModelError(
                f"{where} was trained with {key} {clipped(ours)}; the data has {clipped(theirs)}"
            )


def read_column(table: pd.DataFrame, name: str, read: Callable[[Any], Read]) -> list[Read]:
    """The values of a request's table, each as `read` gives it.

    Raises:
        DataError: the table has another column than `name`, or no row; or `read` raises it, for
            whichever rows.
    """
    if list(table.columns) != [name]:
        raise DataError(f"expected one column, {name!r}, and found {clipped(tuple(table.columns))}")
    if table.empty:
        raise DataError("the table has no row")
    found, faults = [], []
    for row, value in enumerate(table[name], start=1):
        try:
            found.append(read(value))
        except DataError as error:
            faults.append(f"row {row}: {error}")
    if faults:
        raise DataError(f"{name}:\n{listed(faults)}")
    return found
