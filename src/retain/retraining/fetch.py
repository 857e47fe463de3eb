"""The newest raw data, and the outputs that this clone has not: from their sources and remote."""

import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from retain.config.schema import Problem
from retain.errors import RetainError
from retain.project import raw_table
from retain.retraining import changes


def fetch(root: Path, problems: dict[str, Problem]) -> None:
    """Bring imported tables up to date, and pull what is not here.

    Raises:
        RetainError: the source of a table does not answer.
    """
    yaml = YAML(typ="safe")
    away = []
    for name, problem in problems.items():
        file = kept_in(root, problem)
        if file and "deps" in yaml.load(root / file):
            print(f"updating {file}", flush=True)
            if dvc(root, "update", "--quiet", file) != 0:
                raise RetainError(
                    f"{file}: its source does not answer, see above; train on the table as it is "
                    f"with --skip fetch"
                )
        if file and not changes.is_checked_out(root, file):
            away.append(file)
        if changes.absent(root, name):
            away.append(f"register@{name}")
    if away and has_remote(root):
        words = ["pull", "--quiet", "--with-deps", "--allow-missing"]
        if dvc(root, *words, *away) != 0:
            print("not everything could be pulled; what is missing is made anew", flush=True)


def kept_in(root: Path, problem: Problem) -> str:
    """The .dvc file of a problem's table; nothing where DVC does not keep it."""
    path = getattr(getattr(problem, "data", None), "path", "")
    keeper = raw_table.kept_by(root, path) if path and "://" not in path else ""
    return "" if keeper == "git" else keeper


def has_remote(root: Path) -> bool:
    """Whether DVC has a place to push to and pull from."""
    from dvc.config import Config

    return bool(Config(dvc_dir=str(root / ".dvc"), validate=False).get("core", {}).get("remote"))


def dvc(root: Path, *words: str) -> int:
    """Run a command of DVC, which prints what it has to say; its exit code."""
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=False).returncode
