"""Measure what a problem costs on this machine: its stages on two tables of different size.

The tables are copies of the series of the problem's own table, so that rows, columns and gaps are
like those of the problem. Each stage runs in a process of its own, on one core, and measures the
time of the processor and the anonymous memory.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from retain.errors import ParamsError, RetainError
from retain.kinds.forecast.capacity import held
from retain.kinds.forecast.capacity.arithmetic import STAGES, Costs, Line
from retain.kinds.forecast.config import Data, Problem
from retain.words import clipped

if TYPE_CHECKING:
    from retain.training.setup import TrainingSetup

# Rows of the large table, about; the small one has a sixth. Both are larger than the blocks that a
# stage reads.
ROWS = 1_800_000
ROUNDS = 2  # of each measurement; the shortest time counts
FEWEST = 2, 6  # series of the small and the large table
UPDATES, WARM_UP = 30, 5


def costs(problem: Problem, root: Path, scratch: Path) -> tuple[Costs, dict[str, float]]:
    """Measure the costs of a problem; return them, and what its table has by series.

    Raises:
        ParamsError: the table is in the wide layout.
        DataError: the table cannot be read.
    """
    data = problem.data
    if data.value_columns:
        raise ParamsError("retain plan measures tables of one row for each series and time stamp")
    frame, series = own_rows(data, root)
    steps = len(frame) / len(series)
    large = max(int(ROWS / steps), FEWEST[1])
    sizes = {"small": max(large // 6, FEWEST[0]), "large": large}
    data = data if data.id_columns else data.model_copy(update={"unique_id": "series"})
    for size, count in sizes.items():
        folder = scratch / size
        folder.mkdir(parents=True)
        copies(frame, series, data, count).to_parquet(
            folder / "table.parquet", index=False, row_group_size=1 << 16
        )
    data = data.model_copy(update={"path": "table.parquet"})
    moved = problem.model_copy(update={"data": data})
    text = moved.model_dump_json(by_alias=True)
    (scratch / "problem.json").write_text(text, encoding="utf-8")
    by_stage = {stage: _in_process(stage, scratch) for stage in STAGES}

    def line(stage: str, key: str) -> Line:
        points = [(float(sizes[size]), float(by_stage[stage][size][key])) for size in sizes]
        return Line.through(points[0], points[1])

    def memory(stage: str, each: float) -> Line:
        return Line(max(float(by_stage[stage]["large"]["memory"]) - each * large, 0.0), each)

    train, last = by_stage["train"]["large"], by_stage["evaluate"]["large"]
    kept = held.by_series(last["models"], train["pools"])
    disk = {
        "table": line("prepare", "table"),
        "prepared data": line("prepare", "written"),
        "forecasts": line("forecast", "written"),
    }
    measured = Costs(
        work={stage: line(stage, "cpu") for stage in STAGES},
        driver={
            "prepare": by_stage["prepare"]["large"]["driver"] / large,
            "evaluate": last["driver"] / large,
        },
        memory={stage: memory(stage, each) for stage, each in kept.items()},
        disk=disk,
        update=Line(train["update_fixed"], train["update_each"]),
        windows=train["windows"] / large,
        parameters=int(train["parameters"]),
        networks=int(train["networks"]) * len(problem.training.cells),
        rehearsed=held.rehearsed(problem),
        drawn=held.DRAWN,
    )
    windows = last["windows"] / large
    return measured, {"steps": steps, "test_windows": windows, "series": float(large)}


def own_rows(data: Data, root: Path) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Return rows of the problem's table, and the same by series: whole series, at most ROWS."""
    from retain.kinds.forecast.data import chunks, keys, reader

    table = reader.open_for(data, root)
    cut = data.aggregate is None and chunks.can_be_cut(table, data)
    if cut:
        rows, origin = next(chunks.row_chunks(table, data))
        raw = reader.Raw(reader.to_frame(rows, table.path), origin)
    else:
        raw = reader.load(table)
    if not data.id_columns:
        return raw.frame, [raw.frame]
    ids = keys.ids(raw.frame, data, raw.origin)
    parts, count = [], 0
    for _, part in raw.frame.groupby(ids.to_numpy(), sort=False):
        parts.append(part)
        count += len(part)
        if count >= ROWS:
            break
    return pd.concat(parts), parts


def copies(frame: pd.DataFrame, series: list[pd.DataFrame], data: Data, count: int) -> pd.DataFrame:
    """Return a table of `count` series: those of a table, again and again, by other names."""
    name = data.id_columns[0]
    made = []
    for number in range(count):
        part = series[number % len(series)]
        first = part[name].astype(str) if name in part else "s"
        made.append(part.assign(**{name: first + f"~{number:09}"}))
    return pd.concat(made, ignore_index=True)[[*dict.fromkeys([name, *frame.columns])]]


def _in_process(stage: str, scratch: Path) -> dict[str, dict[str, float]]:
    """Measure a stage on both tables in a process of its own."""
    from retain.training import portable_cpu

    command = [sys.executable, "-m", "retain.kinds.forecast.capacity.measure", stage, str(scratch)]
    alone = portable_cpu.settings("portable")
    threads = {key: value for key, value in alone.items() if key.endswith("THREADS")}
    done = subprocess.run(
        command, env=os.environ | threads, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise RetainError(f"the stage {stage} could not be measured: {clipped(last, 500)}")
    return cast("dict[str, dict[str, float]]", json.loads(done.stdout.splitlines()[-1]))


def _anonymous() -> int:
    """Return the bytes of anonymous memory of this process; 0 where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in text.splitlines() if "RssAnon" in line) * 1024


def _measured(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Return seconds of the processor and the most anonymous memory, and what `work` returned."""
    most, done = [_anonymous()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most.append(_anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    return {"cpu": seconds, "memory": float(max(most))}, result


def _size(folder: Path) -> float:
    return float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))


def prepare(problem: Problem, folder: Path) -> dict[str, float]:
    """The stage `prepare`, and the reading and writing of the index by the driver."""
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.prepare import prepare as stage

    prepared = folder / "prepared"
    shutil.rmtree(prepared, ignore_errors=True)
    prepared.mkdir()
    cost, _ = _measured(lambda: stage(problem, folder, prepared))
    index = panel.load(prepared).index
    driver, _ = _measured(lambda: index.to_parquet(folder / "index.parquet"))
    table = {"table": (folder / "table.parquet").stat().st_size}
    return cost | table | {"written": _size(prepared), "driver": driver["cpu"]}


def train(problem: Problem, folder: Path) -> dict[str, float]:
    """The set-up of a training and some updates, of two sizes; models for the other stages."""
    from retain import model_files
    from retain.config.kind import kind_of
    from retain.training import plan
    from retain.training.setup import Epoch

    kind, planned, prepared = kind_of(problem), plan.plan(problem), folder / "prepared"
    cost, setup = _measured(lambda: planned[0].build(kind, problem, prepared, "lstm"))
    sizes = max(problem.training.batch_size // 8, 1), problem.training.batch_size
    small, large = (min(update_seconds(setup, size) for _ in range(2)) for size in sizes)
    update = Line.through((sizes[0], small), (sizes[1], large))
    models, pools = folder / "models", 0
    shutil.rmtree(models, ignore_errors=True)
    for each in planned:
        setup = setup if each == planned[0] else each.build(kind, problem, prepared, "lstm")
        setup.calibrate()
        pools += held.pool_bytes(setup.config, problem.data)
        model = each.folder(models / "lstm")
        model.mkdir(parents=True, exist_ok=True)
        model_files.write_model(model, setup.model, setup.config, [Epoch(0, 1, 1e-3, 1.0, 1.0)])
    for cell in problem.training.cells[1:]:
        shutil.copytree(models / "lstm", models / cell)
    return cost | {
        "update_fixed": update.fixed,
        "update_each": update.each,
        "windows": len(setup.train),
        "parameters": sum(each.nbytes for each in setup.network.parameters()),
        "networks": len(planned),
        "pools": pools,
    }


def update_seconds(setup: "TrainingSetup", size: int) -> float:
    """Return the seconds of the processor of an update with batches of a size."""
    import torch

    from retain.training.sampler import ResumableSampler

    optimiser = torch.optim.AdamW(setup.network.parameters(), lr=1e-4, fused=True)
    epochs = repeat(ResumableSampler(setup.train, size, seed=1))
    for number, batch in enumerate(islice(chain.from_iterable(epochs), WARM_UP + UPDATES)):
        if number == WARM_UP:
            start = time.process_time()
        optimiser.zero_grad()
        total, weight = setup.loss(setup.network, batch)
        (total / weight.clamp(min=1)).backward()
        optimiser.step()
    return (time.process_time() - start) / UPDATES


def evaluate(problem: Problem, folder: Path) -> dict[str, float]:
    """The scores of all models on all test windows, and what the driver makes of their sums."""
    from retain.kinds.forecast.evaluation import evaluate as stage
    from retain.kinds.forecast.evaluation.metrics import MetricSums

    models: dict[str, Path] = {cell: folder / "models" / cell for cell in problem.training.cells}
    cost, result = _measured(lambda: stage.evaluate(problem, folder / "prepared", models))
    series = len(pd.read_parquet(folder / "prepared" / "index.parquet", columns=["unique_id"]))
    sums = MetricSums(0, 1, 1, series, tuple(problem.model.quantiles))

    def reduce() -> None:
        for _ in result.metrics["models"]:
            np.add(sums.by_series, sums.by_series)
            sums.scores_by_series()

    driver, _ = _measured(reduce)
    return cost | {
        "windows": result.metrics["windows"]["test"],
        "models": len(result.metrics["models"]),
        "driver": driver["cpu"],
    }


def forecast(problem: Problem, folder: Path) -> dict[str, float]:
    """The forecasts of the whole table."""
    from retain.config.forecasts import ForecastOptions
    from retain.kinds.forecast.predict import bulk

    output, table = folder / "forecasts", str(folder / "table.parquet")
    shutil.rmtree(output, ignore_errors=True)
    model = folder / "models" / "lstm"
    options = ForecastOptions(unseen="unknown")
    cost, _ = _measured(
        lambda: bulk.forecast_bulk(model, table, folder, output, "", lambda *_: None, options)
    )
    return cost | {"written": _size(output)}


def main(stage: str, scratch: Path) -> None:
    """Measure a stage on both tables, one after the other, and print the shortest times."""
    problem = Problem.model_validate_json((scratch / "problem.json").read_text(encoding="utf-8"))
    work = {"prepare": prepare, "train": train, "evaluate": evaluate, "forecast": forecast}[stage]
    work(problem, scratch / "small")  # what runs first is slower
    least: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for size in ("small", "large"):
            measured = work(problem, scratch / size)
            before = least.get(size, measured)
            least[size] = {key: min(before[key], value) for key, value in measured.items()}
    print(json.dumps(least))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
