"""What an evaluation and a comparison with new data find, whatever the kind of problem."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

if TYPE_CHECKING:
    import pandas as pd


class Difference(TypedDict):
    """A difference of two scores with its 95 % interval, without bounds where it is unknown."""

    value: float
    low: float
    high: float


class Metrics(TypedDict):
    """The content of metrics.json; a kind may add keys.

    `models` has the scores of each model, `differences` those between the LSTM and each other, and
    between the judged model and each other, as MODEL_minus_OTHER and by metric. `model` is the
    judged one, the LSTM where it is absent; `validation_loss` is the least one of each cell.
    """

    model: NotRequired[str]
    validation_loss: NotRequired[Mapping[str, float]]
    models: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, Difference]]


def read_metrics(path: Path) -> Metrics:
    """Read metrics.json; what JSON could not hold is NaN again, and infinite as a bound."""
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    for scores in content["models"].values():
        for key, value in scores.items():
            if value is None:
                scores[key] = math.nan
    for by_metric in content["differences"].values():
        for difference in by_metric.values():
            for key, bound in (("value", math.nan), ("low", -math.inf), ("high", math.inf)):
                if difference[key] is None:
                    difference[key] = bound if math.isfinite(difference["value"]) else math.nan
    metrics: Metrics = content
    return metrics


def plots(
    tables: "Mapping[str, pd.DataFrame]", plotted: Mapping[str, tuple[str, str]]
) -> "dict[str, pd.DataFrame]":
    """Pivot tables for `dvc plots`: a column for each model, of means.

    Args:
        plotted: by table, the columns of x and y.
    """
    return {
        name: tables[name]
        .pivot_table(index=x, columns="model", values=y, dropna=False)
        .reset_index()
        for name, (x, y) in plotted.items()
    }


def stack(tables: "Mapping[str, pd.DataFrame]") -> "pd.DataFrame":
    """Stack the tables of several models, with a column `model`."""
    import pandas as pd

    return pd.concat(
        [table.assign(model=model) for model, table in tables.items()], ignore_index=True
    )


def stack_histories(folders: Mapping[str, Path]) -> "pd.DataFrame":
    """Stack the training histories of several models, from their folders."""
    import pandas as pd

    return stack({cell: pd.read_csv(folder / "history.csv") for cell, folder in folders.items()})


@dataclass(frozen=True)
class Drift:
    """A column, or the error, then and now: what is measured, and its bound.

    `usual` says that the bound is what the training part itself reaches.
    """

    name: str
    measure: str
    value: float
    bound: float
    usual: bool = False

    @property
    def passed(self) -> bool:
        """Whether it is beyond its bound."""
        return self.value > self.bound


@dataclass(frozen=True)
class DriftFindings:
    """What became of the data since the champion was trained.

    Attributes:
        newest: the part that was looked at.
        drifts: each column and the error, beside their bounds.
        worse: reasons not to train on the data at all.
        notes: what could not be compared, and why.
    """

    newest: str
    drifts: list[Drift] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
