"""The model that a training starts from: `training.parent` names it, DVC's cache has its files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retain.config.schema import Problem
from retain.errors import ModelError
from retain.project import files


@contextmanager
def parent_folder(
    root: Path, name: str, problem: Problem, cell: str, rank: int = 0
) -> Iterator[Path | None]:
    """Yield a copy of the model folder that a cell starts from; None for random weights.

    Args:
        rank: of this process among those that train together; each makes a copy of its own.

    Raises:
        ModelError: it is neither in DVC's cache nor in its remote.
    """
    md5 = problem.training.parents.get(cell)
    if md5 is None:
        if problem.training.warm_start != "none":
            print(
                f"{name} {cell}: no `training.parent` yet, starts from random weights", flush=True
            )
        yield None
        return
    from retain.project.cache import Cache  # it imports DVC

    cache = Cache(root)
    if not cache.has(md5):
        cache.fetch([md5])
    with files.folder(root, f"parent-{name}-{cell}" + f"-{rank}" * (rank > 0)) as scratch:
        try:
            cache.copy(md5, scratch, f"problems.{name}.training.parent.{cell}")
        except ModelError as error:
            raise ModelError(
                f"{error}; `retain warm-start {name}` takes the champion of today, and without "
                f"`parent` the training starts from random weights"
            ) from None
        yield scratch
