"""What was found in a table and what is done about it: quality.json, and the same for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.kinds.forecast.config import Data
from retain.kinds.forecast.data import alignment, extremes
from retain.kinds.forecast.data.chunks import Chunks
from retain.kinds.forecast.data.frequency import in_steps
from retain.kinds.forecast.data.scaling import blocks
from retain.kinds.forecast.data.timestamps import text
from retain.words import listed, several

# Why a series has no scale, in the order of their warnings.
CONSTANT = "repeat themselves exactly in the training part and"
APART = "have no two values a season apart in the training part and"
SHORT = "have no more than a season in the training part and"
LATE = "begin after the training part: they are scored, and"
UNSCALED = (CONSTANT, APART, SHORT, LATE)


def describe(
    values: NDArray[np.float32],
    index: pd.DataFrame,
    grid: pd.DatetimeIndex,
    table: Chunks,
    data: Data,
    columns: Sequence[str],
    skipped: list[dict[str, str]],
    validation_step: int,
) -> dict[str, Any]:
    """Return the content of quality.json; `columns` are those of `values`."""
    findings = table.findings
    missing, (longest, series, step) = gaps(values, index)
    warnings = []
    unscaled: dict[str, list[str]] = {reason: [] for reason in UNSCALED}
    some = index[index["mase_scale"].isna()]
    ends = np.minimum(some["length"], validation_step - some["first_step"])
    for name, start, length in zip(some["unique_id"], some["start"], ends, strict=True):
        y = values[start : start + max(length, 0), 0]
        unscaled[_unscaled(y, data.season_length)].append(str(name))
    for reason, names in unscaled.items():
        if names:
            warnings.append(
                f"{len(names)} series {reason} are left out of the MASE: {several(names, 10)}"
            )
    target = ", ".join(data.value_columns) or data.y
    numeric = set(data.past_covariates + data.known_covariates) - set(data.categorical)
    others = [(n, name) for n, name in enumerate(columns) if n and name in numeric]
    contents, odd = extremes.describe(values, index, [(0, target), *others])
    warnings += odd
    if skipped:
        warnings.append(f"{len(skipped)} series are left out; `skipped_series` says why")
    return {
        "rows": findings.rows,
        "series": len(index),
        "first": text(grid[0], data),
        "last": text(grid[-1], data),
        "frequency": table.frequency,
        "steps": len(values) - data.reach,
        "duplicates": {"rule": data.duplicates, "rows": findings.duplicates},
        "missing": {
            "steps": missing,
            "longest_gap": longest,
            "longest_gap_series": str(index["unique_id"].iloc[series]) if longest else None,
            "longest_gap_from": _gap_from(grid[step], index.iloc[series], table, data)
            if longest
            else None,
        },
        "blank": findings.blank,
        "out_of_range": findings.out_of_range,
        "values": contents,
        "unused_columns": list(findings.unused),
        "skipped_series": skipped,
        "warnings": warnings,
    }


def _unscaled(y: NDArray[np.float32], season: int) -> str:
    """Return why the seasonal naive forecast has no error in the training part of a series."""
    seen = np.isfinite(y)
    known = np.flatnonzero(seen)
    if not len(known) or len(y) - known[0] < 2:
        return LATE
    if len(y) - known[0] <= season:
        return SHORT
    return CONSTANT if (seen[season:] & seen[:-season]).any() else APART


def _gap_from(stamp: pd.Timestamp, row: "pd.Series[Any]", table: Chunks, data: Data) -> str:
    return text(alignment.own([stamp], row.get("phase"), table.frequency)[0], data)


def gaps(values: NDArray[np.float32], index: pd.DataFrame) -> tuple[int, tuple[int, int, int]]:
    """Return how many steps lack a value, and the longest gap, which ends where its series does.

    Of the gap: its length, the number of its series and the grid step it begins at; zeros if there
    is none.
    """
    count, longest = 0, (0, 0, 0)
    for series, rows in blocks(index):
        missing = np.isnan(values[rows, 0])
        count += int(missing.sum())
        starts = index["start"].to_numpy()[series] - rows.start
        edge = np.zeros(len(missing) + 1, dtype=bool)
        edge[starts] = edge[-1] = True
        begins = np.flatnonzero(missing & (edge[:-1] | ~np.r_[False, missing[:-1]]))
        ends = np.flatnonzero(missing & (edge[1:] | ~np.r_[missing[1:], False])) + 1
        if len(begins) and (ends - begins).max() > longest[0]:
            widest = int(np.argmax(ends - begins))
            number = int(np.searchsorted(starts, begins[widest], side="right")) - 1
            first_step = index["first_step"].to_numpy()[series.start + number]
            step = int(first_step + begins[widest] - starts[number])
            longest = int(ends[widest] - begins[widest]), series.start + number, step
    return count, longest


def left_out(quality: dict[str, Any]) -> list[str]:
    """Return the series that are left out, each with the reason."""
    return [f"{entry['unique_id']}: {entry['reason']}" for entry in quality["skipped_series"]]


def lines(quality: dict[str, Any]) -> list[str]:
    """Return the content of quality.json for people, a line a finding."""

    def counted(counts: dict[str, int]) -> str:
        return ", ".join(f"`{name}` {n:,}" for name, n in counts.items() if n) or "none"

    missing, duplicates = quality["missing"], quality["duplicates"]
    gap = "none"
    if missing["steps"]:
        gap = (
            f"{missing['steps']:,} of {quality['steps']:,} steps, left missing: masked in a "
            f"window, not scored; the longest gap is {missing['longest_gap']:,} steps, "
            f"series {missing['longest_gap_series']!r} from {missing['longest_gap_from']}"
        )
    repeated = "none"
    if duplicates["rows"]:
        repeated = f"{duplicates['rows']:,} rows taken away by the rule `{duplicates['rule']}`"
    skipped = left_out(quality)
    items = [
        f"rows: {quality['rows']:,}",
        f"series: {quality['series']:,}",
        f"span: {quality['first']} to {quality['last']}",
        f"frequency: {in_steps(quality['frequency'])}",
        f"missing: {gap}",
        f"duplicates: {repeated}",
        f"blank values: {counted(quality['blank'])}",
        f"out of range, made missing: {counted(quality['out_of_range'])}",
        *extremes.lines(quality["values"]),
        f"columns not used: {', '.join(quality['unused_columns']) or 'none'}",
        f"series left out: {len(skipped) or 'none'}",
    ]
    items += listed(skipped).splitlines() if skipped else []
    return items + [f"warning: {warning}" for warning in quality["warnings"]]
