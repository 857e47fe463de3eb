"""The steps of a retraining and what they print; each may be run again."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from retain.config import loader
from retain.config.schema import Problem
from retain.project import dvc
from retain.project.layout import Layout
from retain.retraining import changes, decide
from retain.retraining.decide import Outcome

STOPPED = 4  # the exit code where data got worse


@contextmanager
def lock(root: Path) -> Iterator[None]:
    """Allow one retraining in this folder; a second one ends at once, without an error."""
    path = root / "scratch" / "retrain.lock"
    path.parent.mkdir(exist_ok=True)
    try:
        acquired = FileLock(path).acquire(timeout=0)
    except Timeout:
        echo("nothing done: another retraining runs in this folder")
        sys.exit(0)
    with acquired:
        yield


def choose(root: Path, named: list[str]) -> dict[str, Problem]:
    """Return the problems to look at: those that are named, or all that were trained here.

    A problem was trained here where dvc.lock has its last stage, and its ledger or what that stage
    wrote is here: a lock that came with the project has samples that nobody ran. Those left out are
    said.

    Raises:
        ParamsError: there is no problem of a name.
    """
    problems = loader.some(root, named)
    if named:
        return problems
    lock = dvc.read_lock(root)
    trained = {
        name: problem for name, problem in problems.items() if _was_trained(root, name, lock)
    }
    if left_out := [name for name in problems if name not in trained]:
        echo(
            f"left out, since they were never trained here: {', '.join(left_out)}; "
            f'name those to train: make retrain PROBLEMS="{" ".join(left_out)}"'
        )
    return trained


def _was_trained(root: Path, name: str, lock: str) -> bool:
    layout = Layout(root, name)
    here = layout.ledger.is_file() or layout.verdict.is_file()
    return here and bool(dvc.locked(lock, f"register@{name}"))


def check(root: Path, name: str, problem: Problem, trust: bool = False) -> Outcome:
    """Decide about a problem.

    Args:
        trust: decide only by what changed, and do not check the data.
    """
    if trust:
        changed = changes.status(root, name)
        reasons = changed.sentences()
        outcome = Outcome(bool(changed), reasons or ["nothing changed"], restores=not reasons)
    else:
        outcome = decide.check(root, name, problem)
    echo(f"{name}: {outcome}")
    return outcome


def follow_champions(
    root: Path, problems: dict[str, Problem], outcomes: dict[str, Outcome]
) -> None:
    """Write the champions that the trainings start from into params.yaml, where they start warm."""
    from retain.registry import parents

    for name, outcome in outcomes.items():
        starts_warm = problems[name].training.warm_start != "none"
        if starts_warm and outcome.train and not outcome.restores:
            echo(parents.follow_champion(root, name))


def train(root: Path, names: list[str], only: tuple[str, ...] = ()) -> None:
    """Run the pipeline of some problems; exits with code 1 where a stage fails.

    Args:
        root: the project's folder.
        names: of the problems.
        only: options of `dvc repro` by which it runs some of the stages.
    """
    if not names:
        return
    # What another runner made of the same is in the remote, as long as nobody has merged it.
    pull = ["--pull"] if dvc.has_remote(root) else []
    if dvc.call(root, "repro", *pull, *only, *(f"register@{name}" for name in names)) != 0:
        echo(f"failed: `dvc repro` of {', '.join(names)}, see above; the champions are as before")
        sys.exit(1)


def uncommitted(root: Path, outcomes: dict[str, Outcome]) -> list[str]:
    """Return the problems whose outputs are whole and are not those of the last commit."""
    return [
        name
        for name, outcome in outcomes.items()
        if not outcome.stopped
        and not changes.is_committed(root, name)
        and not changes.status(root, name)
    ]


def report(
    root: Path, problems: dict[str, Problem], outcomes: dict[str, Outcome], names: list[str]
) -> None:
    """Write the summaries of the trainings that no commit has, unless they are written."""
    for name in names:
        from retain.retraining import summary  # takes seconds, and mostly there is nothing to do

        if not summary.is_registered(root, name):  # DVC had the outputs, and this clone no decision
            train(root, [name], only=("--force", "--single-item"))
        if outcomes[name].train or not summary.is_current(root, name):
            echo(summary.write(root, name, problems[name]))


def publish(root: Path, names: list[str]) -> None:
    """Publish the trainings that no commit has."""
    from retain.retraining import publish

    echo(publish.publish(root, names) if names else "nothing to publish")


def echo(text: str) -> None:
    """Print, and write into the summary page of a step where CI has one."""
    print(text, flush=True)
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if page:
        Path(page).parent.mkdir(parents=True, exist_ok=True)
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(text + "\n\n")


def drop_empty_variables() -> None:
    """Remove variables that CI sets to an empty text because nobody gave them a value."""
    for key in [key for key, value in os.environ.items() if not value]:
        if key.startswith(("MLFLOW_", "AWS_", "GH_", "RETRAIN_")):
            del os.environ[key]
