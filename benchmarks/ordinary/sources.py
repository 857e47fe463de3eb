"""The tables of the benchmark `ordinary`: four known ones, a user's, and those that are held out.

A table of a user says its horizon in its name: `NAME.h12.csv`, `.csv.gz` or `.parquet`.
"""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers import setup

HORIZONS = {"air": 12, "wiki": 28, "walmart": 8, "m4w": 13}  # on which the program was tuned
ENDINGS = r"(?P<ending>\.csv|\.csv\.gz|\.parquet)"
NAMED = re.compile(rf"(?P<name>.+)\.h(?P<horizon>[1-9]\d*){ENDINGS}")
PLAIN = re.compile(rf"(?P<name>{'|'.join(HORIZONS)}){ENDINGS}")


class Source(NamedTuple):
    """A table: its name as a problem, its file, and how many steps are forecast."""

    name: str
    path: Path
    horizon: int


def find(places: list[Path]) -> list[Source]:
    """Return the tables among files, and in folders, in the order given."""
    found = []
    for place in places:
        if not place.exists():
            raise SystemExit(f"{place} does not exist: --tables takes files and folders")
        inside = sorted(place.iterdir(), key=_rank) if place.is_dir() else [place]
        sources = [source for source in map(parse, inside) if source is not None]
        if not sources:
            raise SystemExit(
                f"{place}: no table to forecast; call it NAME.h12.csv, .csv.gz or .parquet, where "
                f"12 steps are to be forecast"
            )
        found += sources
    return found


def parse(path: Path) -> Source | None:
    """Return the table that a file is, None where its name does not say so."""
    if match := NAMED.fullmatch(path.name):
        name = re.sub(r"[^a-z0-9_]", "_", match["name"].lower())
        name = name if name[:1].isalpha() else f"t_{name}"
        return Source(name, path, int(match["horizon"]))
    match = PLAIN.fullmatch(path.name)
    return match and Source(match["name"], path, HORIZONS[match["name"]])


def ending(path: Path) -> str:
    """Return how a table's name ends: .csv, .csv.gz or .parquet."""
    match = re.search(f"{ENDINGS}$", path.name)
    assert match is not None
    return match["ending"]


def _rank(path: Path) -> tuple[int, str]:
    known = [*HORIZONS]
    name = path.name.partition(".")[0]
    return known.index(name) if name in known else len(known), path.name


def held_out() -> list[Source]:
    """Return tables from packages, by which nothing was chosen; they are written where missing."""
    setup.require(["tables"])
    folder = setup.FOLDER.parent / "ordinary" / "held-out"
    folder.mkdir(parents=True, exist_ok=True)
    worker = setup.HERE / "tables_worker.py"
    subprocess.run([str(setup.python("tables")), str(worker), str(folder)], check=True)
    return find([folder])
