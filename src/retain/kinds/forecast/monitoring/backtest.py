"""Retraining tried on the past: what each policy would have given in error and cost in training.

At every date the table ends there, as it did then: the split, the training, the check for drift
are those that `pipelines/retrain.py` would have done on that day. The forecasts from there to the
next date are scored. A model is trained once for each date, whichever policies ask for it, and is
kept under `scratch/`, so that a replay that was stopped goes on.
"""

import dataclasses
import datetime as dt
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from retain import model_files
from retain.config import schema
from retain.errors import DataError, ParamsError
from retain.evaluation.bootstrap import Interval
from retain.evaluation.quality_gate import MODEL, interval, judgement
from retain.evaluation.report import Table as Shown
from retain.evaluation.report import markdown_table
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, profile, tables
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.tables import Table
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import evaluate, figures
from retain.kinds.forecast.evaluation.metrics import MEASURES, MetricSums
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.monitoring import drift
from retain.kinds.forecast.predict import predictor
from retain.project import files, fingerprint
from retain.training import trainer

POLICIES = ("never", "always", "drift")


@dataclass
class Track:
    """One policy on its way through time."""

    policy: str
    tally: MetricSums
    model: Path | None = None
    since: pd.Timestamp | None = None  # when the model was trained
    trained: list[pd.Timestamp] = field(default_factory=list)
    seconds: float = 0.0
    errors: list[float] = field(default_factory=list)  # MAE from each date to the next


@dataclass(frozen=True)
class Replay:
    """What came of it."""

    dates: list[pd.Timestamp]
    tracks: list[Track]
    differences: dict[str, Interval]  # MAE of a policy minus that of `never`

    def table(self) -> pd.DataFrame:
        """A row for each policy and date: was a model trained, and the error up to the next."""
        rows = [
            {"policy": track.policy, "date": at.date().isoformat(), "trained": at in track.trained}
            | {"mae": error}
            for track in self.tracks
            for at, error in zip(self.dates, track.errors, strict=True)
        ]
        return pd.DataFrame(rows)

    def figure(self) -> str:
        """The error over time, as SVG."""
        return figures.replay(self.table())

    def markdown(self, name: str, every: str) -> str:
        """What a person reads to choose a policy."""
        rows = []
        for track in self.tracks:
            change = self.differences.get(track.policy)
            rows.append(
                (
                    track.policy,
                    f"{track.tally.scores()['mae']:.4g}",
                    "–" if change is None else f"{change.value:+.4g}",
                    "–" if change is None else interval(change.low, change.high),
                    "–" if change is None else judgement(change.low, change.high),
                    f"{len(track.trained)}",
                    f"{track.seconds:.0f}",
                )
            )
        titles = ("policy", "MAE", "− never", "95 % interval", "is", "trainings", "seconds")
        said = (
            f"{name}, looked at every {every} from {self.dates[0]:%Y-%m-%d} to "
            f"{self.dates[-1]:%Y-%m-%d}: the error of the forecasts between the dates, and what "
            f"the trainings took."
        )
        return f"## {name}: what retraining would have given\n\n{said}\n\n" + markdown_table(
            Shown("", titles, tuple(rows))
        )


class Past:
    """A problem, its table, and what of it there was at any date."""

    def __init__(self, problem: Problem, name: str, root: Path):
        self.problem, self.name, self.root = problem, name, root
        self.table = tables.read(problem.data, root)
        self.whole = panel.build(self.table, problem.data)
        self.end = self.whole.grid[profile.last_seen(self.whole)]

    @cached_property
    def place(self) -> Path:
        """Where its models are kept: under the md5 of table, params and code."""
        recipe = {
            "table": self.table.findings.digest,
            "code": fingerprint.code_md5(),
            **self.problem.model_dump(mode="json", include={"data", "model", "training"}),
        }
        md5 = fingerprint.text_md5(json.dumps(recipe, sort_keys=True))
        return self.root / "scratch" / "replay" / self.name / md5

    def at(self, date: pd.Timestamp) -> tuple[Table, Problem]:
        """The table as it was before a date, and the problem, its boundaries as long before."""
        frame = self.table.frame
        known = frame[frame["ds"] < date].reset_index(drop=True)
        data = self.problem.data
        split = {key: self._moved(value, date) for key, value in data.split}
        moved = Data.model_validate({**data.model_dump(mode="json"), "split": split})
        return (
            dataclasses.replace(self.table, frame=known),
            self.problem.model_copy(update={"data": moved}),
        )

    def _moved(self, boundary: Any, date: pd.Timestamp) -> Any:
        """A boundary as far from the date as it is from the table's end."""
        if isinstance(boundary, float | str):
            return boundary
        return (pd.Timestamp(boundary) - (self.end - date)).isoformat()


def replay(problem: Problem, name: str, root: Path, every: str, start: dt.datetime) -> Replay:
    """Walk through the past of a problem from `start`, with a look at the data `every` so long.

    Raises:
        DataError: the table does not reach far enough before or after `start`.
        ParamsError: `every` is no duration.
    """
    try:
        step = schema.span(every)
    except ValueError as error:
        raise ParamsError(f"--every is {every!r}: {error}") from None
    past = Past(problem, name, root)
    dates = _dates(past, pd.Timestamp(start), step)
    grid = past.whole.grid
    bounds = [int(grid.searchsorted(date)) for date in [*dates, dates[-1] + step]]
    levels, series = problem.model.quantiles, len(past.whole.index)
    tracks = [
        Track(policy, MetricSums(bounds[0], len(grid), problem.data.horizon, series, levels))
        for policy in POLICIES
    ]
    for number, date in enumerate(dates):
        then = Then(past, date)
        for track in tracks:
            if _asks(track, then):
                track.model, track.since = then.model, date
                track.trained.append(date)
                track.seconds += then.seconds
        _score(past, tracks, bounds[number], bounds[number + 1])
        print(
            f"{date:%Y-%m-%d}: MAE "
            + ", ".join(f"{track.policy} {track.errors[-1]:.4g}" for track in tracks),
            flush=True,
        )
    never = tracks[0].tally
    differences = {
        track.policy: evaluate.compare(track.tally, never, "mae", problem) for track in tracks[1:]
    }
    return Replay(dates, tracks, differences)


def _dates(past: Past, start: pd.Timestamp, step: dt.timedelta) -> list[pd.Timestamp]:
    last = past.end - past.problem.data.horizon * (past.whole.grid[1] - past.whole.grid[0])
    dates = list(pd.date_range(start, last, freq=step))
    if len(dates) < 2:
        raise DataError(
            f"{past.problem.data.path} reaches to {past.end}: from {start} there are {len(dates)} "
            f"dates to retrain at; begin earlier, or take a shorter --every"
        )
    return dates


class Then:
    """A date: the data there were and, if a policy asks for it, a model trained on them."""

    def __init__(self, past: Past, date: pd.Timestamp):
        self.past, self.date = past, date
        self.folder = past.place / f"{date:%Y-%m-%dT%H%M}"

    @cached_property
    def prepared(self) -> Path:
        """The data, as `prepare` would have written them."""
        target = self.folder / "prepared"
        if not target.is_dir():
            table, problem = self.past.at(self.date)
            with self._scratch("prepared") as scratch:
                panel.save(panel.build(table, problem.data), scratch)
                files.publish(scratch, target)
        return target

    @cached_property
    def model(self) -> Path:
        """The model folder; with it are the error on its test part and the seconds it took."""
        target = self.folder / "model"
        if not target.is_dir():
            problem = self.past.at(self.date)[1]
            with self._scratch("model") as scratch:
                begun = time.monotonic()
                trainer.seed_everything(problem.training)
                training = setup.build(problem, self.prepared, MODEL)
                label = f"{self.past.name} at {self.date:%Y-%m-%d}"
                history = trainer.fit(training, problem.training, MODEL, label)
                training.calibrate()
                model_files.write_model(scratch, training.network, training.config, history)
                seconds = time.monotonic() - begun
                facts = {"seconds": seconds, "test": _on_test_part(scratch, self.prepared)}
                (scratch / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
                files.publish(scratch, target)
        return target

    @property
    def seconds(self) -> float:
        """How long the training took."""
        return float(facts(self.model)["seconds"])

    def _scratch(self, what: str) -> Any:
        return files.folder(self.past.root, f"replay-{self.past.name}-{what}")


def facts(model: Path) -> dict[str, Any]:
    """What is known of a model's training."""
    found: dict[str, Any] = json.loads((model / "facts.json").read_text(encoding="utf-8"))
    return found


def _on_test_part(model: Path, prepared: Path) -> dict[str, float]:
    served, then = predictor.load(model), panel.load(prepared)
    forecast = evaluate.network_model(served, then)
    windows = Windows(then, "test")
    return evaluate.tally(forecast, windows, then, served.network.levels).scores()


def _asks(track: Track, then: Then) -> bool:
    """Whether the policy trains a model on that date."""
    if track.model is None or track.policy == "always":
        return True
    if track.policy == "never":
        return False
    problem = then.past.problem
    assert track.since is not None
    if then.date - track.since > schema.span(problem.retrain.max_age):
        return True
    known = facts(track.model)["test"]
    found = drift.check(problem, then.prepared, track.model, known)
    return any(each.passed for each in found.drifts)


def _score(past: Past, tracks: list[Track], begin: int, end: int) -> None:
    """Add the forecasts that begin from one grid step to before another."""
    whole: Panel = past.whole
    horizon = past.problem.data.horizon
    windows = Windows(whole, (begin, min(end + horizon - 1, whole.schema.steps)))
    for track in tracks:
        assert track.model is not None
        forecast = evaluate.network_model(predictor.load(track.model), whole)
        evaluate.tally(forecast, windows, whole, past.problem.model.quantiles, track.tally)
        sums, counts = track.tally.by_origin[:, MEASURES.index("absolute")]
        own = slice(begin - track.tally.first_step, end - track.tally.first_step)
        track.errors.append(float(sums[own].sum() / max(counts[own].sum(), 1)))
