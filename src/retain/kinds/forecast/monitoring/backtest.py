"""Backtest of retraining policies: their error on the past, and their cost in trainings.

At every date the table is cut there: the split, the training and the check for drift are those
that `pipelines/retrain.py` would have done on that day. The forecasts from there to the next date
are scored. A model is trained once for each date, whichever policies need it, and is kept under
`scratch/`, so that a backtest that was stopped resumes.
"""

import dataclasses
import datetime as dt
import json
import math
import re
import time
from collections.abc import Callable
from contextlib import closing
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retain import engine, model_files
from retain.config import durations
from retain.config.kind import kind_of
from retain.engine import Job, Part
from retain.errors import DataError, ParamsError
from retain.evaluation.quality_gate import MODEL
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, profile, tables, time_formats
from retain.kinds.forecast.data.tables import Table
from retain.kinds.forecast.data.timestamps import in_words
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation import scoring
from retain.kinds.forecast.evaluation.metrics import MEASURES, MetricSums
from retain.kinds.forecast.model import setup
from retain.kinds.forecast.monitoring import drift
from retain.kinds.forecast.monitoring.policies import Backtest, Track
from retain.kinds.forecast.predict import predictor
from retain.project import code_deps, files, fingerprint
from retain.training import trainer

POLICIES = ("never", "always", "drift")
TRAIN = "retain.kinds.forecast.monitoring.backtest:train_at"
WARM = "warm"  # always, from the weights of the model before; where `training.warm_start` is set


class Past:
    """A problem and its table, at any date of the past."""

    def __init__(self, problem: Problem, name: str, root: Path):
        self.problem, self.name, self.root = _starting_from(problem, None), name, root
        self.table = tables.read(problem.data, root)
        self.panel = panel.build(self.table, problem.data)
        self.end = self.panel.grid[profile.last_step(self.panel)]

    @cached_property
    def folder(self) -> Path:
        """The folder of its models: named by the md5 of table, params and code."""
        recipe = {
            "table": self.table.findings.digest,
            "code": code_deps.training_md5(self.root, kind_of(self.problem)),
            **self.problem.model_dump(mode="json", include={"data", "model", "training"}),
        }
        md5 = fingerprint.text_md5(json.dumps(recipe, sort_keys=True))
        return self.root / "scratch" / "replay" / self.name / md5

    def at(self, date: pd.Timestamp) -> tuple[Table, Problem]:
        """Return the table before a date, and the problem with its boundaries moved accordingly."""
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
        """Move a boundary to its current distance from the table's end, counted from the date."""
        if isinstance(boundary, float | str):
            return boundary
        return (pd.Timestamp(boundary) - (self.end - date)).isoformat()


def backtest(problem: Problem, name: str, root: Path, every: str, start: str) -> Backtest:
    """Run each policy from `start` to the end of the table, with a date `every` so long.

    Raises:
        DataError: the table does not reach far enough before or after `start`.
        ParamsError: `every` is no duration, or `start` no date; of steps without dates, no number.
    """
    first, step = _parse(start, every, problem.data)
    past = Past(problem, name, root)
    if step < np.diff(past.panel.grid).min():
        raise ParamsError(
            f"--every is {every!r}, less than a step of {problem.data.path}: take a longer time"
        )
    dates = _dates(past, first, step)
    grid = past.panel.grid
    bounds = [int(grid.searchsorted(date)) for date in [*dates, dates[-1] + step]]
    levels, series = problem.model.quantiles, len(past.panel.index)
    tracks = [
        Track(policy, MetricSums(bounds[0], len(grid), problem.data.horizon, series, levels))
        for policy in (*POLICIES, *[WARM] * (problem.training.warm_start != "none"))
    ]
    snapshots = [Snapshot(past, date) for date in dates]
    # `always` needs a model of every date, and none of these trainings waits for another.
    with closing(engine.map(TRAIN, map(Snapshot.part, snapshots), Job("replay", name, root))) as on:
        for number, (snapshot, model) in enumerate(zip(snapshots, on, strict=True)):
            for track in tracks:
                if _is_due(track, snapshot):
                    before = track.model if track.policy == WARM else None
                    track.model = model if before is None else snapshot.warm(before)
                    track.trained.append(snapshot.date)
                    track.seconds += facts(track.model)["seconds"]
            _score(past, tracks, bounds[number], bounds[number + 1])
            print(
                f"{in_words(snapshot.date, problem.data)}: MAE "
                + ", ".join(f"{track.policy} {track.errors[-1]:.4g}" for track in tracks),
                flush=True,
            )
    never = tracks[0].sums
    differences = {
        track.policy: scoring.compare(track.sums, never, problem)["mae"] for track in tracks[1:]
    }
    return Backtest(problem.data, dates, tracks, differences)


def _parse(start: str, every: str, data: Data) -> tuple[pd.Timestamp, dt.timedelta]:
    """Return the first date, as the grid has it, and the time to the next."""
    if data.ds_is_step:
        for option, text in (("--from", start), ("--every", every)):
            if not re.fullmatch(r"[1-9]\d*", text):
                raise ParamsError(f"{option} is {text!r}: give a number of steps, such as 30")
        return pd.Timestamp(int(start), unit="us"), dt.timedelta(microseconds=int(every))
    try:
        first = _in_utc(start, data)
    except ValueError:
        raise ParamsError(f"--from is {start!r}: give a date, such as 2024-01-31") from None
    try:
        return first, durations.span(every)
    except ValueError as error:
        raise ParamsError(f"--every is {every!r}: {error}") from None


def _in_utc(text: str, data: Data) -> pd.Timestamp:
    stamp = pd.Timestamp(dt.datetime.fromisoformat(text))
    if data.zone is not None:
        return time_formats.to_utc(stamp, data.zone)
    if stamp.tz is not None:
        raise ValueError
    return stamp


def _dates(past: Past, start: pd.Timestamp, step: dt.timedelta) -> list[pd.Timestamp]:
    last = past.end - past.problem.data.horizon * (past.panel.grid[1] - past.panel.grid[0])
    dates = list(pd.date_range(start, last, freq=step))
    if len(dates) < 2:
        data = past.problem.data
        raise DataError(
            f"{data.path} reaches to {in_words(past.end, data)}: from {in_words(start, data)} "
            f"there are {len(dates)} "
            f"dates to retrain at; begin earlier, or take a shorter --every"
        )
    return dates


def train_at(out: Path, problem: dict[str, Any], name: str, root: str, date: str) -> None:
    """Train a model on the rows before a date: a part."""
    Snapshot(_past(json.dumps(problem), name, root), pd.Timestamp(date)).write_model(out)


@lru_cache(maxsize=1)
def _past(problem: str, name: str, root: str) -> Past:
    return Past(Problem.model_validate(json.loads(problem)), name, Path(root))


class Snapshot:
    """The data before a date and, where a policy needs it, a model trained on them."""

    def __init__(self, past: Past, date: pd.Timestamp):
        self.past, self.date = past, date
        data = past.problem.data
        name = in_words(date, data) if data.ds_is_step else f"{date:%Y-%m-%dT%H%M}"
        self.folder = past.folder / name

    @cached_property
    def prepared(self) -> Path:
        """The folder of the data, as `prepare` would have written them."""
        return self._make("prepared", self._prepare)

    @property
    def model(self) -> Path:
        """The model folder, with its error on the test part and its seconds in facts.json."""
        return self.folder / "model"

    def part(self) -> Part:
        """Return the training of `model`, which any process can do."""
        self.folder.mkdir(parents=True, exist_ok=True)
        past = self.past
        problem = past.problem.model_dump(mode="json", by_alias=True, round_trip=True)
        arguments = {"problem": problem, "name": past.name, "root": str(past.root.resolve())}
        arguments["date"] = self.date.isoformat()
        return Part(self.model.resolve(), arguments, here=self.write_model)

    def write_model(self, out: Path) -> None:
        """Train and write the model into a new folder."""
        out.mkdir()
        self._train(out)

    def warm(self, parent: Path) -> Path:
        """Return the same of a training that starts from the weights of another model."""
        md5 = fingerprint.folder_md5(parent)
        return self._make(f"model-{md5[:12]}", partial(self._train, parent=parent))

    def _prepare(self, out: Path) -> None:
        table, problem = self.past.at(self.date)
        panel.save(panel.build(table, problem.data), out)

    def _train(self, out: Path, parent: Path | None = None) -> None:
        begun = time.process_time()
        problem = _starting_from(self.past.at(self.date)[1], parent)
        trainer.seed_everything(problem.training)
        training = setup.build(problem, self.prepared, MODEL)
        training.warm(parent, problem.training.parents.get(MODEL))
        label = f"{self.past.name} at {in_words(self.date, problem.data)}{', warm' * bool(parent)}"
        history = trainer.fit(training, problem.training, MODEL, label)
        training.calibrate()
        model_files.write_model(out, training.model, training.config, history)
        seconds = time.process_time() - begun
        content = {"seconds": seconds, "test": _score_test_part(out, self.prepared)}
        (out / "facts.json").write_text(json.dumps(content), encoding="utf-8")

    def _make(self, name: str, write: Callable[[Path], None]) -> Path:
        """Return a folder, which `write` fills if it does not exist."""
        target = self.folder / name
        if not target.is_dir():
            stage = f"replay-{self.past.name}-{self.folder.name}-{name}"
            with files.folder(self.past.root, stage) as scratch:
                write(scratch)
                files.publish(scratch, target)
        return target


def _starting_from(problem: Problem, parent: Path | None) -> Problem:
    """Return a problem whose LSTM starts from a model folder, or from random weights."""
    md5s = {} if parent is None else {MODEL: fingerprint.folder_md5(parent)}
    training = problem.training.model_copy(update={"parent": md5s})
    return problem.model_copy(update={"training": training})


def facts(model: Path) -> dict[str, Any]:
    """Read the processor's seconds of a model's training and its scores on the test part."""
    content: dict[str, Any] = json.loads((model / "facts.json").read_text(encoding="utf-8"))
    return content


def _score_test_part(folder: Path, prepared: Path) -> dict[str, float]:
    model, source = predictor.load(folder), panel.load(prepared)
    forecast, test = scoring.network_model(model, source), Windows(source, "test")
    return scoring.sum_metrics(forecast, test, source, model.network.levels).scores()


def _is_due(track: Track, snapshot: Snapshot) -> bool:
    """Whether the policy trains a model at that date."""
    if track.model is None or track.policy in ("always", WARM):
        return True
    if track.policy == "never":
        return False
    problem = snapshot.past.problem
    if snapshot.date - track.trained[-1] > durations.span(problem.retrain.max_age):
        return True
    scores = facts(track.model)["test"]
    findings = drift.check(problem, snapshot.prepared, track.model, scores)
    return any(measured.passed for measured in findings.drifts)


def _score(past: Past, tracks: list[Track], begin: int, end: int) -> None:
    """Score the forecasts that begin from one grid step to before another."""
    source = past.panel
    last = min(end + past.problem.data.horizon - 1, source.schema.steps)
    windows = Windows(source, (begin, last))
    for track in tracks:
        assert track.model is not None
        forecast = scoring.network_model(predictor.load(track.model), source)
        scoring.sum_metrics(forecast, windows, source, track.sums.levels, track.sums)
        steps = slice(begin - track.sums.first_step, end - track.sums.first_step)
        errors, counts = track.sums.by_origin[:, MEASURES.index("absolute"), steps]
        track.errors.append(float(errors.sum() / counts.sum()) if counts.sum() else math.nan)
