"""What is wrong with a table, in its rows or in the lines of its file."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.made_tables.grids import Random
from tests.made_tables.numbers import NUMBERS
from tests.made_tables.recipes import Recipe
from tests.made_tables.rows import Rows

Places = NDArray[np.int64]
TITLES = ["Report of all shops", ""]


@dataclass(frozen=True)
class Fault:
    """A fault: what is answered, and what an error must say where only the file can be mended."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    cure: str = ""


def in_rows(rows: Rows, recipe: Recipe, random: Random) -> tuple[Rows, Fault]:
    """Return the rows with the fault of a recipe; what they mean is then known of them, too."""
    inner = np.flatnonzero(~np.isnan(rows.y[:, 0]))[5:-5]
    places = np.sort(random.choice(inner, 3, replace=False))
    fault = Fault()
    match recipe.fault:
        case "rows twice":
            rows, fault = _twice(rows, places), Fault({"--duplicates": ["first"]})
        case "rows twice, values differ":
            rows, fault = _differing(rows, places, recipe), Fault({"--duplicates": ["last"]})
        case "a year mistyped":
            fault = _mistyped(rows, int(places[0]))
        case "seconds off the grid":
            rows.shown = rows.ds + pd.to_timedelta(random.integers(1, 9, len(rows.ds)), "s")
            fault = Fault({"--align": ["nearest"]})
        case "the autumn hour twice":
            fault = Fault({"--timezone": ["Europe/Berlin"], "--ambiguous": ["order"]}, "twice")
        case "a text among numbers":
            rows.y[places[:2], 0], rows.texts[places[:2], 0] = np.nan, "closed"
            fault = Fault({"--na-value": ["closed"]})
    return rows, fault


def _mistyped(rows: Rows, place: int) -> Fault:
    """Move a stamp by ten years."""
    place += (rows.shown[place].month, rows.shown[place].day) == (2, 29)
    wrong = rows.shown[place].replace(year=rows.shown[place].year + 10)
    rows.shown = pd.DatetimeIndex([*rows.shown[:place], wrong, *rows.shown[place + 1 :]])
    return Fault(cure=rf"{wrong.year}|row {place + 2:,}\b")


def _differing(rows: Rows, places: Places, recipe: Recipe) -> Rows:
    """Repeat rows with another value, which is the one that counts."""
    rows = _twice(rows, places)
    for place in np.flatnonzero(~rows.meant):
        rows.y[place] = np.nanmax(rows.y[max(place - 9, 0) : place], axis=0)
        rows.texts[place] = [NUMBERS[recipe.numbers].write(value) for value in rows.y[place]]
        rows.meant[place - 1], rows.meant[place] = False, True
    return rows


def _twice(rows: Rows, places: Places) -> Rows:
    """Repeat rows, each behind itself."""
    order = np.sort(np.concatenate([np.arange(len(rows.ds)), places]), kind="stable")
    rows = rows.take(order)
    rows.meant[1:] &= order[1:] != order[:-1]
    return rows


def in_lines(lines: list[str], recipe: Recipe, random: Random) -> tuple[list[str], Fault]:
    """Return the lines of a file, of which the first is the header, with the fault of a recipe."""
    sign = _sign(lines[0])
    place = int(random.integers(len(lines) // 3, len(lines) - 1))
    fault = Fault()
    match recipe.fault:
        case "a row too short":
            lines[place] = lines[place].rpartition(sign)[0]
            fault = Fault(cure=rf"row {place + 1:,}\b")
        case "blank rows":
            blank = str(random.choice(["", sign * lines[0].count(sign)]))
            lines = [*lines[:place], blank, *lines[place:], blank]
        case "a title above":
            lines, fault = [*TITLES, *lines], Fault({"--skip-rows": ["2"]}, r"row \d")
        case "a comment above":
            lines = ["# exported by hand", *lines]
            fault = Fault({"--skip-rows": ["1"]}, r"row \d")
        case "a sum below":
            lines = [*lines, sign.join(["Sum", *[""] * (lines[0].count(sign) - 1), "12345"])]
            fault = Fault(cure=rf"row {len(lines):,}\b")
        case "separators at line ends":
            lines = [line + sign for line in lines]
        case "blanks around fields":
            lines = [line.replace(sign, f"{sign} ") for line in lines]
        case "a column twice":
            lines = [line + sign + line.rpartition(sign)[2] for line in lines]
            fault = Fault(cure="row 1")
    return lines, fault


def _sign(header: str) -> str:
    """Return what separates the fields of a header."""
    return max(",;\t|", key=header.count)
