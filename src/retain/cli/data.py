"""The commands of `retain` about problems and their tables."""

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from retain.config import kind as manifest
from retain.config import loader
from retain.errors import ParamsError

Name = Annotated[str, typer.Argument(help="Of the problem.")]

Columns = Annotated[list[str] | None, typer.Option(help="A column; repeat it for more.")]

app = typer.Typer()


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
        str | None,
        typer.Option(help="Where validation begins: '10 horizons' or 90d before the end, a date."),
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Where test begins: '5 horizons', 30d, a date.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=1, help="Pieces of the test part, a training for each.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to try settings; 0 tries none. By default by its rows."),
    ] = None,
) -> None:
    """Make a forecasting problem of a table: look at it, choose settings, write params.yaml."""
    from retain.kinds.forecast.config import Problem
    from retain.kinds.forecast.data import folds as partition
    from retain.kinds.forecast.data import panel
    from retain.kinds.forecast.infer import entry as inference
    from retain.project import params_file, raw_table

    root = loader.find_root()
    if name in loader.load(root):
        raise ParamsError(f"params.yaml: there is a problem `{name}` already; choose another name")
    if not loader.NAME.fullmatch(name):
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
        "folds": folds,
    }
    split = {"validation": validation, "test": test}
    boundaries = {key: _boundary(text) for key, text in split.items() if text is not None}
    if len(boundaries) == 1:
        raise ParamsError("give both --validation and --test, or neither")
    options["split"] = boundaries
    given = {key: value for key, value in options.items() if value}
    place, copy_to = raw_table.place(path, root)
    found = inference.infer(name, place, root, horizon, given, budget)
    data = {**found.data, "path": copy_to or place}
    entry = {
        "kind": "forecast",
        "preset": found.preset,
        "data": data,
        "model": found.model,
        "training": {"seed": 1},
        "evaluation": {"folds": found.folds, "bootstrap": 2000},
        "gate": found.gate,
    }
    problem = loader.parse(name, entry)
    assert isinstance(problem, Problem)
    # What was inferred must be usable, not only readable.
    partition.find(panel.build(found.table, problem.data).schema, problem.folds)

    for sentence in found.sentences:
        typer.echo(f"  {sentence}")
    with raw_table.copied(Path(place), root / copy_to if copy_to else None):
        tracked = raw_table.track(root, data["path"])
        params_file.append(root, name, entry, inference.COMMENTS)
    if copy_to is not None:
        typer.echo(f"{path} copied to {copy_to}")
    if tracked:
        typer.echo(f"{data['path']} tracked by DVC: commit {data['path']}.dvc")
    typer.echo(f"problems.{name} written to params.yaml. Next: dvc repro register@{name}")


@app.command()
def check(name: Name) -> None:
    """Read and validate a problem's table, without training, and say what was found."""
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    check_table = manifest.require(
        manifest.kind_of(problem).check_table,
        f"`retain check` reads tables; problems.{name} is of kind {problem.kind}",
    )
    path, lines = check_table(problem, root)
    typer.echo(f"{name}: {path}")
    for line in lines:
        typer.echo(f"  {line}")


@app.command()
def problems(
    kind: Annotated[
        list[str] | None, typer.Option(help="Kind of the problems to print; repeat it for more.")
    ] = None,
) -> None:
    """Print the names of the problems, one a line."""
    kind_names = manifest.kind_names()
    for wanted in kind or ():
        if wanted not in kind_names:
            raise ParamsError(f"--kind is {wanted!r}; expected one of {', '.join(kind_names)}")
    for name, problem in loader.load(loader.find_root()).items():
        if not kind or problem.kind in kind:
            typer.echo(name)


@app.command()
def append(
    name: Name,
    path: Annotated[Path, typer.Argument(help="File with new rows, in the form of the table.")],
) -> None:
    """Add new rows to a problem's table; it ignores rows that are there and refuses conflicts."""
    from retain.project import raw_table

    root = loader.find_root()
    problem = loader.load_problem(root, name)
    add_rows = manifest.require(
        manifest.kind_of(problem).append,
        f"{name} is of kind {problem.kind}, which has no table to add rows to",
    )
    done = add_rows(problem, root, path)
    if not done.added:
        typer.echo(f"nothing added: {done.table} has all {done.known:,} rows of {path}")
        return
    also = f", {done.known:,} it had already" if done.known else ""
    typer.echo(f"{done.added:,} rows added to {done.table}, which reaches to {done.last}{also}")
    typer.echo(f"commit {raw_table.record(root, done.table)}, then retrain: make retrain")


def _boundary(text: str) -> float | str:
    """A share (0.7), horizons (10 horizons) or a time (90d) before the end, a date, with a time."""
    from retain.config.durations import DURATION
    from retain.kinds.forecast.split import HORIZONS

    if re.fullmatch(r"0?\.\d+", text):
        return float(text)
    if DURATION.fullmatch(text) or HORIZONS.fullmatch(text):
        return text
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no number of horizons such as '10 horizons', no time before the end such "
            "as 90d, no date, and no share such as 0.7"
        ) from None
    return text
