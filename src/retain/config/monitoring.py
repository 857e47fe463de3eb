"""The parts of a kind that compare forecasts with what came, or retrain in the past."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from retain.errors import ParamsError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from retain.config.schema import Problem
    from retain.evaluation.report import Report, Table
    from retain.evaluation.results import Drift, DriftFindings

P = TypeVar("P", bound="Problem", contravariant=True)  # noqa: PLC0105
UNITS = {"MB": 10**6, "GB": 10**9}
USUAL = "1000MB"  # of a log


@dataclass(frozen=True)
class LogLimit:
    """How much of a log is kept: bytes, or days; the oldest days beyond it are removed."""

    max_bytes: int | None = None
    days: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a limit such as 500MB, 2GB or 30d; raises ParamsError for any other text."""
        match = re.fullmatch(r"([1-9]\d{0,8})(MB|GB|d)", text)
        if match is None:
            raise ParamsError(f"--log-limit {text!r}: give a size or days, such as 500MB or 30d")
        count = int(match[1])
        return cls(days=count) if match[2] == "d" else cls(max_bytes=count * UNITS[match[2]])


@dataclass(frozen=True)
class Promise:
    """What is recorded of a version.

    Attributes:
        metrics: of its test part.
        md5: of the folder of the model that forecasts.
        trained_on: the first and the last time stamp of the data of that model, in words.
    """

    metrics: Mapping[str, float]
    md5: str
    trained_on: str


class Monitored(Protocol):
    """Logged forecasts, compared with what came."""

    def tables(self) -> Sequence[Table]: ...
    def content(self) -> dict[str, Any]: ...
    def report(self, name: str) -> Report: ...
    def exposition(self, name: str) -> bytes: ...
    def drift(self, version: int, bound: float) -> tuple[list[Drift], list[str]]: ...


class KeepForecasts(Protocol):
    """Write tables of forecasts into a log; return the number of rows (`retain forecast --log`).

    `model` is the folder of the model that made them, with its version and `md5`.
    """

    def __call__(
        self,
        model: Path,
        version: int,
        md5: str,
        tables: Iterable[pd.DataFrame],
        log: Path,
        limit: LogLimit,
    ) -> int: ...


class Monitor(Protocol[P]):
    """Compare the forecasts in a log with the values that came (`retain monitor`).

    `actuals` is a table in the layout of the problem's; None: the problem's own. `promise` returns
    what is recorded of a version. `inputs` is the drift of the inputs, if they were compared.
    """

    def __call__(
        self,
        problem: P,
        prepared: Path,
        root: Path,
        log: Path,
        actuals: str | None,
        promise: Callable[[int], Promise | None],
        inputs: DriftFindings | None,
    ) -> Monitored: ...


class BacktestResult(Protocol):
    """The result of each retraining policy on the past."""

    def table(self) -> pd.DataFrame: ...
    def figure(self) -> str: ...
    def markdown(self, name: str, every: str) -> str: ...


class Backtest(Protocol[P]):
    """Retrain at past dates under each policy (`retain replay`)."""

    def __call__(
        self, problem: P, name: str, root: Path, every: str, start: str
    ) -> BacktestResult: ...
