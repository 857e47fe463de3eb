"""Remove a problem from the project: its entry, its stages in dvc.lock, and their outputs."""

from dataclasses import dataclass
from pathlib import Path

from retain.config import loader
from retain.project import dvc, files, params_file, raw_table
from retain.project.layout import Layout


@dataclass(frozen=True)
class Removal:
    """What is removed with a problem, and what is kept; paths are relative to the project.

    Attributes:
        name: of the problem.
        stages: its stages in dvc.lock.
        folders: existing outputs of its stages.
        table: the path of its data.
        shared_by: other problems with the same table.
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
    shared = [other for other, one in loader.load(root).items() if raw_table.path_of(one) == table]
    folders = [layout.prepared, layout.code, layout.models, layout.reports]
    return Removal(
        name=name,
        stages=dvc.stages_of(dvc.read_lock(root), name),
        folders=[folder for folder in folders if (root / folder).exists()],
        table=table,
        shared_by=[other for other in shared if other != name],
        ledger=layout.ledger if (root / layout.ledger).is_file() else None,
    )


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
