"""The examples of docs/python.md run, in their order."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.long
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)  # noqa: S102
    assert names["again"].horizon == 6
    assert (tmp_path / "north.png").stat().st_size > 10_000
