"""The newest raw data, and the outputs that this clone has not: from their sources and remote."""

from pathlib import Path

from ruamel.yaml import YAML

from retain.config.schema import Problem
from retain.errors import RetainError
from retain.project import dvc, raw_table
from retain.retraining import changes


def fetch(root: Path, problems: dict[str, Problem]) -> None:
    """Bring imported tables up to date, and pull what is not here.

    Raises:
        RetainError: the source of a table does not answer.
    """
    targets = []
    for name, problem in problems.items():
        file = _dvc_file(root, problem)
        if file and "deps" in YAML(typ="safe").load(root / file):
            print(f"updating {file}", flush=True)
            if dvc.call(root, "update", "--quiet", file) != 0:
                raise RetainError(
                    f"{file}: its source does not answer, see above; train on the table as it is "
                    f"with --skip fetch"
                )
        if file and dvc.status(root, file):
            targets.append(file)
        if changes.missing_files(root, name):
            targets.append(f"register@{name}")
    if targets and dvc.has_remote(root):
        options = ("--quiet", "--with-deps", "--allow-missing")
        if dvc.call(root, "pull", *options, *targets) != 0:
            print("not everything could be pulled; what is missing is made anew", flush=True)


def _dvc_file(root: Path, problem: Problem) -> str:
    """Return the .dvc file of a problem's table; empty where DVC does not keep it."""
    path = getattr(getattr(problem, "data", None), "path", "")
    keeper = raw_table.kept_by(root, path) if path and "://" not in path else ""
    return "" if keeper == "git" else keeper
