"""Serve a small forecaster while twelve days come, and print what `retain monitor` finds.

python -m tests.system.monitored

The last four days are 15 higher than all before. docs/monitoring.md has the result.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from tests import forkserver

from .conftest import finish, hourly, run, small_table
from .serving_process import Server, by_column, serving_process

HOURS = 480  # of the table that the model was trained on
BEGIN = pd.Timestamp("2024-01-01")
CONTEXT = 72  # hours that a request has


def came(days: int = 12, higher: int = 4, by: float = 15.0) -> pd.DataFrame:
    """Return the table of the small project with the days that come, the last of which differ."""
    hours = np.arange(HOURS, HOURS + 24 * days)
    shift = np.where(hours >= HOURS + 24 * (days - higher), by, 0.0)
    new = hourly(hours, np.random.default_rng(7), shift)
    return pd.concat([small_table(HOURS), new]).sort_values(["store", "ds"])


def ask(server: Server, table: pd.DataFrame, every: str = "1h") -> int:
    """Ask for a forecast each time that rows came; return how often."""
    first, last = BEGIN + pd.Timedelta(hours=HOURS), table["ds"].max()
    begins = pd.date_range(first, last, freq=every)
    for begin in begins:
        past = table[table["ds"] < begin].groupby("store").tail(CONTEXT)
        code, answer = server.forecast(by_column(past.assign(ds=past["ds"].astype(str))))
        assert code == 200, answer
    return len(begins)


def main() -> None:
    """Make the project, serve it, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--project", type=Path, help="a project that an earlier run has made")
    options = parser.parse_args()
    with forkserver.scratch() as folder:
        project = options.project or folder / "project"
        if not project.exists():
            finish(project, small_table(HOURS))
        table, log = folder / "came.csv", str(folder / "log")
        came().to_csv(table, index=False)
        with serving_process(project, "--log", log) as served:
            ask(served, came())
            served.stop()
        words = ("retain", "monitor", "small", "--log", log, "--actuals", str(table))
        print(run(project, *words).stdout)


if __name__ == "__main__":
    main()
