"""The commands of `retain` that forecast: once, and over HTTP."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from retain.cli import engines, forecast_log
from retain.cli.engines import Engine
from retain.cli.forecast_log import Log
from retain.config import loader, monitoring
from retain.config.forecasts import BulkForecasts, FillWith, ForecastOptions, Forecasts, Unseen
from retain.config.kind import kind_of, require
from retain.errors import DataError
from retain.project import files, fingerprint
from retain.words import listed

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Name of the problem in params.yaml.")]


@app.command()
def forecast(
    name: Name,
    history: Annotated[
        str | None,
        typer.Option(help="Table with the past to forecast from; by default the problem's table."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, .csv or .parquet, or a folder for Parquet files; without it, the "
            "forecast is printed as CSV.",
        ),
    ] = None,
    future: Annotated[
        str | None,
        typer.Option(
            help="Table with the known covariates of the steps to forecast; it has no target."
        ),
    ] = None,
    fill_with: Annotated[
        FillWith | None,
        typer.Option(help="Method that forecasts the series that the model cannot forecast."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if the model cannot forecast one of the series.")
    ] = False,
    unseen: Annotated[
        Unseen | None,
        typer.Option(
            help="What to do with categories that the model does not know; by default what "
            "data.unseen in params.yaml says."
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Number of the model's version; by default the champion's."),
    ] = None,
    cold_start: Annotated[
        str | None,
        typer.Option(
            help="Table of series without any history, to forecast instead: a row for each step, "
            "with static and known covariates, and no target."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Figure of the first six series, .svg or .png.")
    ] = None,
    engine: Engine = None,
    log: Log = None,
    log_limit: Annotated[
        str | None,
        typer.Option(
            help="Remove the oldest days of the log beyond a size or days, such as 500MB or 30d; "
            "by default none, since a server may keep more."
        ),
    ] = None,
) -> None:
    """Forecast every series with the problem's champion, or the newest version if there is none.

    A series that cannot be forecast is left out; OUTPUT.left-out.csv has the reason. The column
    `note` has warnings about single rows. For a table that is larger than memory, name a folder as
    output; the rows of each series must follow each other. A run that was stopped continues.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    engines.use_for(engine, output, problem.training.reproducible)
    kind = kind_of(problem)
    refusal = (
        f"`retain forecast` reads tables of history; problems.{name} is of kind {problem.kind}: "
        f"`{kind.command} {name} …`"
    )
    _check_names(output, plot)
    forecast_file, bulk = require(kind.forecast, refusal), require(kind.bulk, refusal)
    taken = unseen or getattr(getattr(problem, "data", None), "unseen", None)
    others = history or future or plot or fill_with or strict or (output and not output.suffix)
    if cold_start is not None and others:
        raise DataError(
            "--cold-start has its rows in one table, without --history and --future, and forecasts "
            "all of them, without --fill-with and --strict; it is written to one file, without "
            "--plot"
        )
    options = ForecastOptions(future, strict, fill_with, taken, cold_start)
    keep = forecast_log.keeper(kind, root, name, log, log_limit)
    with model_folder(root, name, version) as folder:
        for path in (output, plot):
            if path is not None and not path.absolute().parent.is_dir():
                raise DataError(f"{path}: name a file or a folder in a folder that exists")
        if output is not None and not output.suffix:
            md5 = fingerprint.folder_md5(folder)
            with progress() as on_progress:
                done = bulk(folder, history, root, output, md5, on_progress, options)
            _describe_bulk(done, output)
            keep(folder, output)
            return
        if output is not None and output.is_dir():
            raise DataError(f"{output} is a folder; name a file in it")
        found = forecast_file(folder, history, root, options)
        if plot is not None:
            files.write_bytes(plot, require(kind.plot, refusal)(problem, found, plot.suffix))
        _write(found, output)
        keep(folder, found.table)  # last: the forecast is there, also where it cannot be logged


def _check_names(output: Path | None, plot: Path | None) -> None:
    """Raise DataError unless output and figure have names that say what they are to be."""
    if output is not None and output.suffix not in ("", ".csv", ".parquet"):
        raise DataError(f"{output}: name a .csv or a .parquet, or a folder")
    if plot is not None and (plot.suffix not in (".svg", ".png") or not (output or plot).suffix):
        raise DataError(f"{plot}: name an .svg or a .png; a forecast in parts cannot be drawn")


def _describe_bulk(done: BulkForecasts, output: Path) -> None:
    """Print what a folder of forecasts has, and what it has not."""
    again = f"; {done.done_before:,} of its parts were there already"
    noted = f"; the column note has a warning in {done.noted:,} rows"
    _warn_unknown(done.unknown)
    _write_left_out(done.left_out, output)
    typer.echo(
        f"{done.series:,} series in {output}/{again if done.done_before else ''}"
        f"{noted if done.noted else ''}"
    )


def _write(found: Forecasts, output: Path | None) -> None:
    """Write or print a table of forecasts, with the warnings about it."""
    table = found.table
    _warn_unknown(found.unknown)
    for message in found.messages:
        typer.echo(f"warning: {message}", err=True)
    _write_left_out(found.left_out, output)
    if output is None:
        typer.echo(table.to_csv(index=False, float_format="%.7g"), nl=False)
        return
    with files.replacing(output) as scratch:
        if output.suffix == ".parquet":
            table.to_parquet(scratch, index=False)
        else:
            table.to_csv(scratch, index=False, float_format="%.7g")
    # the columns before the time stamp and the mean name the series
    columns = list(table.columns)
    series = len(table[columns[: columns.index("mean") - 1]].drop_duplicates())
    typer.echo(f"{len(table):,} rows for {series:,} series in {output}")


@contextmanager
def model_folder(root: Path, name: str, version: int | None = None) -> Iterator[Path]:
    """Yield the model folder to use; print a line if it is not the champion's."""
    from retain.registry import lookup

    with lookup.forecasting_folder(root, name, version) as (folder, warning):
        if warning is not None:
            typer.echo(f"warning: {warning}", err=True)
        yield folder


def _warn_unknown(unknown: Mapping[str, int]) -> None:
    """Print the categories that the model was not trained on, and their numbers of rows."""
    if unknown:
        lines = listed([f"{named}: {rows:,} rows" for named, rows in unknown.items()])
        typer.echo(
            f"warning: the model does not know these categories and reads them as unknown:\n"
            f"{lines}",
            err=True,
        )


def _write_left_out(left_out: Mapping[str, str], output: Path | None) -> None:
    """Write the series without a forecast to a file next to the output, or print them."""
    path = None if output is None else output.with_suffix(".left-out.csv")
    if left_out:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("id", "reason"), *left_out.items()])
        count = f"warning: {len(left_out):,} series cannot be forecast and are left out"
        if path is None:
            lines = listed([f"{name}: {reason}" for name, reason in left_out.items()], limit=100)
            typer.echo(f"{count}:\n{lines}", err=True)
        else:
            files.write_text(path, text.getvalue())
            typer.echo(f"{count}; {path} says which and why", err=True)
        typer.echo("`--fill-with theta` forecasts them by their own values alone", err=True)
    elif path is not None:
        path.unlink(missing_ok=True)  # of an earlier forecast


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yield a function of the amount done and the total, 0 if unknown."""
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
    name: Name,
    host: Annotated[str, typer.Option(help="Network address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request, in MiB.")] = 32,
    max_rows: Annotated[int, typer.Option(min=1, help="Most rows of a request.")] = 1_000_000,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a request fails.")
    ] = 60.0,
    follow: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two checks for a new champion.")
    ] = 5.0,
    runtime: Annotated[
        Literal["torch", "onnx"],
        typer.Option(
            help="What runs the network: torch, or onnxruntime, with which forecasts of few series "
            "come sooner and the server needs less memory."
        ),
    ] = "torch",
    log: Log = None,
    log_limit: Annotated[
        str | None,
        typer.Option(
            help="How much of the log is kept: a size or days, such as 500MB or 30d; by default "
            f"{monitoring.USUAL}."
        ),
    ] = None,
) -> None:
    """Answer requests over HTTP with the problem's champion; a new champion takes over by itself.

    If the environment has RETAIN_API_KEY, clients must send that key.
    """
    from retain.serving import process
    from retain.serving.endpoint import Limits

    limits = Limits(
        body=max_body * 2**20, rows=max_rows, answer=timeout, receive=timeout / 2, follow=follow
    )
    kept = forecast_log.place(log, name, log_limit, monitoring.USUAL)
    process.serve(loader.find_root(), name, host, port, limits, runtime, kept)
