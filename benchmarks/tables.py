"""Results as a CSV file and as a table in benchmarks/README.md, with the machine and the date."""

import datetime as dt
import platform
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results"


def machine() -> str:
    """The processor, what it can do, and the versions that were measured."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.is_file() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    name = found.group(1) if found else platform.processor() or platform.machine()
    flags = set(text.split())
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    versions = ", ".join(
        f"{package} {version(package)}" for package in ("torch", "pytorch-lightning", "numpy")
    )
    cores = len(set(re.findall(r"^processor\s*:\s*(\d+)$", text, re.MULTILINE))) or "?"
    return (
        f"{name}, {cores} cores ({', '.join(units)}), {platform.system()}, "
        f"Python {platform.python_version()}, {versions}, threads at most {torch.get_num_threads()}"
    )


def read(name: str) -> list[dict[str, Any]]:
    """The rows of results/NAME.csv; none where there is no file."""
    file = RESULTS / f"{name}.csv"
    return pd.read_csv(file).to_dict("records") if file.is_file() else []  # type: ignore[return-value]


def once(
    name: str, keys: Mapping[str, object], measure: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """The row of results/NAME.csv with these keys; measured, and written there, if it has none.

    So a benchmark that was stopped goes on.
    """
    rows = read(name)
    for row in rows:
        if all(row[key] == value for key, value in keys.items()):
            return row
    rows.append(measure())
    _save(name, pd.DataFrame(rows))
    return rows[-1]


def _save(name: str, rows: pd.DataFrame) -> None:
    RESULTS.mkdir(exist_ok=True)
    rows.to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")


def write(name: str, rows: pd.DataFrame, table: str, command: str) -> None:
    """Write `rows` to results/NAME.csv and `table` (Markdown) into the README's section NAME.

    The section is between `<!-- NAME -->` and `<!-- end NAME -->`; the rest is written by hand.
    """
    _save(name, rows)
    readme = HERE / "README.md"
    before = readme.read_text(encoding="utf-8")
    today = dt.datetime.now(dt.UTC).date()
    body = (
        f"<!-- {name} -->\n{table.strip()}\n\n"
        f"`{command}`, {today}; {machine()}; figures: [results/{name}.csv](results/{name}.csv).\n"
        f"<!-- end {name} -->"
    )
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- end {name} -->", re.DOTALL)
    after, count = pattern.subn(lambda _: body, before)
    if count != 1:
        raise SystemExit(f"{readme}: one section `<!-- {name} -->` was expected, found {count}")
    readme.write_text(after, encoding="utf-8")


def markdown(rows: pd.DataFrame) -> str:
    """A data frame of text and numbers as a Markdown table."""
    lines = ["| " + " | ".join(map(str, rows.columns)) + " |", "|" + " --- |" * len(rows.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows.itertuples(index=False)]
    return "\n".join(lines)
