"""The file of a made table: separators, quotes, encodings, compression."""

import csv
import gzip
import io

import pandas as pd

from tests.made_tables import faults
from tests.made_tables.faults import Fault
from tests.made_tables.grids import Random
from tests.made_tables.numbers import NUMBERS
from tests.made_tables.recipes import TYPED, Recipe

SEPARATORS = {"semicolons": ";", "tabs": "\t", "pipes": "|"}
ENCODINGS = {"latin-1": "latin-1", "UTF-16": "utf-16", "a mark of byte order": "utf-8-sig"}


def write(
    columns: dict[str, list[str]], recipe: Recipe, random: Random
) -> tuple[str, bytes, Fault]:
    """Return name and content of the file, and what is wrong with its lines."""
    if recipe.file in TYPED:
        stream, frame = io.BytesIO(), _typed(columns, recipe)
        if recipe.file == "Parquet":
            frame.to_parquet(stream, index=False)
            return "table.parquet", stream.getvalue(), Fault()
        frame.to_excel(stream, index=False)
        return "table.xlsx", stream.getvalue(), Fault()
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if recipe.file == "all in quotes" else csv.QUOTE_MINIMAL
    sign = SEPARATORS.get(recipe.file, ",")
    writer = csv.writer(text, delimiter=sign, quoting=quoting, lineterminator="\n")
    writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    lines, fault = faults.in_lines(text.getvalue().splitlines(), recipe, random)
    end = "\r\n" if recipe.file == "line ends of Windows" else "\n"
    content = (end.join(lines) + end).encode(ENCODINGS.get(recipe.file, "utf-8"))
    if recipe.file == "gzip":
        return "table.csv.gz", gzip.compress(content, mtime=0), fault
    return "table.csv", content, fault


def _typed(columns: dict[str, list[str]], recipe: Recipe) -> pd.DataFrame:
    """Return a frame with numbers and times where they are plain; text where they are not."""
    frame = pd.DataFrame(columns)
    plain = NUMBERS[recipe.numbers].around in ("{}", "()") and not NUMBERS[recipe.numbers].thousands
    for name in frame if plain else ():
        numbers = pd.to_numeric(frame[name].replace("", None), errors="coerce")
        zeros = frame[name].str.match("0[0-9]").any()
        if numbers.notna().eq(frame[name] != "").all() and not zeros:
            frame[name] = numbers
        elif recipe.stamps.startswith("ISO") and frame[name].str.match(r"\d{4}-\d\d-").all():
            frame[name] = pd.to_datetime(frame[name], format="ISO8601")
    return frame
