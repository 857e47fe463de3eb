"""Six tables as people have them, each with its horizon and what `retain add` makes of it.

They are the examples of docs/own-table.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Example:
    """A table, the words of `retain add` behind its path, and the keys of `data` that it writes.

    Attributes:
        write: writes the table.
        words: of `retain add`, beside name and path.
        data: keys of `data` in the entry.
        series: how many there are.
    """

    write: Callable[[Path], None]
    words: tuple[str, ...]
    data: dict[str, Any]
    series: int


def _level(steps: int, season: int, seed: int, level: float = 100.0) -> "np.ndarray[Any, Any]":
    noise = np.random.default_rng(seed).normal(0, 0.03, steps)
    return level * (1 + 0.3 * np.sin(2 * np.pi * np.arange(steps) / season) + noise)


def shop(path: Path) -> None:
    """Sales of two stores by day, with price and promotion, which are known two weeks ahead."""
    days = pd.date_range("2022-01-01", periods=414)
    parts = []
    for seed, store in enumerate(("north", "south")):
        random = np.random.default_rng(seed)
        price = 2 + random.integers(0, 3, len(days)) / 10
        promotion = (random.random(len(days)) < 0.1).astype(int)
        sales = pd.Series((_level(len(days), 7, seed) * (3 - price) + 40 * promotion).round(2))
        sales[400:] = np.nan  # not sold yet
        table = {"date": days.strftime("%Y-%m-%d"), "store": store, "sales": sales}
        parts.append(pd.DataFrame(table | {"price": price, "promotion": promotion}))
    pd.concat(parts).to_csv(path, index=False)


def energy(path: Path) -> None:
    """Consumption by quarter hour, in UTC."""
    time = pd.date_range("2024-01-01", periods=96 * 30, freq="15min").strftime("%Y-%m-%dT%H:%M:%SZ")
    kwh = _level(len(time), 96, 1, 5).round(3)
    pd.DataFrame({"time": time, "kwh": kwh}).to_csv(path, index=False)


def visits(path: Path) -> None:
    """Visits of a page by hour, in local time with its offset, across a change of the clocks."""
    time = pd.date_range("2024-03-01", periods=24 * 50, freq="h", tz="Europe/Berlin")
    written = time.strftime("%Y-%m-%d %H:%M:%S%z")
    count = _level(len(time), 24, 2, 300).round().astype(int)
    pd.DataFrame({"hour": written, "visits": count}).to_csv(path, index=False)


def accounts(path: Path) -> None:
    """Amounts of four accounts by month, written as `Jan 2015`."""
    months = pd.date_range("2015-01-01", periods=96, freq="MS").strftime("%b %Y")
    parts = [
        pd.DataFrame({"month": months, "account": account, "amount": _level(96, 12, i).round(2)})
        for i, account in enumerate((4000, 4100, 4200, 6310))
    ]
    pd.concat(parts).to_csv(path, index=False)


def pumps(path: Path) -> None:
    """Pressure of three pumps side by side, every ten minutes, in seconds since 1970."""
    seconds = 1_700_000_400 + 600 * np.arange(144 * 20)
    pressure = {
        f"pump_{name}": _level(len(seconds), 144, i, 3).round(3) for i, name in enumerate("abc")
    }
    pd.DataFrame({"ts": seconds, **pressure}).to_csv(path, index=False)


def export(path: Path) -> None:
    """Revenue by day as a German spreadsheet exports it: `;`, 1.490,92 and 31.12.2023."""
    days = pd.date_range("2022-01-01", periods=500).strftime("%d.%m.%Y")
    revenue = [
        f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in _level(500, 7, 4, 1500)
    ]
    table = pd.DataFrame({"Datum": days, "Umsatz": revenue})
    table.to_csv(path, index=False, sep=";", encoding="cp1252")


EXAMPLES = {
    "shop": Example(
        shop,
        ("--horizon", "14"),
        {
            "unique_id": "store",
            "ds": "date",
            "y": "sales",
            "known_covariates": ["price", "promotion"],
            "frequency": "D",
        },
        2,
    ),
    "energy": Example(
        energy,
        ("--horizon", "96"),
        {"ds": "time", "y": "kwh", "frequency": "15min", "timezone": "UTC"},
        1,
    ),
    "visits": Example(
        visits,
        ("--horizon", "24", "--timezone", "Europe/Berlin"),
        {"ds": "hour", "y": "visits", "frequency": "h", "timezone": "Europe/Berlin"},
        1,
    ),
    "accounts": Example(
        accounts,
        ("--horizon", "12"),
        {"ds": "month", "y": "amount", "unique_id": "account", "frequency": "MS"},
        4,
    ),
    "pumps": Example(
        pumps,
        ("--horizon", "144"),
        {
            "ds": "ts",
            "time_format": "epoch_s",
            "value_columns": ["pump_a", "pump_b", "pump_c"],
            "frequency": "10min",
        },
        3,
    ),
    "export": Example(
        export,
        ("--horizon", "28"),
        {
            "ds": "Datum",
            "y": "Umsatz",
            "separator": ";",
            "decimal": ",",
            "thousands": ".",
            "time_format": "%d.%m.%Y",
            "frequency": "D",
        },
        1,
    ),
}
