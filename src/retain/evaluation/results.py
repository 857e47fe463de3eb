"""What an evaluation and a comparison with new data find, whatever the kind of problem."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict

if TYPE_CHECKING:
    import pandas as pd


class Difference(TypedDict):
    """An `Interval` as metrics.json has it; files of older versions have the first three keys."""

    value: float
    low: float
    high: float
    method: NotRequired[str]
    count: NotRequired[int]
    unit: NotRequired[str]
    needed: NotRequired[int]


@dataclass(frozen=True)
class Interval:
    """A difference of two errors and its 95 % confidence interval.

    Attributes:
        low, high: infinite where there are too few data to know, NaN where `value` is not finite.
        method: how the interval was found; empty where there is none.
        count, unit: how many of what it rests on, such as 49 forecast origins.
        needed: where the interval is unknown, how many there must be.
    """

    value: float
    low: float
    high: float
    method: str = ""
    count: int = 0
    unit: str = "forecast origins"
    needed: int = 0

    @classmethod
    def undecided(cls, value: float, count: int, needed: int, unit: str) -> Self:
        """Make the interval of a difference that too few data say nothing of."""
        return cls(value, -math.inf, math.inf, "", count, unit, needed)

    @classmethod
    def from_dict(cls, difference: Difference) -> Self:
        """Make it of what `read_metrics` returns."""
        return cls(**difference)

    def to_dict(self) -> Difference:
        """The difference as metrics.json has it."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "count": self.count,
            "unit": self.unit,
            "needed": self.needed,
        }

    @property
    def figures(self) -> dict[str, float]:
        """What a check's result keeps of it."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @property
    def judgement(self) -> str:
        """Judge the first of the two models: better, worse, no clear difference, or unknown."""
        if self.needed:
            return "undecided"
        if not math.isfinite(self.value):
            return "not finite"
        if not math.isfinite(self.low + self.high):
            return "undecided"  # of an older version, which did not count
        if self.high < 0:
            return "better"
        return "worse" if self.low > 0 else "no clear difference"

    @property
    def bounds(self) -> str:
        """Describe the interval, or why there is none."""
        if self.judgement == "not finite":
            return "unknown: a value is not finite"
        if self.needed:
            return f"unknown: {self.count:,} {self.unit}, and {self.needed:,} are needed"
        if self.judgement == "undecided":
            return "unknown: too few windows"
        return f"{self.low:+.4g} to {self.high:+.4g}"

    @property
    def evidence(self) -> str:
        """Name the method and what it rests on; empty where there is no interval."""
        return f"{self.method} of {self.count:,} {self.unit}" if self.method else ""

    def __str__(self) -> str:
        """Describe judgement, value, interval and method in a sentence without an end."""
        interval = self.bounds
        if self.judgement not in ("undecided", "not finite"):
            interval = f"95 % interval {interval}"
        by = f" by {self.evidence}" if self.evidence else ""
        return f"{self.judgement} ({self.value:+.4g}, {interval}{by})"


class Share(TypedDict):
    """An observed share of the test values, and how far chance may move it."""

    observed: float
    by_chance: float


class Metrics(TypedDict):
    """The content of metrics.json; a kind may add keys.

    `models` has the scores of each model, `differences` those between the LSTM and each other, and
    between the judged model and each other, as MODEL_minus_OTHER and by metric. `model` is the
    judged one, the LSTM where it is absent; `validation_loss` is the least one of each cell.
    `calibration` has, of the judged model, the share of the values at or below each quantile by its
    level, and that within the 80 % interval as `coverage_80`.
    """

    model: NotRequired[str]
    validation_loss: NotRequired[Mapping[str, float]]
    models: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, Difference]]
    calibration: NotRequired[Mapping[str, Share]]


def read_metrics(path: Path) -> Metrics:
    """Read metrics.json; what JSON could not hold is NaN again, and infinite as a bound."""
    content: Any = json.loads(path.read_text(encoding="utf-8"))
    shares = content.get("calibration", {})
    for scores in (*content["models"].values(), *shares.values()):
        for key, value in scores.items():
            if value is None:
                scores[key] = math.nan
    for by_metric in content["differences"].values():
        for difference in by_metric.values():
            if difference["value"] is None:
                difference["value"] = math.nan
            unknown = math.isfinite(difference["value"]) or difference.get("needed", 0)
            for key, bound in (("low", -math.inf), ("high", math.inf)):
                if difference[key] is None:
                    difference[key] = bound if unknown else math.nan
    metrics: Metrics = content
    return metrics


# The scores that `dvc metrics` and `dvc exp show` list of the judged model, whatever its kind.
HEADLINES = (
    *("mae", "mase", "rmsse", "crps", "coverage_80"),
    *("bits", "perplexity", "error", "accuracy", "memory_horizon"),
)


def of_note(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of HEADLINES; all, where a kind of another package has none of them."""
    noted = {key: scores[key] for key in HEADLINES if key in scores}
    return noted or dict(scores)


def headlines(
    name: str, metrics: Metrics, model: str, error: str, others: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the content of scores.json: the few figures by which a person compares experiments.

    The problem's name is the key of all, since DVC makes a column of each key and shows those of
    several problems in one table.

    Args:
        name: of the problem.
        model: the judged one.
        error: the score that is listed of the other models; empty where a kind has none.
        others: the models that the judged one is compared with; itself among them, and those that
            were not scored, are left out.
    """
    scores = metrics["models"]
    compared = [other for other in others if other in scores and other != model]
    beside = {f"{error}_{other}": scores[other][error] for other in compared if error}
    return {name: {"model": model, **of_note(scores[model]), **beside}}


def plots(
    tables: "Mapping[str, pd.DataFrame]", plotted: Mapping[str, tuple[str, str]]
) -> "dict[str, pd.DataFrame]":
    """Return tables for `dvc plots`, with the columns x, model and y: a line for each model.

    DVC takes one x and one y for all files of a folder, so all have these names; y is a mean where
    a table has several rows of a model for one x.

    Args:
        plotted: by table, the columns of x and y.
    """
    return {
        name: tables[name]
        .groupby([x, "model"], sort=False, dropna=False)[y]
        .mean()
        .reset_index()
        .set_axis(["x", "model", "y"], axis=1)
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
