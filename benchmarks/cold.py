"""Series without any history: a generated panel, of which a tenth is left out of training wholly.

The level of a series depends on its kind and its size, which are static, and its values on the day
of the week and on promotions, which are known. What is left out is forecast from these alone.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import refit, tables
from retain.config.kind import kind_of
from retain.evaluation.results import Interval
from retain.kinds.forecast import prepare
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import evaluate
from retain.training import plan, portable_cpu

KINDS = {"kiosk": 20.0, "shop": 60.0, "market": 200.0, "depot": 600.0}
NAMES = {
    "lstm": "LSTM",
    "rnn": "RNN",
    "group_mean": "mean of the static group",
    "group_seasonal_mean": "mean of the group, by day of the week",
    "with_history": "LSTM, with the history of each window",
}
NOTES = """\
{series} of {count} series of {days} days are left out wholly; {windows:,} of their test windows of
{horizon} days. The group are the series of the same kind and the nearest size. LSTM and RNN have
as many parameters, and {mask:.0%} of their training windows without history. MAE of the LSTM minus
that of the group by day of the week, with its 95 % interval: {change}."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """How large the panel is, and how many windows are shown without history."""
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--mask", type=float, default=0.1, help="training.mask_contexts")


def run(options: argparse.Namespace) -> None:
    """Train, score and write the table."""
    portable_cpu.pin_cpu_kernels("machine")
    problem = Problem.model_validate(entry(options.mask))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        panel(options.series, options.days).to_csv(root / "t.csv", index=False)
        prepared = root / "prepared"
        prepared.mkdir()
        prepare.prepare(problem, root, prepared)
        folders = {str(cell): root / cell for cell in problem.training.cells}
        for cell in problem.training.cells:
            train(problem, prepared, cell, folders[cell])
        found = evaluate.evaluate(problem, prepared, folders).metrics["cold_start"]
    keys = ("mae", "rmse", "mase", "crps", "coverage_80")
    scored = found["models"]
    rows = pd.DataFrame(
        [{"forecast": name} | {key: scored[name][key] for key in keys} for name in NAMES]
    )
    shown = rows.map(lambda value: f"{value:.4g}" if isinstance(value, float) else value)
    shown.loc[shown["forecast"].str.startswith("group"), "coverage_80"] = "–"  # a point forecast
    change = Interval.from_dict(found["differences"]["lstm_minus_group_seasonal_mean"]["mae"])
    notes = NOTES.format(
        series=found["series"],
        count=options.series,
        days=options.days,
        windows=found["windows"],
        horizon=problem.data.horizon,
        mask=options.mask,
        change=f"{change.value:+.3g} ({change.low:+.3g} to {change.high:+.3g})",
    )
    text = f"{tables.markdown(shown.assign(forecast=shown['forecast'].map(NAMES)))}\n\n{notes}"
    print(text)
    sizes = f"--series {options.series} --days {options.days} --mask {options.mask:g}"
    tables.write("cold", rows, text, f"python -m benchmarks cold {sizes}")


def train(problem: Problem, prepared: Path, cell: Any, folder: Path) -> None:
    """Train a cell, and write its folder."""
    for each in plan.plan(problem):
        place = each.folder(folder)
        place.mkdir(parents=True)
        refit.train(partial(each.build, kind_of(problem), problem, prepared, cell), problem, place)


def panel(series: int, days: int) -> pd.DataFrame:
    """Generate the table: seed 1."""
    random, parts = np.random.default_rng(1), []
    ds = pd.date_range("2024-01-01", periods=days)
    week = np.array([0.8, 0.85, 0.9, 1.0, 1.2, 1.4, 0.85])
    for number in range(series):
        kind = [*KINDS][number % len(KINDS)]
        size, own = random.uniform(0.5, 1.5), random.lognormal(0, 0.1)
        promotion = (random.random(days) < 0.15).astype(int)
        weekday = week[ds.day_of_week] if kind != "depot" else week[ds.day_of_week][::-1]
        mean = KINDS[kind] * size * own * weekday * (1 + 0.6 * promotion)
        y = mean * random.lognormal(0, 0.1, days)
        content = {"id": f"{kind} {number:03}", "ds": ds, "y": y.round(2), "promotion": promotion}
        parts.append(pd.DataFrame(content).assign(kind=kind, size=round(size, 3)))
    return pd.concat(parts, ignore_index=True)


def entry(mask: float) -> dict[str, Any]:
    """Return the problem, as params.yaml would have it."""
    return {
        "kind": "forecast",
        "preset": "fast",
        "data": {
            "path": "t.csv",
            "unique_id": "id",
            "frequency": "D",
            "horizon": 14,
            "context_length": 28,
            "season_length": 7,
            "known_covariates": ["promotion"],
            "static_covariates": ["kind", "size"],
            "categorical": ["kind"],
            "split": {"validation": 0.7, "test": 0.85},
        },
        "model": {"normalisation": "series"},
        "training": {"mask_contexts": mask, "seed": 1},
        "evaluation": {"cold_start": 0.1, "floors": ["seasonal_naive"]},
        "gate": [],
    }
