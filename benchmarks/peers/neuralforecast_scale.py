"""Prepare and train neuralforecast's LSTM on the table of `benchmarks scale`: seconds and memory.

python neuralforecast_scale.py TABLE (the folder of Parquet files); prints JSON. The network has the
size of that of the benchmark: 32 units, a week ahead from four weeks, 256 windows a step.
"""

import json
import logging
import sys
import time

import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MQLoss
from neuralforecast.models import LSTM

STEPS = 100, 400  # of two trainings: their difference is without what precedes the first step
WINDOWS = 256


def fit(table: pd.DataFrame, steps: int) -> float:
    """Seconds of the processor to prepare the table and train for some steps."""
    model = LSTM(
        h=7,
        input_size=28,
        hist_exog_list=["rain"],
        encoder_n_layers=1,
        encoder_hidden_size=32,
        decoder_hidden_size=32,
        loss=MQLoss(quantiles=[round(0.1 * level, 1) for level in range(1, 10)]),
        max_steps=steps,
        batch_size=32,
        windows_batch_size=WINDOWS,
        scaler_type="standard",
        random_seed=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    start = time.process_time()
    NeuralForecast(models=[model], freq="D").fit(table, val_size=0)
    return time.process_time() - start


def anonymous() -> float:
    """MB of anonymous memory now."""
    with open("/proc/self/status", encoding="utf-8") as file:  # noqa: PTH123
        return next(int(line.split()[1]) for line in file if "RssAnon" in line) / 1024


def main(path: str) -> None:
    """Measure one table."""
    torch.set_num_threads(1)
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    start = time.process_time()
    table = pd.read_parquet(path).rename(columns={"id": "unique_id", "day": "ds", "sold": "y"})
    table["ds"] = pd.to_datetime(table["ds"])
    table["y"] = table["y"].ffill()  # it takes no gaps
    read = time.process_time() - start
    fit(table[table["unique_id"] <= "shop-0000099"], 5)
    short, long = (fit(table, steps) for steps in STEPS)
    step = (long - short) / (STEPS[1] - STEPS[0])
    print(
        json.dumps(
            {
                "rows": len(table),
                "prepare_cpu_microseconds_per_row": (read + short - step * STEPS[0])
                / len(table)
                * 1e6,
                "train_cpu_microseconds_per_window": step / WINDOWS * 1e6,
                "anonymous_mb": anonymous(),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
