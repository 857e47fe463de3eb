"""Errors and costs of retraining policies, as a table, a figure and a text."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from retain.evaluation import report
from retain.evaluation.quality_gate import methods
from retain.evaluation.report import markdown_table
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data.timestamps import axis, in_words
from retain.kinds.forecast.evaluation import figures
from retain.kinds.forecast.evaluation.metrics import MetricSums


@dataclass
class Track:
    """One policy: its current model, its trainings and its errors so far."""

    policy: str
    sums: MetricSums
    model: Path | None = None
    trained: list[pd.Timestamp] = field(default_factory=list)
    seconds: float = 0.0  # of the processor
    errors: list[float] = field(default_factory=list)  # MAE from each date to the next


@dataclass(frozen=True)
class Backtest:
    """Errors and costs of the policies."""

    data: Data
    dates: list[pd.Timestamp]
    tracks: list[Track]
    differences: dict[str, Interval]  # MAE of a policy minus that of `never`

    def table(self) -> pd.DataFrame:
        """Make a row for each policy and date: whether it trained, and its error to the next."""
        dates = axis(pd.DatetimeIndex(self.dates), self.data)
        rows = [
            {"policy": track.policy, "date": date, "trained": at in track.trained} | {"mae": error}
            for track in self.tracks
            for at, date, error in zip(self.dates, dates, track.errors, strict=True)
        ]
        return pd.DataFrame(rows)

    def figure(self) -> str:
        """Draw the error over time, as SVG."""
        return figures.backtest(self.table())

    def markdown(self, name: str, every: str) -> str:
        """Describe errors and costs for a person who chooses a policy."""
        rows = []
        for track in self.tracks:
            difference = ("–", "–", "–")
            if change := self.differences.get(track.policy):
                difference = (f"{change.value:+.4g}", change.bounds, change.judgement)
            mae = f"{track.sums.scores()['mae']:.4g}"
            cost = f"{len(track.trained)}", f"{track.seconds:.0f}"
            rows.append((track.policy, mae, *difference, *cost))
        columns = ("policy", "MAE", "− never", "95 % interval", "is", "trainings", "CPU seconds")
        first, *_, last = (in_words(date, self.data) for date in self.dates)
        return (
            f"## {name}: what retraining would have given\n\n{name}, looked at every {every} from "
            f"{first} to {last}: the error of the forecasts between the dates, and what the "
            f"trainings took. {methods(self.differences.values())}"
            f"\n\n{markdown_table(report.Table('', columns, tuple(rows)))}"
        )
