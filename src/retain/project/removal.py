"""Remove a problem from the project: its entry, its stages in dvc.lock, and their outputs."""

from dataclasses import dataclass
from pathlib import Path

from retain.config import loader
from retain.errors import ParamsError
from retain.project import dvc, files, params_file, raw_table
from retain.project.layout import Layout

# What is no problem's table, whatever a path names: generated data has a script as its path.
OF_THE_PROJECT = (
    *("pipelines", "src", "models", "reports", "data/code", "data/prepared", ".dvc", ".git"),
    *("dvc.yaml", "dvc.lock", "params.yaml"),
)


@dataclass(frozen=True)
class Removal:
    """What is removed with a problem, and what is kept; paths are relative to the project.

    Attributes:
        name: of the problem.
        stages: its stages in dvc.lock.
        folders: existing outputs of its stages.
        table: the path of its data.
        shared_by: other problems that have this table, a part of it, or a folder that contains it.
        ledger: the file that lists its registered versions; None if there is none.
    """

    name: str
    stages: list[str]
    folders: list[Path]
    table: str
    shared_by: list[str]
    ledger: Path | None


def plan(root: Path, name: str) -> Removal:
    """Plan the removal of a problem; raises ParamsError if there is none with this name."""
    problem, layout = loader.load_problem(root, name), Layout(Path(), name)
    table = raw_table.path_of(problem)
    tables = {other: raw_table.path_of(one) for other, one in loader.load(root).items()}
    folders = [layout.prepared, layout.code, layout.models, layout.reports]
    return Removal(
        name=name,
        stages=dvc.stages_of(dvc.read_lock(root), name),
        folders=[folder for folder in folders if (root / folder).exists()],
        table=table,
        shared_by=[
            other for other, path in tables.items() if other != name and _overlap(root, path, table)
        ],
        ledger=layout.ledger if (root / layout.ledger).is_file() else None,
    )


def check_table(root: Path, removal: Removal) -> None:
    """Raise ParamsError where the table must not be deleted with its problem."""
    table = removal.table
    if not table or "://" in table:
        raise ParamsError(
            f"problems.{removal.name} has no table in the project that --data could delete"
        )
    if not (root / table).resolve().is_relative_to(root.resolve()):
        raise ParamsError(f"{table} lies outside of the project: leave --data out")
    if any(_overlap(root, place, table) for place in OF_THE_PROJECT):
        raise ParamsError(f"{table} is no table but a part of the project: leave --data out")
    if removal.shared_by:
        others = ", ".join(removal.shared_by)
        raise ParamsError(f"{table} is the table of {others}, too: leave --data out")


def _overlap(root: Path, first: str, second: str) -> bool:
    """Return whether two paths are the same file or folder, or one contains the other."""
    if "" in (first, second) or "://" in first + second:
        return False
    one, other = (root / first).resolve(), (root / second).resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


def carry_out(root: Path, removal: Removal, with_data: bool = False) -> None:
    """Carry out a plan; the ledger of registered versions stays, and by default the data.

    Raises:
        ParamsError: the entry is not a separate block in params.yaml; then nothing is removed.
    """
    params_file.remove(root, removal.name)
    dvc.forget(root, removal.stages)
    for folder in removal.folders:
        kept = removal.ledger is not None and removal.ledger.parent == folder
        for path in sorted((root / folder).iterdir()) if kept else [root / folder]:
            if path == root / (removal.ledger or ""):
                continue
            if path.is_dir():
                files.remove(path)
            else:
                path.unlink()
        raw_table.drop_line(root / folder.parent / ".gitignore", f"/{folder.name}")
    for folder in (root / "scratch" / "checkpoints").glob(f"*-{removal.name}*"):
        if folder.name.split("-")[1] == removal.name:
            files.remove(folder)
    files.remove(Layout(root, removal.name).trials)
    if with_data:
        raw_table.delete(root, removal.table)
