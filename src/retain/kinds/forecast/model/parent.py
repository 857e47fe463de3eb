"""Warm start: the training of a forecaster starts from the weights of another, the champion.

Only the members of the network are taken over. Means, deviations, transform and calibration are
those of the new training part, as always.

A warm start costs fewer updates than random weights, and may reach a worse minimum (Ash & Adams
2020, "On Warm-Starting Neural Network Training"): the quality gate decides, as for any challenger.
"""

from pathlib import Path

import pandas as pd
import torch
from torch import nn

from retain.errors import ModelError
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.panel import Panel, Schema
from retain.kinds.forecast.data.timestamps import in_words
from retain.kinds.forecast.model.forecaster import Forecaster, load_forecaster
from retain.model_files import check_same
from retain.words import listed

WHERE = "training.parent: the model to start from"
REMEDY = "set training.warm_start: none and train once; later trainings start from that champion"
LENGTHS = ("horizon", "context_length", "season_length")


def start_from(network: Forecaster, source: Panel, folder: Path, whole: bool) -> None:
    """Copy the weights of a model folder into a network before its training.

    The embedding of a series goes with its name; a series that the other model does not know
    starts with the embedding of a new series.

    Args:
        source: the panel that the network is trained on.
        folder: of the model to start from; of its folds, the first.
        whole: whether the network is the refit, which has no test part.

    Raises:
        ModelError: columns, lengths or shapes differ, or the model has learned from rows that
            decide about the new one.
    """
    before, schema, config = load_forecaster(folder)
    try:
        _check_data(schema, source.schema)
        _check_shapes(before.members, network.members)
    except ModelError as error:
        raise ModelError(f"{error}; {REMEDY}") from None
    if not whole:
        _check_time(schema, source.schema)
    names = source.index["unique_id"].to_numpy(dtype=object)
    numbers = {name: number + 1 for number, name in enumerate(config["series"]["unique_id"])}
    rows = torch.tensor([0, *(numbers.get(name, 0) for name in names)])
    weights = before.members.state_dict()
    for key, value in weights.items():
        if _is_embedding(key):
            weights[key] = value[rows]
    network.members.load_state_dict(weights)


def _is_embedding(key: str) -> bool:
    return key.endswith(".series.weight")


def _check_data(ours: Schema, theirs: Schema) -> None:
    check_same(ours, theirs, ("frequency", "columns", "static", "categories"), WHERE)
    for key in LENGTHS:
        if ours.data[key] != theirs.data[key]:
            raise ModelError(
                f"{WHERE} was trained with {key} {ours.data[key]}; params say {theirs.data[key]}"
            )


def _check_shapes(before: nn.Module, network: nn.Module) -> None:
    """Raise ModelError, naming each weight that differs, unless two networks have one shape."""
    ours, theirs = (
        {key: tuple(value.shape) for key, value in module.state_dict().items()}
        for module in (before, network)
    )
    lines = []
    for key in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(key), theirs.get(key)
        if one is not None and other is not None and _is_embedding(key):
            one, other = one[1:], other[1:]
        if one != other:
            lines.append(f"{key}: {_shape(one)}; params make it {_shape(other)}")
    if lines:
        raise ModelError(f"{WHERE} has weights of another shape:\n{listed(lines)}")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else " x ".join(map(str, shape))


def _check_time(ours: Schema, theirs: Schema) -> None:
    """Raise ModelError where the validation part is of a time that the other model learned from.

    Its validation loss would be too good, and so would be that on the test part.
    """
    learned, begins = _validation_begins(ours), _validation_begins(theirs)
    if learned > begins:
        data = Data.model_validate(theirs.data)
        raise ModelError(
            f"{WHERE} has learned from rows up to {in_words(learned, data)}, and the validation "
            f"part begins at {in_words(begins, data)}: its scores would be too good. Let "
            f"data.split move with the table, or {REMEDY}"
        )


def _validation_begins(schema: Schema) -> pd.Timestamp:
    steps = schema.validation_step + 1
    return pd.date_range(schema.origin, periods=steps, freq=schema.frequency)[-1]
