"""`retain tune`: the score on the validation part and the MASE on the test part, before and after.

The LSTM and the RNN have as many trials. neuralforecast's AutoLSTM has as many at most, within the
CPU seconds of the LSTM's trials. Each table is in a project of its own, as `retain add` sets it up;
what was computed is kept in scratch/tune, so that the benchmark can be run in parts and taken up
after a stop.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from benchmarks import refit, tables
from benchmarks.ordinary import peers, project, scoring, sources
from benchmarks.ordinary.peers import Peer
from benchmarks.ordinary.scoring import DECILES
from benchmarks.ordinary.sources import Source
from benchmarks.peers import setup
from retain.config import loader
from retain.config.search import RATE, override
from retain.kinds.forecast import prepare
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.data.windows import Windows
from retain.kinds.forecast.evaluation.scoring import network_model
from retain.kinds.forecast.model import setup as build
from retain.kinds.forecast.predict import predictor

SCRATCH = setup.FOLDER.parent / "tune"
SAMPLE = "metro_interstate_traffic_volume.csv.gz"
CELLS = ("lstm", "rnn")
NOTES = """\
Score: twice the mean quantile loss on the validation part, in deviations of the series. *On earlier
parts*: what the best trial is there, beside the settings as they were; no trial was chosen by these
parts. MASE on the test part, which no trial reads: of the settings as they were, of the cell's best
trial, and of what `--apply` leaves in params.yaml (the LSTM's settings for all cells, each with its
own learning rate, if the LSTM's are better than chance). CPU is that of all trials of the cell; of
AutoLSTM with its last training and its forecasts. Its search ends after the CPU seconds of the
LSTM's trials, if it has not had as many before; *trials* is how many were trained to their end."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which tables, how many trials, and for how long."""
    parser.add_argument(
        "--tables",
        nargs="+",
        default=["walmart", "wiki", "traffic"],
        help="their names; NAME:12 for other than --trials",
    )
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--bases", nargs="+", choices=("none", "pool"), default=["none"])
    parser.add_argument("--no-peers", action="store_true", help="without AutoLSTM")
    parser.add_argument(
        "--timeout", help="stop the trials of a table after this time; run again to go on"
    )
    parser.add_argument("--write", action="store_true", help="write the section of the README")


def run(options: argparse.Namespace) -> None:
    """Tune, train with what was found, score, and write the table."""
    if not options.no_peers:
        setup.require(["neuralforecast"])
    found = {source.name: source for source in sources.find([options.data / "tables"])}
    trials = dict[str, int]()
    for word in options.tables:
        name, _, count = word.partition(":")
        trials[name] = int(count or options.trials)
    rows: list[dict[str, Any]] = []
    for name, count in trials.items():
        for base in options.bases:
            measured = Measured(name, found.get(name), base, options, count)
            rows += measured.rows()
            if base == options.bases[0] and not options.no_peers:
                rows.append(measured.peer(rows[-len(CELLS)]["cpu_seconds"]))
        print(show(pd.DataFrame(rows)), flush=True)
    words = ["python -m benchmarks tune", f"--trials {options.trials} --jobs {options.jobs}"]
    words += [f"--tables {' '.join(options.tables)} --bases {' '.join(options.bases)}"]
    words += [*["--no-peers"] * options.no_peers, "--write"]
    if options.write:
        frame = pd.DataFrame(rows)
        tables.write("tune", frame, f"{show(frame)}\n\n{NOTES}", " ".join(words))


def show(frame: pd.DataFrame) -> str:
    """Return the table in Markdown."""
    shown = pd.DataFrame(
        {
            "table": frame["table"],
            "model": frame["model"],
            "trials": frame["trials"],
            "score before": frame["score_before"].map(_number),
            "best": frame["score_after"].map(_number),
            "on earlier parts": frame["judgement"],
            "MASE before": frame["mase_before"].map(_number),
            "best trial": frame["mase_best"].map(_number),
            "after --apply": frame["mase_applied"].map(_number),
            "CPU s": frame["cpu_seconds"].map(_seconds),
        }
    )
    return tables.markdown(shown)


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.4f}"


def _seconds(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:,.0f}"


class Measured:
    """A table in a project of its own, with or without the classical base."""

    def __init__(
        self,
        name: str,
        source: Source | None,
        base: str,
        options: argparse.Namespace,
        trials: int = 0,
    ):
        self.name, self.base, self.options, self.trials = name, base, options, trials
        self.folder = SCRATCH / f"{name}-{base}"
        if not (self.folder / "ready").is_file():
            if source is None:
                self._make_sample()
            else:
                project.add(self.folder, source)
                self._set({"model.base": base, "training.alone": False, "evaluation.folds": 1})
            (self.folder / "ready").touch()
        self.entry = project.entry(self.folder, name)

    def _make_sample(self) -> None:
        """Make the project of the sample, with its entry of params.yaml.

        Its trainings need not have the same bits on other processors, which would cost up to 1.8
        times the CPU.
        """
        project.create(self.folder)
        entry = project.entry(project.ROOT, self.name)
        self._write(override(entry, {"training.reproducible": "machine"}))
        target = self.folder / "data" / "raw" / SAMPLE
        target.parent.mkdir(parents=True)
        shutil.copy(project.ROOT / "data" / "raw" / SAMPLE, target)
        project.run(self.folder, "git", "init", "--quiet")

    @property
    def _params(self) -> Path:
        return self.folder / "params.yaml"

    def _set(self, settings: dict[str, Any]) -> None:
        """Set keys of params.yaml."""
        entry = override(project.entry(self.folder, self.name), settings)
        entry["gate"] = [{"check": "finite"}]
        self._write(entry)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each cell."""
        found = self._tuned()
        best = {cell: self._trial(found, cell, "best")["settings"] for cell in CELLS}
        judged = {cell: self._judgement(found[cell]) for cell in CELLS}
        before = dict(zip(CELLS, self._errors("before", {}, CELLS), strict=True))
        applied = before
        if judged["lstm"] == "better":
            now = self._trial(found, "rnn", "before")["settings"]
            rates = {"lstm": best["lstm"][RATE], "rnn": now[RATE]}
            if judged["rnn"] == "better":
                rates["rnn"] = best["rnn"][RATE]
            errors = self._errors("applied", best["lstm"] | {RATE: rates}, CELLS)
            applied = dict(zip(CELLS, errors, strict=True))
        on = " on the base" if self.base == "pool" else ""
        rows = []
        for cell in CELLS:
            (own,) = self._errors("best", best[cell], [cell])
            rows.append(
                {
                    "table": self.name,
                    "model": f"{cell.upper()}{on}",
                    "trials": len(found[cell]["trials"]),
                    "score_before": self._trial(found, cell, "before")["score"],
                    "score_after": self._trial(found, cell, "best")["score"],
                    "judgement": judged[cell],
                    "mase_before": before[cell],
                    "mase_best": own,
                    "mase_applied": applied[cell],
                    "cpu_seconds": sum(one["cpu_seconds"] for one in found[cell]["trials"]),
                }
            )
        return rows

    def _judgement(self, found: dict[str, Any]) -> str:
        """Return what the best trial of a cell is on earlier parts."""
        return found["earlier"]["judgement"] if found["earlier"] else "the same"

    def _trial(self, found: dict[str, Any], cell: str, which: str) -> dict[str, Any]:
        trial: dict[str, Any] = found[cell]["trials"][found[cell][which] - 1]
        return trial

    def _tuned(self) -> dict[str, Any]:
        """Run `retain tune`, and return its results."""
        self._write(self.entry)
        options = self.options
        words = ["--trials", str(self.trials), "--jobs", str(options.jobs)]
        words += ["--timeout", options.timeout] if options.timeout else []
        begin = time.monotonic()
        seconds = project.run(self.folder, "retain", "tune", self.name, *words)
        path = self.folder / "reports" / self.name / "tune.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        counts = {cell: len(of_cell["trials"]) for cell, of_cell in found.items()}
        passed = time.monotonic() - begin
        print(f"{self.folder.name}: {counts}, {seconds:.0f} CPU s, {passed:.0f} s", flush=True)
        if min(counts.values()) < self.trials:
            raise SystemExit("not all trials are done: run the same command again")
        return found

    def _write(self, entry: dict[str, Any]) -> None:
        YAML().dump({"problems": {self.name: entry}}, self._params)

    def _errors(self, label: str, settings: dict[str, Any], cells: Sequence[str]) -> list[float]:
        """Train cells with some settings, as the stages do; return their MASE on the test part."""
        entry = override(self.entry, settings)
        problem = loader.parse(self.name, entry)
        assert isinstance(problem, Problem)
        return [self._error(label, problem, cell) for cell in cells]

    def _error(self, label: str, problem: Problem, cell: Any) -> float:
        """Train a cell, or take its error from what was kept; return its MASE on the test part."""
        recipe = problem.model_dump(mode="json", include={"data", "model", "training"})
        recipe["training"] |= {"cells": [cell], "learning_rate": problem.training.rate(cell)}
        digest = md5(json.dumps(recipe, sort_keys=True).encode(), usedforsecurity=False)
        kept = self.folder / f"{cell}-{digest.hexdigest()[:12]}.json"
        if not kept.is_file():
            with tempfile.TemporaryDirectory() as scratch:
                prepared, model = Path(scratch) / "prepared", Path(scratch) / "model"
                for folder in (prepared, model):
                    folder.mkdir()
                prepare.prepare(problem, self.folder, prepared)
                refit.train(partial(build.build, problem, prepared, cell), problem, model)
                source, test = panel.load(prepared), scoring.load(prepared, 1)
                forecast = network_model(predictor.load(model), source)
                windows = Windows(source, "test")
                found = np.concatenate([forecast(batch) for batch in windows.chunks()])
            error = scoring.score(test, DECILES, found[..., : len(DECILES)])["mase"]
            kept.write_text(json.dumps(error), encoding="utf-8")
        error = json.loads(kept.read_text(encoding="utf-8"))
        print(f"{self.folder.name} {cell}, {label}: MASE {error:.4f}", flush=True)
        return float(error)

    def _prepared(self) -> Path:
        """Prepare the data as they are; return their folder."""
        problem = loader.parse(self.name, self.entry)
        assert isinstance(problem, Problem)
        folder = self.folder / "data" / "prepared" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        prepare.prepare(problem, self.folder, folder)
        return folder

    def peer(self, seconds: float) -> dict[str, Any]:
        """Return the row of AutoLSTM, whose search ends after some CPU seconds."""
        prepared = self._prepared()
        test, schema = scoring.load(prepared, 1), prepared / "schema.json"
        steps = json.loads(schema.read_text(encoding="utf-8"))
        validation = steps["test_step"] - steps["validation_step"]
        os.environ["VALIDATION"] = str(validation)
        name = f"AutoLSTM {self.trials} {seconds:.0f}"
        answer = peers.forecast(test, Peer(name, "neuralforecast", "neuralforecast_auto.py"))
        mase = scoring.score(
            test, tuple(answer["levels"].tolist()), answer["forecasts"].astype(float)
        )
        return {
            "table": self.name,
            "model": "AutoLSTM (neuralforecast)",
            "trials": int(answer["trials"]),
            "judgement": "–",
            "mase_best": mase["mase"],
            "cpu_seconds": float(answer["seconds"]),
        }
