"""Write what was inferred of a table as a problem of a project: `retain add`, `Project.add`."""

from pathlib import Path
from typing import Any

from retain.config import loader
from retain.config.json_schema import comments
from retain.errors import ParamsError, naming_options
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.data import folds as partition
from retain.kinds.forecast.data import panel
from retain.kinds.forecast.infer import written
from retain.kinds.forecast.infer.entry import Inferred
from retain.project import dvc, params_file, raw_table, undo


def check_name(root: Path, name: str, force: bool) -> None:
    """Raise ParamsError unless a problem of this name may be written.

    Args:
        force: whether a problem of this name may be replaced, if it was never trained.
    """
    if not loader.NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r} cannot name a problem: take lower-case letters, digits and _, a letter first"
        )
    if name not in loader.load(root):
        return
    if not force:
        raise ParamsError(
            f"params.yaml: there is a problem `{name}` already: replace it with --force, or choose "
            "another name"
        )
    trained = [
        stage
        for stage in dvc.stages_of(dvc.read_lock(root), name)
        if stage.startswith(("train@", "refit@"))
    ]
    if trained:
        raise ParamsError(
            f"params.yaml: problems.{name} was trained (dvc.lock has {trained[0]}), and --force "
            f"replaces only what was not: change its keys in params.yaml, take it out with `retain "
            f"remove {name}`, or choose another name"
        )


@naming_options()
def entry(name: str, found: Inferred, path: str) -> dict[str, Any]:
    """Return the entry to write; what was inferred must be usable, not only readable.

    Args:
        path: of the table, from the project's folder.

    Raises:
        DataError: the table cannot be used with these settings.
    """
    content = written.entry(name, found, path)
    problem = loader.parse(name, content)
    assert isinstance(problem, Problem)
    partition.find(panel.build(found.table, problem.data).schema, problem.folds)
    return content


def write(
    root: Path, name: str, content: dict[str, Any], place: str, copy_to: str | None
) -> list[str]:
    """Write the entry and, if it is not in the project, a copy of the table; all or nothing.

    Args:
        place, copy_to: as `raw_table.place` returns them.

    Returns:
        Sentences about what was written.

    Raises:
        DataError: there is another table at `copy_to`.
        ParamsError: the layout of params.yaml allows no further block.
    """
    path = copy_to or place
    changed = [root / "params.yaml", root / "dvc.yaml", *raw_table.written_by_dvc(root, path)]
    if copy_to is not None and not (root / copy_to).exists():
        changed.append(root / copy_to)
    copied, tracked = False, False
    with undo.on_failure(*changed):
        if copy_to is not None:
            copied = raw_table.copy(Path(place), root / copy_to)
        # First: DVC reads no stage, and adds no file, where params.yaml has no problem.
        params_file.write(root, name, content, comments(type(loader.parse(name, content))))
        tracked = raw_table.track(root, path)
    lines = [f"written: problems.{name} in params.yaml, with every setting"]
    if copied:
        lines.append(f"copied:  {place} to {copy_to}")
    elif copy_to is not None:
        lines.append(f"used:    {copy_to}, which has the same content")
    if tracked:
        lines.append(f"tracked: {path} by DVC; commit {path}.dvc with params.yaml")
    return lines
