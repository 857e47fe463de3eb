"""`retain tune`: search the settings of a problem by trials on its validation part."""

import difflib
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retain.cli import printing
from retain.config import loader
from retain.config.durations import span
from retain.engine import choice
from retain.errors import ParamsError, RetainError, Terminated
from retain.project import files
from retain.project.layout import Layout
from retain.training import portable_cpu

if TYPE_CHECKING:
    from retain.config.schema import Cell
    from retain.evaluation.report import Table
    from retain.tuning.evidence import Evidence
    from retain.tuning.plan import Plan
    from retain.tuning.run import Progress
    from retain.tuning.study import Ended, Study

app = typer.Typer()


@app.command()
def tune(
    name: Annotated[str, typer.Argument(help="Name of the problem in params.yaml.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of each cell; those of earlier runs count.")
    ] = 40,
    timeout: Annotated[
        str | None, typer.Option(help="Time after which no trial begins, such as 30m or 2h.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Trials at a time; if not given, as many as the engine has (`local`: 1)."
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="ENGINE",
            help="Where trials run: local, local:N for N at a time, or ray (docs/scale.md).",
        ),
    ] = None,
    cells: Annotated[
        str, typer.Option(help="Cells to tune, such as lstm,rnn; all of the problem if not given.")
    ] = "",
    apply: Annotated[
        bool,
        typer.Option(
            "--apply",
            help="Write the best settings into params.yaml, unless they may be better by chance.",
        ),
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="With --apply: write them even if they may be better by chance."
        ),
    ] = False,
) -> None:
    """Try settings on the validation part, never on the test part, and show the best.

    The best and the settings as they are then train on earlier parts, which chose nothing, to tell
    whether it is better by chance.

    Writes reports/NAME/tune.html and tune.json. A run that was stopped continues with the same
    command.
    """
    root = loader.find_root()
    seconds = _seconds(timeout)
    choice.use(engine)
    portable_cpu.pin_cpu_kernels(loader.load_problem(root, name).training.reproducible)
    from retain.evaluation.report import Table
    from retain.tuning import plan, report, run, runs  # NumPy looks at these settings once

    planned = plan.plan(root, name, cells.replace(",", " ").split())
    with files.folder(root, f"tune-{name}"):
        rows = tuple(report.space_rows(planned))
        _print(Table("Search space", ("key", "tried", "as it is"), rows))
        try:
            studies, found = run.run(
                planned, trials, seconds, jobs, _print_trial, _print_begun, _print_training
            )
        except (KeyboardInterrupt, Terminated):
            typer.echo("the trials that have ended are kept; the same command continues", err=True)
            raise
        for cell, study in studies.items():
            runs.log_result(planned, cell, study)
    _show(planned, studies, found)
    if not any(study.best for study in studies.values()):
        raise RetainError(f"{name}: no trial was trained to its end; give more --trials")
    folder = Layout(root, name).reports
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / "tune.html", report.page(planned, studies, found))
    files.write_text(folder / "tune.json", files.to_json(report.content(studies, found)))
    typer.echo(f"report:   {folder.relative_to(root)}/tune.html\n")
    _change(root, planned, studies, found, apply, anyway)


def _seconds(timeout: str | None) -> float | None:
    try:
        # No month is meant here.
        return None if timeout is None else span(re.sub(r"m$", "min", timeout)).total_seconds()
    except ValueError as error:
        raise ParamsError(f"--timeout {timeout}: {error}") from None


def _print_begun(studies: "Mapping[Cell, Study]") -> None:
    """Print how many trials are there already."""
    counts = {cell: len(study.ended) for cell, study in studies.items()}
    if any(counts.values()):
        text = ", ".join(f"{cell} {count}" for cell, count in counts.items())
        typer.echo(f"trials of an earlier run: {text}")


def _print_trial(cell: "Cell", ended: "Ended", progress: "Progress") -> None:
    """Print a trial that has ended."""
    from retain.tuning import report

    count = f"{progress.ended}/{progress.wanted}"
    text = report.line(ended, progress.best, progress.left)
    typer.echo(f"{cell:<4} {count:>{2 * len(str(progress.wanted)) + 1}}  {text}")


def _print_training(cell: "Cell", number: int, earlier: int, why: str) -> None:
    """Print a training on an earlier part that has ended."""
    typer.echo(f"{cell:<4} trial {number + 1}, {earlier} earlier{f': {why}' * bool(why)}")


def _show(
    planned: "Plan", studies: "Mapping[Cell, Study]", found: "Mapping[Cell, Evidence]"
) -> None:
    from retain.tuning import report

    table = report.summary(planned, studies)
    typer.echo("")
    _print(table)
    for text in filter(None, (table.note, report.sentence(planned, studies))):
        typer.echo(text)
    if not found:
        typer.echo(report.meaning(planned))
    else:
        typer.echo("")
        _print(report.earlier(found))
        for one in found.items():
            typer.echo(report.verdict(*one))


def _print(table: "Table") -> None:
    """Print a table of a report."""
    left = ("tried", "as it is")
    printing.report_table(table, left, wraps=True, header_style="dim")
    typer.echo("")


def _settings(
    studies: "Mapping[Cell, Study]", unsure: "Set[Cell]"
) -> "dict[Cell, Mapping[str, Any]]":
    """Return the settings of each cell's best trial; those as they are of cells that are unsure."""
    settings: dict[Cell, Mapping[str, Any]] = {}
    for cell, study in studies.items():
        if trial := study.before if cell in unsure else study.best:
            settings[cell] = trial.settings
    return settings


def _change(
    root: Path,
    planned: "Plan",
    studies: "Mapping[Cell, Study]",
    found: "Mapping[Cell, Evidence]",
    apply: bool,
    anyway: bool,
) -> None:
    """Print how params.yaml changes, and change it if so asked.

    Raises:
        RetainError: the change was asked for, and may be better by chance.
    """
    from retain.project.params_values import with_values
    from retain.tuning import report

    first = next(iter(studies))
    unsure = set() if anyway else {cell for cell, one in found.items() if not one.better}
    # A cell after the first, which has only its learning rate in params.yaml, keeps it if unsure.
    settings = planned.result(_settings(studies, unsure - {first}))
    path = root / "params.yaml"
    before = files.read_to_edit(path)
    after = with_values(root, planned.name, planned.changed(settings))
    if before == after:
        typer.echo("the settings of params.yaml are the best that were tried")
        return
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        "params.yaml",
        "params.yaml, tuned",
        lineterm="",
        n=1,
    )
    typer.echo("\n".join(lines) + "\n")
    if apply and first in unsure:
        why = report.verdict(first, found[first])
        raise RetainError(
            f"params.yaml stays as it is. {why} More rows before the test part or more trials may "
            f"tell; --apply --anyway writes the settings nevertheless"
        )
    if not apply:
        words = "--apply --anyway" if first in unsure else "--apply"
        typer.echo(f"to write this, give the same command with {words}")
        return
    files.write_edited(path, after)
    typer.echo(f"written: params.yaml; train with `retain run {planned.name}`")
