"""How near training comes to the processor's own rate of matrix products.

Counts the floating-point operations of a training window, measures how fast the machine multiplies
large matrices and how fast retain trains, one after the other in every round, and divides.
"""

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import speed, tables
from retain.config import loader
from retain.kinds.forecast.model import setup as forecast_task
from retain.kinds.forecast.model.forecaster import Forecaster
from retain.kinds.forecast.model.segrnn import SegRNN

HIDDEN, SEGMENTS, BATCH = (64, 128, 256), (1, 24), 256
SIDE = 2048  # of the matrices whose product is the limit
PRODUCTS = 3  # a round; the best counts

NOTES = """\
MFLOP: the matrix products of one training window, forward and backward (two for each
multiply-add), counted by `FlopCounterMode` with oneDNN off, whose fused LSTM it does not see;
“by hand” is the recurrent part by formula, three times the forward pass. The limit is the product
of two matrices of 2048 × 2048 in fp32 on one thread, at its best {fp32:.0f} GFLOP/s here; in bf16,
of {side} × {side}, it is {bf16:.1f}. “of the limit” is the median over the rounds of training's
rate over that round's product. What is missing goes to gates and other elementwise work, to
products that are small (256 rows), and to Lightning; none of it is counted as work done."""


def product(kind: torch.dtype, side: int = SIDE) -> float:
    """GFLOP/s of one product of two square matrices."""
    left, right = torch.ones(side, side, dtype=kind), torch.ones(side, side, dtype=kind)
    begin = time.perf_counter()
    torch.mm(left, right)
    return 2 * side**3 / (time.perf_counter() - begin) / 1e9


def by_hand(network: SegRNN, context: int) -> int:
    """FLOPs of the cell over one window's context, forward and backward, by formula.

    A step multiplies the input and the state by a matrix each, of gates·hidden rows; backward does
    it twice again, for the gradients of weights and of inputs. The first state is zero, but the
    fused kernel multiplies it all the same.
    """
    cell = network.recurrent
    steps = -(-context // network.segment)
    products = sum(weight.numel() for name, weight in cell.named_parameters() if "weight" in name)
    return 3 * 2 * steps * products


def counted(task: Any, batch: int) -> float:
    """FLOPs of the matrix products of one training window, as they are executed."""
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.filterwarnings("ignore", message="TF32 acceleration")  # oneDNN's switch says so
        with torch.backends.mkldnn.flags(enabled=False):
            total, weight = task.loss(task.network.train(), task.train.batch(np.arange(batch)))
            (total / weight).backward()
    return counter.get_total_flops() / batch


def operations(hidden: int, segment: int) -> tuple[float, float]:
    """MFLOP of one training window: of all products, and of the cell by formula."""
    problem = loader.parse("benchmark", speed.problem(segment, hidden, BATCH, 1))
    task = forecast_task.build(problem, speed.SCRATCH / "prepared", "lstm")
    assert isinstance(task.network, Forecaster)
    core = task.network.members[0]
    assert isinstance(core, SegRNN)
    return counted(task, BATCH) / 1e6, by_hand(core, task.network.context) / 1e6


def measure(hidden: int, segment: int, side: int, options: Any) -> list[dict[str, Any]]:
    """Let training and products take turns on one thread; a row for each round."""
    name = next(
        name for name, (length, bare) in speed.OURS.items() if length == segment and not bare
    )
    worker = speed.Process.start(name, "train", BATCH, 1, hidden=hidden)
    rows = []
    try:
        worker.ready()
        for number in range(options.rounds):
            rates = {"fp32": max(product(torch.float32) for _ in range(PRODUCTS))}
            rates["bf16"] = max(product(torch.bfloat16, side) for _ in range(PRODUCTS))
            speeds = dict(zip(speed.COLUMNS[-2:], worker.turn(options.seconds), strict=True))
            rows.append({"hidden": hidden, "segment": segment, "round": number, **speeds, **rates})
    finally:
        worker.end()
    return rows


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this benchmark."""
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0, help="of training in a round")


def run(options: argparse.Namespace) -> None:
    """Measure, print, and write the section."""
    torch.set_num_threads(1)
    speed.write_data(options.data)
    # Without instructions for it bf16 is hundreds of times slower; then small matrices must do.
    side = 256 if product(torch.bfloat16, 256) < 20 else SIDE
    rows, lines = [], []
    for segment in SEGMENTS:
        for hidden in HIDDEN:
            work, recurrent = operations(hidden, segment)
            found = pd.DataFrame(measure(hidden, segment, side, options)).assign(mflop=work)
            reached = found["per_second"] * work / 1e3  # GFLOP/s
            rows.append(found)
            lines.append(
                {
                    "segment": segment,
                    "hidden": hidden,
                    "MFLOP a window": f"{work:.2f}",
                    "cell, by hand": f"{recurrent:.2f}",
                    "windows/s": f"{found['per_second'].median():,.0f}",
                    "GFLOP/s": f"{reached.median():.1f}",
                    "of the limit": f"{(reached / found['fp32']).median():.0%}",
                }
            )
            print(lines[-1], flush=True)
    every = pd.concat(rows)
    notes = NOTES.format(fp32=every["fp32"].max(), bf16=every["bf16"].max(), side=side)
    text = f"{tables.markdown(pd.DataFrame(lines))}\n\n{notes}"
    print(text)
    command = f"python -m benchmarks limit --rounds {options.rounds} --seconds {options.seconds:g}"
    tables.write("limit", every, text, command)
