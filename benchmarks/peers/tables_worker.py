"""Write tables of packages as `NAME.hH.csv`, H the steps to forecast: `tables_worker.py FOLDER`.

Of five kinds: months of many series, weeks with gaps, days, half-hours, and counts with many zeros.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd

CUSTOMERS = 100


def package(name: str) -> Path:
    """The folder of a package, which is not imported."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def employment() -> pd.DataFrame:
    """Employees by industry in the USA, thousands, 2006 to 2015: vega-datasets."""
    wide = pd.read_csv(package("vega_datasets") / "_data" / "us-employment.csv")
    wide = wide.drop(columns="nonfarm_change")
    return wide.melt("month", var_name="industry", value_name="employees")


def co2() -> pd.DataFrame:
    """CO2 at Mauna Loa, weekly, 1958 to 2001, with missing weeks: statsmodels."""
    from statsmodels.datasets import co2 as source

    table = source.load_pandas().data
    return table.rename_axis("week").reset_index()


def seattle() -> pd.DataFrame:
    """Daily highest temperature in Seattle, 2012 to 2015: vega-datasets."""
    table = pd.read_csv(package("vega_datasets") / "_data" / "seattle-weather.csv")
    return table[["date", "temp_max"]]


def taylor() -> pd.DataFrame:
    """Half-hourly electricity demand in England and Wales, twelve weeks (Taylor 2003): pmdarima."""
    from pmdarima.datasets import load_taylor

    demand = np.asarray(load_taylor())
    times = pd.date_range("2000-06-05", periods=len(demand), freq="30min")
    return pd.DataFrame({"time": times, "demand": demand})


def cdnow() -> pd.DataFrame:
    """Discs bought a week by each of the most frequent customers of CDNOW, 1997 to 1998: Lifetimes.

    Those that came most often in the first half of the 78 weeks.
    """
    path = package("lifetimes") / "datasets" / "CDNOW_master.txt"
    columns = ["customer", "date", "discs", "dollars"]
    rows = pd.read_csv(path, sep=r"\s+", skiprows=1, header=None, names=columns, dtype={0: str})
    rows["week"] = pd.to_datetime(rows["date"].astype(str)).dt.to_period("W-SUN").dt.start_time
    early = rows[rows["week"] < rows["week"].min() + pd.Timedelta(weeks=39)]
    often = early["customer"].value_counts(sort=False).sort_index()
    chosen = often.sort_values(ascending=False, kind="stable").index[:CUSTOMERS]
    sold = rows[rows["customer"].isin(chosen)].groupby(["customer", "week"])["discs"].sum()
    weeks = pd.date_range(rows["week"].min(), rows["week"].max(), freq="7D")
    every = pd.MultiIndex.from_product([sorted(chosen), weeks], names=["customer", "week"])
    return sold.reindex(every, fill_value=0).reset_index()


TABLES = ((employment, 12), (co2, 13), (seattle, 14), (taylor, 48), (cdnow, 4))


def main() -> None:
    """Write those that are not there."""
    folder = Path(sys.argv[1])
    for make, horizon in TABLES:
        path = folder / f"{make.__name__}.h{horizon}.csv"
        if not path.is_file():
            make().to_csv(path, index=False)


if __name__ == "__main__":
    main()
