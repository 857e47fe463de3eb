"""Forecast errors on public benchmarks, beside the figures that were published.

Every training is one row of results/accuracy.csv; one that is there already, with the same entry of
params.yaml, is not run again, so that the benchmark can be run in parts and taken up after a stop.
Nothing is chosen on the test part: the best epoch is that of the validation part.
"""

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import datasets, published, tables

CELLS = ("lstm", "gru", "rnn")
HORIZONS = (96, 192, 336, 720)
CONTEXTS = (96, 336, 720)
# What the section `model` says beyond the preset: normalisation, residual and embedding, which
# `retain add` finds by the table, and the loss of the published models, which have no quantiles.
ETTH1 = {"normalisation": "last", "series_embedding": 16, "loss": "mae"}
M4 = {"normalisation": "mean_std", "residual": "seasonal", "loss": "mae"}


@dataclass(frozen=True)
class Training:
    """One training of the benchmark."""

    dataset: str
    preset: str
    context: int
    horizon: int
    cell: str
    seed: int
    base: str = "none"

    def entry(self, split: dict[str, str]) -> dict[str, Any]:
        """Return the problem as in params.yaml."""
        etth1 = self.dataset == "ETTh1"
        data = {
            "path": self.dataset,
            "unique_id": "unique_id",
            "frequency": "h",
            "calendar": False,
            "horizon": self.horizon,
            "context_length": self.context,
            "season_length": 24 if etth1 else 168,
            "split": split,
        }
        if self.base == "pool":
            return {
                "kind": "forecast",
                "preset": self.preset,
                "data": data | {"transform": "log1p"},
                # The width that `retain add` gives a table of so many windows.
                "model": {"base": "pool", "hidden_size": 128},
                "training": {"seed": self.seed},
                "gate": [],
            }
        return {
            "kind": "forecast",
            "preset": self.preset,
            "data": data,
            "model": ETTH1 if etth1 else M4,
            "training": {"seed": self.seed},
            "gate": [],
        }


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which part to run; by default everything that is not in the results."""
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, a core each")
    parser.add_argument("--dataset", choices=["ETTh1", "M4 Hourly"], action="append")
    parser.add_argument("--preset", choices=["fast", "accurate"], action="append")
    parser.add_argument("--context", type=int, action="append")
    parser.add_argument("--horizon", type=int, action="append")
    parser.add_argument("--cell", choices=CELLS, action="append")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--base", choices=["none", "pool"], action="append")
    parser.add_argument("--again", action="store_true", help="run what is there already, too")


def trainings(options: argparse.Namespace) -> Iterator[Training]:
    """All trainings that the options leave, the most important first."""
    every = [
        Training(dataset, preset, context, horizon, cell, seed, base)
        for dataset, contexts, horizons, bases in (
            ("ETTh1", CONTEXTS, HORIZONS, ("none",)),
            ("M4 Hourly", (168,), (datasets.M4_HORIZON,), ("pool", "none")),
        )
        for base in bases
        for context in contexts
        for preset in ("accurate", "fast")
        if preset == "accurate" or context == contexts[0]
        for seed in (1, 2, 3)
        for horizon in horizons
        for cell in CELLS
    ]
    for training in every:
        chosen = {name: getattr(options, name) for name in vars(training) if hasattr(options, name)}
        if all(not wanted or getattr(training, name) in wanted for name, wanted in chosen.items()):
            yield training


def run(options: argparse.Namespace) -> None:
    """Train and score what is missing, and write the tables."""
    results = tables.RESULTS / "accuracy.csv"
    done = pd.read_csv(results) if results.is_file() else pd.DataFrame({"recipe": []})
    wanted = list(trainings(options))
    recipes = {training: recipe(training, options.data) for training in wanted}
    left = [one for one in wanted if options.again or recipes[one] not in set(done["recipe"])]
    print(f"{len(left)} of {len(wanted)} trainings to run", flush=True)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        jobs = {pool.submit(score, training, options.data): training for training in left}
        for job in as_completed(jobs):
            row = job.result() | {"recipe": recipes[jobs[job]]}
            print(json.dumps(row), flush=True)
            same = done["recipe"] == row["recipe"]
            done = pd.concat([done[~same], pd.DataFrame([row])], ignore_index=True)
            write(done)
    write(done)


def recipe(training: Training, folder: Path) -> str:
    """A fingerprint of the training: its problem with all defaults, and its cell."""
    from retain.config import loader

    split = prepared(training, folder)[1]
    problem = loader.parse("benchmark", training.entry(split)).model_dump(mode="json")
    text = json.dumps([problem, training.cell], sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:12]


def prepared(training: Training, folder: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table of a training and its split."""
    if training.dataset == "ETTh1":
        return datasets.etth1(folder)
    return datasets.m4_long(*datasets.m4_hourly(folder))


def score(training: Training, folder: Path) -> dict[str, Any]:
    """Train one network as the pipeline does, and score it on every test window."""
    import torch

    from retain.config import loader
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.data import tables as raw
    from retain.kinds.forecast.data.windows import Windows
    from retain.kinds.forecast.model import setup
    from retain.kinds.forecast.model.pool.running import Run
    from retain.training.trainer import fit, seed_everything

    table, split = prepared(training, folder)
    problem = loader.parse("benchmark", training.entry(split))
    assert isinstance(problem, Problem)
    built = panel.build(raw.clean(table, problem.data, training.dataset), problem.data)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        panel.save(built, Path(scratch))
        seed_everything(problem.training)
        made = setup.build(problem, Path(scratch), training.cell)
        name = f"{training.dataset} {training.context}→{training.horizon} {training.cell}"
        history = fit(made, problem.training, training.cell, name)
        seconds = time.process_time() - began
        source = panel.load(Path(scratch))
        test = Windows(source, "test")
        median = problem.model.quantiles.index(0.5)
        network = made.model.eval()
        if training.base == "pool":
            made.calibrate()  # which keeps the network, or not
            test.on(Run(network.base.pool, source))
        forecasts, truths = [], []
        for batch in test.chunks():
            with torch.inference_mode():
                forecasts.append(network.predict(batch)[..., median].double().numpy())
            truths.append(batch.window[:, 0, -training.horizon :].double().numpy())
    forecast, truth = np.concatenate(forecasts), np.concatenate(truths)
    row = asdict(training) | {
        "parameters": made.config["parameters"],
        "epochs": len(history),
        "best_epoch": 1 + min(history, key=lambda epoch: epoch.validation_loss).epoch,
        "cpu_seconds": round(seconds, 1),
        "validation_loss": min(epoch.validation_loss for epoch in history),
    }
    if training.dataset == "ETTh1":
        error = forecast - truth
        return row | {"mse": float(np.square(error).mean()), "mae": float(np.abs(error).mean())}
    names = built.index["unique_id"].to_numpy()[test.series]
    by_name = dict(zip(names, forecast, strict=True))
    smape, mase = datasets.m4_scores(by_name, *datasets.m4_hourly(folder))
    return row | {"smape": smape, "mase": mase, "owa": published.owa(smape, mase)}


def write(rows: pd.DataFrame) -> None:
    """The CSV file, sorted, and both tables of the README."""
    order = ["dataset", "base", "preset", "context", "horizon", "cell", "seed"]
    rows["base"] = rows["base"].fillna("none") if "base" in rows else "none"
    rows = rows.sort_values(order).reset_index(drop=True)
    text = "\n\n".join([etth1_table(rows), m4_table(rows)])
    tables.write("accuracy", rows, text, "python -m benchmarks accuracy")


def spread(values: "pd.Series[float]", digits: int) -> str:
    """Mean ± standard deviation over seeds; a lone value as it is."""
    values = values.dropna()
    if values.empty:
        return "–"
    if len(values) == 1:
        return f"{values.iloc[0]:.{digits}f} (1 seed)"
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f}"


def etth1_table(rows: pd.DataFrame) -> str:
    """MSE / MAE by horizon: ours by context and cell, then what was published."""
    lines = []
    ours = rows[rows["dataset"] == "ETTh1"]
    for (preset, context, cell), group in ours.groupby(["preset", "context", "cell"], sort=True):
        cells = {}
        for horizon in HORIZONS:
            found = group[group["horizon"] == horizon]
            both = f"{spread(found['mse'], 3)} / {spread(found['mae'], 3)}"
            cells[str(horizon)] = both if len(found) else "–"
        lines.append({"model": f"retain {cell}, `{preset}`", "context": context, **cells})
    for model, (context, scores) in published.ETTH1.items():
        pairs = [f"{mse:.3f} / {mae:.3f}" for mse, mae in scores]
        cells = dict(zip(map(str, HORIZONS), pairs, strict=True))
        lines.append({"model": model, "context": context, **cells})
    return "ETTh1, MSE / MAE at each horizon, mean ± deviation over seeds:\n\n" + tables.markdown(
        pd.DataFrame(lines)
    )


def m4_table(rows: pd.DataFrame) -> str:
    """sMAPE, MASE and OWA on M4 Hourly."""
    lines = []
    ours = rows[rows["dataset"] == "M4 Hourly"]
    for (base, preset, cell), group in ours.groupby(["base", "preset", "cell"], sort=True):
        on_base = " on the classical base" * (base == "pool")
        scores = {
            "sMAPE": spread(group["smape"], 2),
            "MASE": spread(group["mase"], 3),
            "OWA": spread(group["owa"], 3),
        }
        lines.append({"model": f"retain {cell}{on_base}, `{preset}`", **scores})
    for model, (smape, mase) in published.M4_HOURLY.items():
        owa = f"{published.owa(smape, mase):.3f}"
        lines.append({"model": model, "sMAPE": f"{smape:.2f}", "MASE": f"{mase:.3f}", "OWA": owa})
    return "M4 Hourly, 414 series, 48 steps:\n\n" + tables.markdown(pd.DataFrame(lines))
