"""The options of `retain forecast` and its results, shared by the command and the kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, get_args

from retain.errors import ParamsError
from retain.words import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from retain.config.schema import Problem
    from retain.evaluation.report import Outlook

P = TypeVar("P", bound="Problem", contravariant=True)  # noqa: PLC0105

FillWith = Literal["theta", "seasonal_naive"]  # methods that need only the values of a series
Unseen = Literal["refuse", "unknown"]  # what to do with categories that training did not have


@dataclass(frozen=True)
class ForecastOptions:
    """The options of a forecast.

    Attributes:
        future: file of the known covariates of the future; None if the history has them.
        strict: whether a series that cannot be forecast is an error.
        fill_with: method that forecasts those series instead; None if they are left out.
        unseen: how to handle unseen categories, `refuse` or `unknown`; None: as the model's problem
            does.
        cold_start: file of series without history, which are forecast instead of a table.

    Raises:
        ParamsError: there is no such method, or no such way.
    """

    future: str | None = None
    strict: bool = False
    fill_with: str | None = None
    unseen: str | None = None
    cold_start: str | None = None

    def __post_init__(self) -> None:
        for key, known in (("fill_with", get_args(FillWith)), ("unseen", get_args(Unseen))):
            value = getattr(self, key)
            if value is not None and value not in known:
                raise ParamsError(f"{key} is {value!r}{did_you_mean(str(value), list(known))}")


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of a table.

    Attributes:
        table: the forecasts by row, with a column `note`.
        left_out: the series that have none, with the reason.
        unknown: what the model does not know of the table, with how many rows have it.
        messages: what to say besides.
        rows: unique_id and ds of each row of `table`: text, and a time without a zone on the clock
            of the problem's place, or the number of a step without a date, however the table names
            and writes them.
        history: columns unique_id, ds and y of all series, as in `rows`.
    """

    table: pd.DataFrame
    left_out: dict[str, str]
    unknown: dict[str, int]
    messages: list[str]
    rows: pd.DataFrame
    history: pd.DataFrame


@dataclass(frozen=True)
class BulkForecasts:
    """The forecasts of a table in parts.

    Attributes:
        series: number of series.
        done_before: number of parts that an earlier run had finished.
        noted: number of rows with a note.
        left_out: as of `Forecasts`.
        unknown: as of `Forecasts`.
    """

    series: int
    done_before: int
    noted: int
    left_out: dict[str, str]
    unknown: dict[str, int]


class ForecastFile(Protocol):
    """Forecast the series of a file, or of the problem's table (`retain forecast`)."""

    def __call__(
        self, folder: Path, history: str | None, root: Path, options: ForecastOptions
    ) -> Forecasts: ...


class ForecastBulk(Protocol):
    """Forecast a table of any size into a folder, in parts."""

    def __call__(
        self,
        folder: Path,
        history: str | None,
        root: Path,
        output: Path,
        md5: str,
        on_progress: Callable[[int, int], None],
        options: ForecastOptions,
    ) -> BulkForecasts: ...


class PlotForecasts(Protocol[P]):
    """Draw history and forecasts; return the bytes of an `.svg` or `.png` (`--plot`)."""

    def __call__(self, problem: P, found: Forecasts, suffix: str) -> bytes: ...


class BuildOutlook(Protocol[P]):
    """Return the forecast of the future and a description of the data, for the report.

    `judged` is the model folder that was evaluated, `final` the refitted one, if there is one.
    """

    def __call__(
        self, name: str, problem: P, prepared: Path, judged: Path, final: Path | None
    ) -> Outlook: ...
