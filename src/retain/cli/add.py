"""`retain add`: make a forecasting problem of a table."""

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from retain.cli import dialogue
from retain.config import loader
from retain.errors import AmbiguousError, ParamsError
from retain.words import shortened

if TYPE_CHECKING:
    from retain.kinds.forecast.infer.entry import Inferred

app = typer.Typer()


@app.command()
def add(
    name: Annotated[
        str, typer.Argument(help="Name of the new problem: lower-case letters, digits, _.")
    ],
    path: Annotated[str, typer.Argument(help="CSV, Parquet, workbook, folder of Parquet, or URL.")],
    horizon: Annotated[int, typer.Option(min=1, help="Steps to forecast.")],
    ds: Annotated[
        list[str] | None,
        typer.Option(help="Column of the time stamps; repeat it for a date and a time."),
    ] = None,
    ds_is_step: Annotated[
        bool,
        typer.Option("--ds-is-step", help="The column ds counts steps (1, 2, 3) and has no dates."),
    ] = False,
    y: Annotated[str | None, typer.Option(help="Column to forecast.")] = None,
    unique_id: Annotated[
        list[str] | None,
        typer.Option(help="Column that names the series; repeat for columns that do it together."),
    ] = None,
    value_column: Annotated[
        list[str] | None, typer.Option(help="Column to forecast as one series; repeatable.")
    ] = None,
    past_covariate: Annotated[
        list[str] | None, typer.Option(help="Column known up to now only; repeatable.")
    ] = None,
    known_covariate: Annotated[
        list[str] | None, typer.Option(help="Column known for the future too; repeatable.")
    ] = None,
    static_covariate: Annotated[
        list[str] | None, typer.Option(help="Column with one value for each series; repeatable.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column not to use; repeatable.")] = None,
    dates_across: Annotated[
        bool, typer.Option(help="A row is a series; the time stamps are names of columns.")
    ] = False,
    context_length: Annotated[int | None, typer.Option(min=1, help="Steps to look back.")] = None,
    season_length: Annotated[int | None, typer.Option(min=1, help="Steps of a season.")] = None,
    frequency: Annotated[str | None, typer.Option(help="Pandas alias, such as h or W-MON.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    time_format: Annotated[
        str | None,
        typer.Option(help="As in strptime, %q for a quarter, or epoch_s, epoch_ms, excel."),
    ] = None,
    ambiguous: Annotated[
        Literal["error", "order"] | None,
        typer.Option(help="An hour that came twice as clocks were set back; by order of rows."),
    ] = None,
    align: Annotated[
        Literal["nearest", "period", "series"] | None,
        typer.Option(help="Stamps off the steps of --frequency."),
    ] = None,
    aggregate: Annotated[
        Literal["sum", "mean", "count"] | None,
        typer.Option(help="How several rows in a step of --frequency become one."),
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between the fields of a row.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign.")] = None,
    thousands: Annotated[
        str | None, typer.Option(help="The sign between groups of three digits.")
    ] = None,
    na_value: Annotated[
        list[str] | None, typer.Option(help="Text or number that means missing; repeatable.")
    ] = None,
    keep_value: Annotated[
        list[float] | None,
        typer.Option(help="Number that looks like a mark of missing values, and is a value."),
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the text, such as cp1252.")] = None,
    skip_rows: Annotated[int | None, typer.Option(min=0, help="Lines above the header.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Of a workbook.")] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Most bytes that the unpacked file may have.")
    ] = None,
    duplicates: Annotated[
        Literal["error", "first", "last", "mean"] | None,
        typer.Option(help="Rows that repeat a time stamp."),
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
    preset: Annotated[
        Literal["fast", "accurate"] | None,
        typer.Option(help="Size of the networks; by default by the table's length."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the problem of this name, if never trained.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take every proposal; ask nothing.")
    ] = False,
) -> None:
    """Make a forecasting problem of a table: look at it, choose settings, write params.yaml."""
    from retain.kinds.forecast.infer import adding
    from retain.project import raw_table

    root = loader.find_root()
    adding.check_name(root, name, force)
    signs = (("--separator", separator), ("--decimal", decimal), ("--thousands", thousands))
    for option, sign in signs:
        if sign and sign != "\\t" and len(sign) != 1:
            raise ParamsError(f"{option} is {sign!r}: it must be one character, or \\t for a tab")
    options: dict[str, Any] = {
        "ds": ds[0] if ds and len(ds) == 1 else ds,
        "ds_is_step": ds_is_step,
        "y": y,
        "unique_id": unique_id[0] if unique_id and len(unique_id) == 1 else unique_id,
        "value_columns": value_column,
        "past_covariates": past_covariate,
        "known_covariates": known_covariate,
        "static_covariates": static_covariate,
        "drop": drop,
        "dates_across": dates_across,
        "context_length": context_length,
        "season_length": season_length,
        "frequency": frequency,
        "timezone": timezone,
        "time_format": time_format,
        "ambiguous": ambiguous,
        "align": align,
        "aggregate": aggregate,
        "separator": "\t" if separator == "\\t" else separator,
        "decimal": decimal,
        "thousands": thousands,
        "na_values": na_value,
        "keep_values": keep_value,
        "encoding": encoding,
        "skip_rows": skip_rows,
        "sheet": sheet,
        "max_bytes": max_bytes,
        "duplicates": duplicates,
        "holidays": holidays,
        "folds": folds,
        "preset": preset,
    }
    split = {"validation": validation, "test": test}
    boundaries = {key: _boundary(text) for key, text in split.items() if text is not None}
    if len(boundaries) == 1:
        raise ParamsError("give both --validation and --test, or neither")
    options["split"] = boundaries
    given = {key: value for key, value in options.items() if value}
    if skip_rows is not None:  # 0 is an answer, too
        given["skip_rows"] = skip_rows
    place, copy_to = raw_table.place(path, root)
    inferred = _infer(name, place, root, horizon, given, budget, yes)
    entry = adding.entry(name, inferred, copy_to or place)
    for sentence in inferred.sentences:
        typer.echo(f"  {shortened(sentence)}")
    if dialogue.on_terminal() and not dialogue.confirm(
        f"Write problems.{name} to params.yaml?", yes, default=True
    ):
        typer.echo("nothing written; `retain add --help` lists the options that change it")
        raise typer.Exit(1)
    for line in adding.write(root, name, entry, place, copy_to):
        typer.echo(line)
    typer.echo(f"next: retain run {name}")


def _infer(
    name: str,
    path: str,
    root: Path,
    horizon: int,
    given: dict[str, Any],
    budget: float | None,
    yes: bool,
) -> "Inferred":
    """Look at the table, as often as there is something to ask about it."""
    from retain.kinds.forecast.infer import entry as inference

    while True:
        try:
            return inference.infer(name, path, root, horizon, given, budget)
        except AmbiguousError as doubt:
            given = dialogue.merged(given, dialogue.choose(doubt, yes))


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
