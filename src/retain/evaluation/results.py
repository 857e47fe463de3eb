"""Results of an evaluation and of a comparison with new data, for every kind of problem."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Self, TypedDict

from retain.errors import RetainError
from retain.project import files

if TYPE_CHECKING:
    import pandas as pd

AGAIN = "`dvc checkout`, or `retain run`"  # what brings an output of a stage back


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
        low, high: infinite if there are too few data, NaN if `value` is not finite.
        method: the method of the interval; empty if there is none.
        count, unit: the size of the sample, such as 49 forecast origins.
        needed: if the interval is unknown, the sample size that is needed.
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
        """Return the unknown interval of a difference with too few data."""
        return cls(value, -math.inf, math.inf, "", count, unit, needed)

    @classmethod
    def from_dict(cls, difference: Difference) -> Self:
        """Parse a difference from `read_metrics`."""
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
        """Return the fields for a check's result."""
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
        """Describe the method and the sample; empty if there is no interval."""
        return f"{self.method} of {self.count:,} {self.unit}" if self.method else ""

    def __str__(self) -> str:
        """Describe judgement, value, interval and method, without a full stop."""
        interval = self.bounds
        if self.judgement not in ("undecided", "not finite"):
            interval = f"95 % interval {interval}"
        by = f" by {self.evidence}" if self.evidence else ""
        return f"{self.judgement} ({self.value:+.4g}, {interval}{by})"


class Share(TypedDict):
    """An observed share of the test values, and its random deviation."""

    observed: float
    by_chance: float


class Metrics(TypedDict):
    """The content of metrics.json; a kind may add keys.

    `models` has the scores of each model. `differences` has the LSTM minus each other model, and
    the judged model minus each other model, as MODEL_minus_OTHER and by metric. `model` is the
    judged one, by default the LSTM; `validation_loss` is the lowest one of each cell. `calibration`
    has, for the judged model, the share of the values at or below each quantile by its level, and
    that within the 80 % interval as `coverage_80`.
    """

    model: NotRequired[str]
    validation_loss: NotRequired[Mapping[str, float]]
    models: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, Difference]]
    calibration: NotRequired[Mapping[str, Share]]


def read_metrics(path: Path) -> Metrics:
    """Read metrics.json; null becomes NaN, and infinity for a bound.

    Raises:
        RetainError: it does not exist, or is damaged.
    """
    content: Any = files.read_json(path, AGAIN)
    if not content:
        raise RetainError(f"{path} does not exist; write it: {AGAIN}")
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


# The scores of the judged model for `dvc metrics` and `dvc exp show`, for every kind.
HEADLINES = (
    *("mae", "mase", "rmsse", "crps", "coverage_80"),
    *("bits", "perplexity", "error", "accuracy", "memory_horizon"),
    *("chrf", "bleu", "exact"),
)


def of_note(scores: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of HEADLINES; all, where a kind of another package has none of them."""
    noted = {key: scores[key] for key in HEADLINES if key in scores}
    return noted or dict(scores)


def headlines(
    name: str, metrics: Metrics, model: str, error: str, others: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return the content of scores.json: the few figures for the comparison of experiments.

    The top-level key is the problem's name, since DVC makes a column of each key and shows several
    problems in one table.

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

    DVC uses the same x and y for all files of a folder, so all have these names; y is a mean if a
    table has several rows of a model for one x.

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
    """The drift of a column, or of the error, and its bound.

    `usual` says that the bound is what windows of the training part reach.
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
    """The changes of the data since the champion was trained.

    Attributes:
        newest: the part that was checked.
        drifts: each column and the error, with their bounds.
        worse: reasons not to train on the data at all.
        notes: what could not be compared, and why.
    """

    newest: str
    drifts: list[Drift] = field(default_factory=list)
    worse: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
