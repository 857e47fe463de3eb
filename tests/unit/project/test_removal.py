"""What `retain remove --data` deletes is the problem's own table, and nothing else."""

from pathlib import Path

import pytest

from retain.config import loader
from retain.errors import ParamsError
from retain.project import removal

ENTRY = "  {name}:\n    kind: text\n    preset: fast\n    data: {{path: {path}}}\n    gate: []\n"


def project(root: Path, **tables: str) -> Path:
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "data" / "raw").mkdir(parents=True)
    (root / "link").symlink_to(root / "data")
    entries = (ENTRY.format(name=name, path=path) for name, path in tables.items())
    (root / "params.yaml").write_text("problems:\n" + "".join(entries))
    return root


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ("data/raw/w.txt", True),
        ("./data/raw/w.txt", True),
        ("link/raw/w.txt", True),
        ("data/raw", True),
        ("data/raw/w.txt/part.txt", True),
        ("data/raw/w.txt2", False),
        ("s3://bucket/data/raw/w.txt", False),
    ],
)
def test_a_table_that_another_problem_reads_stays(other: str, shared: bool, tmp_path: Path) -> None:
    plan = removal.plan(project(tmp_path, one="data/raw/w.txt", two=other), "one")
    assert plan.shared_by == ["two"] * shared
    if shared:
        with pytest.raises(ParamsError, match="is the table of two, too"):
            removal.check_table(tmp_path, plan)
    else:
        removal.check_table(tmp_path, plan)


@pytest.mark.parametrize("path", ["pipelines/prepare.py", ".", "data", "src/retain", "params.yaml"])
def test_a_part_of_the_project_is_no_table(path: str, tmp_path: Path) -> None:
    plan = removal.plan(project(tmp_path, one=path), "one")
    with pytest.raises(ParamsError, match="is no table but a part of the project"):
        removal.check_table(tmp_path, plan)


def test_a_script_that_generates_data_is_no_table(tmp_path: Path) -> None:
    root = project(tmp_path)
    entry = "  copy:\n    kind: recall\n    preset: fast\n    data: {source: copy}\n    gate: []\n"
    (root / "params.yaml").write_text(f"problems:\n{entry}")
    assert loader.load(root)["copy"].kind == "recall"
    with pytest.raises(ParamsError, match=r"pipelines/prepare\.py is no table"):
        removal.check_table(root, removal.plan(root, "copy"))
