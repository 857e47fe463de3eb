"""Forecast with torch and NumPy alone: python run.py [INPUTS.npz], by default example.npz."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent


def main() -> None:
    """Print quantiles and mean, and how far they are from those in the file, if it has any."""
    path = sys.argv[1] if sys.argv[1:] else HERE / "example.npz"
    with np.load(path, allow_pickle=False) as file:
        given = dict(file)
    if (HERE / "pool").is_dir():  # the classical base, from y, series and step
        given |= import_module("pool").forecasts(given)
    names = ("y", "series", "past", "known", "static", "experts", "ahead")
    inputs = {name: torch.from_numpy(given[name]) for name in names if name in given}
    found = torch.export.load(HERE / "model.pt2").module()(**inputs)
    outputs = dict(zip(("quantiles", "mean"), (values.numpy() for values in found), strict=True))
    for name, values in outputs.items():
        print(name, values.shape, values[0], sep="\n")
        if name in given:
            print("largest difference:", np.abs(values - given[name]).max())


if __name__ == "__main__":
    main()
