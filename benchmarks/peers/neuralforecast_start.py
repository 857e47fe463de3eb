"""From the start of Python to a forecast by the LSTM of neuralforecast, with its own settings.

python neuralforecast_start.py TABLE HORIZON FREQUENCY: prints the processor seconds of its parts.
Imports nothing of retain.
"""

import json
import logging
import sys
import time


def main() -> None:
    """Import, train on the whole table, and forecast once."""
    path, horizon, frequency = sys.argv[1:]
    for name in ("pytorch_lightning", "lightning.pytorch", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import pandas as pd
    import torch
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM

    imported = time.process_time()
    torch.set_num_threads(1)
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    model = LSTM(h=int(horizon), accelerator="cpu", devices=1, **quiet)
    network = NeuralForecast(models=[model], freq=frequency)
    network.fit(pd.read_csv(path, parse_dates=["ds"]))
    network.predict()
    figures = {"imports": imported, "all": time.process_time(), "steps": model.max_steps}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
