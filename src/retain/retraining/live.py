"""The forecasts in a log and what came, as a command and a retraining look at them."""

import io
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

from retain.config.kind import kind_of
from retain.config.monitoring import Monitored
from retain.config.schema import Problem
from retain.errors import DataError
from retain.evaluation.results import DriftFindings
from retain.project import files
from retain.project.layout import Layout
from retain.registry import artifacts, promises, registry, version_tags
from retain.tracking import store


def monitor(
    root: Path,
    name: str,
    problem: Problem,
    log: Path,
    actuals: str | None = None,
    compares_inputs: bool = False,
) -> Monitored:
    """Compare logged forecasts with the values that came.

    Args:
        log: a folder, in which each problem has one.
        actuals: a table like the problem's; None: its own.
        compares_inputs: whether the inputs are compared with the champion's training data.

    Raises:
        DataError: there is no such log, or nothing of it came.
    """
    compare = kind_of(problem).monitor
    assert compare is not None, "who calls this has checked it"
    if not (log / name).is_dir():
        raise DataError(
            f"{log} has no folder {name}: keep its forecasts there with `retain serve {name} --log "
            f"{log}`, or `retain forecast {name} --log {log}`"
        )
    inputs = _inputs(root, name, problem, actuals) if compares_inputs else None
    prepared, promise = Layout(root, name).prepared, promises.finder(root, name)
    return compare.load(problem, prepared, root, log / name, actuals, promise, inputs)


def _inputs(root: Path, name: str, problem: Problem, actuals: str | None) -> DriftFindings | None:
    """Compare a table with the champion's training data; None where there is no champion.

    A table that cannot be prepared alone, since it is short for example, is a note.
    """
    kind = kind_of(problem)
    if kind.drift is None or store.is_empty(root):
        return None
    champion = registry.alias_version(store.connect(root), name, "champion")
    if champion is None:
        return None
    if actuals is not None:
        place = str(actuals if "://" in actuals else Path(actuals).absolute())
        data = getattr(problem, "data").model_copy(update={"path": place})  # noqa: B009
        problem = problem.model_copy(update={"data": data})
    with ExitStack() as stack:
        prepared = stack.enter_context(files.folder(root, f"monitor-{name}"))
        folder = stack.enter_context(artifacts.downloaded(champion))
        try:
            with redirect_stdout(io.StringIO()):  # the command has words of its own
                kind.prepare.load(problem, root, prepared)
        except DataError as error:
            return DriftFindings("", notes=[f"the inputs are not compared: {error}"])
        scores = version_tags.test_metrics(champion)
        return kind.drift.load(problem, prepared, folder, scores)
