"""The newest raw data, and the outputs that this clone has not: from their sources and remote."""

from pathlib import Path

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
        table = raw_table.path_of(problem)
        file = raw_table.dvc_file(root, table) if table else ""
        if file and raw_table.is_imported(root, file):
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
