"""`retain …`: everything a person does that is not a DVC stage.

Commands import what they need when they run, so that `retain --help` answers at once.
"""

import datetime as dt
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from retain import errors
from retain.cli import gates, models, retraining
from retain.cli import text as cli_text
from retain.config import schema
from retain.config.kind import COMMANDS, KINDS
from retain.errors import DataError, ParamsError
from retain.evaluation import quality_gate
from retain.project import fingerprint, raw_table

app = typer.Typer(
    name="retain",
    help="LSTM models of sequences that can be retrained, compared and proved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models.app)  # without a name: its commands are commands of this one
app.add_typer(retraining.app)
app.add_typer(gates.app)
app.add_typer(cli_text.app)

DEFAULT_GATE = [
    {"check": "finite"},
    {"check": "beats", "baseline": "seasonal_naive", "metric": "mae"},
    {"check": "beats_or_ties", "baseline": "rnn", "metric": "mae", "margin": 0.02},
    {"check": "coverage", "tolerance": 0.1},
    {"check": "champion", "metric": "mae", "margin": 0.0},
]
Model = Annotated[
    str, typer.Argument(help="models:/NAME@champion, models:/NAME/3, or NAME in the working tree.")
]
Columns = Annotated[list[str] | None, typer.Option(help="A column; repeat it for more.")]


def main() -> NoReturn:
    """The console script: an error of the input is one sentence and exit code 2."""
    errors.run(app)


@app.callback()
def _root() -> None:  # one command alone would make Typer drop its name
    pass


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the new problem: lower-case letters, digits, _.")],
    path: Annotated[str, typer.Argument(help="CSV or Parquet file, folder of Parquet, or URL.")],
    horizon: Annotated[int, typer.Option(min=1, help="Steps to forecast.")],
    ds: Annotated[str | None, typer.Option(help="Column of the time stamps.")] = None,
    y: Annotated[str | None, typer.Option(help="Column to forecast.")] = None,
    unique_id: Annotated[str | None, typer.Option(help="Column that names the series.")] = None,
    value_column: Columns = None,
    past_covariate: Columns = None,
    known_covariate: Columns = None,
    static_covariate: Columns = None,
    context_length: Annotated[int | None, typer.Option(min=1, help="Steps to look back.")] = None,
    season_length: Annotated[int | None, typer.Option(min=1, help="Steps of a season.")] = None,
    frequency: Annotated[str | None, typer.Option(help="Pandas alias, such as h or W-MON.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="As in strptime, or epoch_s, epoch_ms, excel.")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between the fields of a row.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign.")] = None,
    duplicates: Annotated[
        str | None, typer.Option(help="Rows that repeat a time stamp: error, first, last, mean.")
    ] = None,
    holidays: Annotated[str | None, typer.Option(help="Country, such as US or US-MN.")] = None,
    validation: Annotated[
        str,
        typer.Option(help="Where validation begins: a share, 90d before the end, or a date."),
    ] = "0.7",
    test: Annotated[str, typer.Option(help="Where test begins: a share, 30d, or a date.")] = "0.85",
) -> None:
    """Make a forecasting problem of a table: look at it, choose settings, write params.yaml."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.infer import entry as inference

    root = schema.find_root()
    if name in schema.load(root):
        raise ParamsError(f"params.yaml: there is a problem `{name}` already; choose another name")
    if not schema.NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r} cannot name a problem: take lower-case letters, digits and _, a letter first"
        )
    for option, sign in (("--separator", separator), ("--decimal", decimal)):
        if sign and sign != "\\t" and len(sign) != 1:
            raise ParamsError(f"{option} is {sign!r}: it must be one character, or \\t for a tab")
    options: dict[str, Any] = {
        "ds": ds,
        "y": y,
        "unique_id": unique_id,
        "value_columns": value_column,
        "past_covariates": past_covariate,
        "known_covariates": known_covariate,
        "static_covariates": static_covariate,
        "context_length": context_length,
        "season_length": season_length,
        "frequency": frequency,
        "timezone": timezone,
        "time_format": time_format,
        "separator": "\t" if separator == "\\t" else separator,
        "decimal": decimal,
        "duplicates": duplicates,
        "holidays": holidays,
        "split": {"validation": _boundary(validation), "test": _boundary(test)},
    }
    given = {key: value for key, value in options.items() if value}
    place, copy_to = raw_table.place(path, root)
    found = inference.infer(name, place, root, horizon, given)
    data = {**found.data, "path": copy_to or place}
    entry = {
        "kind": "forecast",
        "preset": found.preset,
        "data": data,
        "model": found.model,
        "training": {"seed": 1},
        "evaluation": {"bootstrap": 2000},
        "gate": DEFAULT_GATE,
    }
    problem = schema.parse(name, entry)
    assert isinstance(problem, Problem)
    panel.build(found.table, problem.data)  # what was inferred must be usable, not only readable

    for sentence in found.sentences:
        typer.echo(f"  {sentence}")
    with raw_table.copied(Path(place), root / copy_to if copy_to else None):
        tracked = "://" not in data["path"] and raw_table.track(root, data["path"])
        schema.append(root, name, entry, inference.COMMENTS)
    if copy_to is not None:
        typer.echo(f"{path} copied to {copy_to}")
    if tracked:
        typer.echo(f"{data['path']} tracked by DVC: commit {data['path']}.dvc")
    typer.echo(f"problems.{name} written to params.yaml. Next: dvc repro register@{name}")


@app.command()
def check(name: Annotated[str, typer.Argument(help="Of the problem.")]) -> None:
    """Read and validate a problem's table, without training, and say what was found."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.data import panel, quality, tables

    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if not isinstance(problem, Problem):
        raise ParamsError(f"`retain check` reads tables; problems.{name} is of kind {problem.kind}")
    found = panel.build(tables.read(problem.data, root), problem.data).quality
    typer.echo(f"{name}: {problem.data.path}")
    for line in quality.lines(found):
        typer.echo(f"  {line}")


@app.command()
def forecast(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    history: Annotated[
        str | None, typer.Option(help="Table of the past; the problem's own if not given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV or .parquet, or a folder of Parquet; else the screen."
        ),
    ] = None,
) -> None:
    """Forecast every series with the problem's champion.

    A table too large for memory goes into a folder, in parts; its series stand one after another.
    A run that was stopped goes on where it was.
    """
    from retain.registry import registry

    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if problem.kind != "forecast":
        raise ParamsError(
            f"`retain forecast` reads tables of history; problems.{name} is of kind "
            f"{problem.kind}: `{COMMANDS.get(problem.kind, 'retain ask')} {name} …`"
        )
    with registry.champion_folder(root, name) as folder:
        served, md5 = schema.room(problem, "serving").load(folder), fingerprint.folder_md5(folder)
    if output is not None and not output.absolute().parent.is_dir():
        raise DataError(f"{output}: name a file or a folder in a folder that exists")
    if output is not None and not output.suffix:
        with progress() as on_progress:
            batch = schema.room(problem, "batch")
            count, before = batch.forecast(served, history, root, output, md5, on_progress)
        again = f"; {before:,} of its parts were done already" if before else ""
        typer.echo(f"{count:,} series in {output}/{again}")
        return
    if output is not None and output.is_dir():
        raise DataError(f"{output} is a folder; name a file in it")
    answer = served.predict_file(history, root)
    if output is None:
        typer.echo(answer.to_csv(index=False, float_format="%.7g"), nl=False)
        return
    scratch = output.with_name(f".{output.name}.part")
    try:
        if output.suffix == ".parquet":
            answer.to_parquet(scratch, index=False)
        else:
            answer.to_csv(scratch, index=False, float_format="%.7g")
        scratch.replace(output)
    finally:
        scratch.unlink(missing_ok=True)
    typer.echo(f"{len(answer):,} rows for {answer['unique_id'].nunique():,} series in {output}")


@app.command()
def ask(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    sequence: Annotated[str, typer.Argument(help="As the problem's examples are written.")],
) -> None:
    """Answer a sequence with the champion of a problem that answers sequences."""
    from retain.registry import registry

    root = schema.find_root()
    problem = schema.load_problem(root, name)
    with registry.champion_folder(root, name) as folder:
        served = schema.room(problem, "serving").load(folder)
    if not hasattr(served, "ask"):
        raise ParamsError(
            f"`retain ask` puts one sequence; problems.{name} is of kind {problem.kind}: "
            f"`{COMMANDS.get(problem.kind, f'retain {problem.kind}')} {name}`"
        )
    for answer, probability in served.ask(sequence):
        typer.echo(answer if probability is None else f"{100 * probability:5.1f} %  {answer}")


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on the screen; told how much is done, and of how much, 0 where that is not known."""
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.BarColumn(),
        rich.TaskProgressColumn(),
        rich.TextColumn("{task.completed:,} rows"),
        rich.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("rows", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of or None)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8000,
    max_body: Annotated[int, typer.Option(min=1, help="MiB of a request.")] = 32,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of a request.")] = 1_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for an answer.")] = 60.0,
    follow: Annotated[
        float, typer.Option(min=0.1, help="Seconds between looks for another champion.")
    ] = 5.0,
) -> None:
    """Answer over HTTP with the problem's champion, whichever it is at the time.

    Clients must show the key that the environment has as RETAIN_API_KEY, if it has one.
    """
    from retain.serving import process
    from retain.serving.endpoint import Limits

    limits = Limits(
        body=max_body * 2**20, rows=max_rows, answer=timeout, receive=timeout / 2, follow=follow
    )
    process.serve(schema.find_root(), name, host, port, limits)


@app.command()
def problems(
    kind: Annotated[list[str] | None, typer.Option(help="Of this kind; repeat for more.")] = None,
) -> None:
    """Print the names of the problems, one a line."""
    for wanted in kind or ():
        if wanted not in KINDS:
            raise ParamsError(f"--kind is {wanted!r}; expected one of {', '.join(KINDS)}")
    for name, problem in schema.load(schema.find_root()).items():
        if not kind or problem.kind in kind:
            typer.echo(name)


@app.command()
def results(
    names: Annotated[list[str] | None, typer.Argument(help="Problems; all if none.")] = None,
) -> None:
    """Print how each problem's models compare, the verdict, and where the report is."""
    from rich.console import Console
    from rich.markdown import Markdown

    root = schema.find_root()
    known = schema.load(root)
    console = Console(width=None if sys.stdout.isatty() else 110)
    for name in names or known:
        if name not in known:
            raise ParamsError(f"params.yaml: no problem `{name}`; there is {', '.join(known)}")
        folder = root / "reports" / name
        if not (folder / "report.md").is_file():
            typer.echo(f"{name}: no results yet; make them with `dvc repro register@{name}`")
            continue
        console.print(Markdown((folder / "report.md").read_text(encoding="utf-8")))
        typer.echo(f"registry: {_decision(root, name)}")
        typer.echo(f"report:   {(folder / 'report.html').relative_to(root)}")


@app.command()
def trace(model: Model) -> None:
    """Print where a model comes from: version, run, commit, stage, params, data, raw file."""
    from retain.registry import provenance

    root = schema.find_root()
    lines = provenance.trace(root, provenance.find(root, model))
    for label, text in lines:
        typer.echo(f"{label:<8} {text}")


@app.command()
def prove(
    model: Model,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Install the versions locked at its commit first.")
    ] = False,
) -> None:
    """Make a model anew from what is recorded of it, in a scratch clone, and compare.

    Exit code 0: identical. 3: different within the tolerance of params. 1: different.
    """
    from retain.registry import provenance, reproduce

    root = schema.find_root()
    origin = provenance.find(root, model)
    found = reproduce.prove(root, origin, fresh)
    typer.echo(f"\n{origin.label}, made anew at commit {origin.commit[:9]}")
    for line in found.lines():
        typer.echo(f"  {line}")
    raise typer.Exit(found.code)


@app.command()
def sync() -> None:
    """Tell the tracking store what it has not heard, because it was away."""
    from retain.tracking import runs

    told = runs.sync(schema.find_root())
    typer.echo("\n".join(told) or "nothing is pending")


def _decision(root: Path, name: str) -> str:
    """What became of the present model in the registry, if it was registered here."""
    path = root / "reports" / name / "decision.json"
    model = root / "models" / name / quality_gate.MODEL
    decision = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not model.is_dir() or decision.get("model_md5") != fingerprint.folder_md5(model):
        return f"this model was not registered last; do so with `dvc repro -f -s register@{name}`"
    return str(decision["sentence"])


def _boundary(text: str) -> float | str:
    """A share of the time span (0.7), a time before the end (90d), a date or a date with a time."""
    if re.fullmatch(r"0?\.\d+", text):
        return float(text)
    if schema.DURATION.fullmatch(text):
        return text
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no share such as 0.7, no time before the end such as 90d, and no date"
        ) from None
    return text
