"""A table larger than memory is read in chunks, and a fault in it gets its sentence."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from .conftest import REPOSITORY, environment

LIMIT = 400_000_000  # bytes of memory; Python, pandas and pyarrow take half of them
STAGE = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))
sys.argv = ["prepare.py", "large"]
runpy.run_path({str(REPOSITORY / "pipelines" / "prepare.py")!r}, run_name="__main__")
"""
PARAMS = """
problems:
  large:
    kind: forecast
    preset: fast
    data: {path: t.csv, unique_id: id, horizon: 2, context_length: 3}
    gate: []
"""


@pytest.mark.long
def test_a_wrong_cell_at_the_end_of_a_table_larger_than_memory_is_named(tmp_path: Path) -> None:
    days = pd.date_range("2000-01-01", periods=1_000).strftime("%Y-%m-%d")
    rows = "".join(f"s@@@@@,{day},{number},{'-' * 500}\n" for number, day in enumerate(days))
    series = 0
    with (tmp_path / "t.csv").open("wb") as file:
        file.write(b"id,ds,y,note\n")
        while file.tell() < 3 * LIMIT:
            series += 1
            file.write(rows.replace("@@@@@", f"{series:05}").encode())
        file.write(rows.replace("@@@@@", f"{series + 1:05}").replace(",500,", ",5o0,").encode())
    (tmp_path / "params.yaml").write_text(PARAMS)
    command = [sys.executable, "-c", STAGE]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    row = 2 + 1_000 * series + 500
    assert done.stderr == (
        f"error: t.csv: column `y`: not a number (1 row):\n  row {row:,}: '5o0'\n"
        "Correct the values, or name the texts that mean missing in `na_values`.\n"
    )
    assert done.returncode == 2
    assert not (tmp_path / "data").exists()
