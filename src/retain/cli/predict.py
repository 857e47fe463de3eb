"""The commands of `retain` that ask a model, and look into it."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from retain.config import loader
from retain.config.forecasts import ForecastOptions
from retain.config.kind import kind_of, require
from retain.errors import DataError, ParamsError, listed
from retain.project import files, fingerprint
from retain.project.layout import Layout

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Of the problem.")]
LIKELIEST = 5  # units that `retain complete` shows


class Floor(StrEnum):
    """Methods that need a series' own values alone."""

    THETA = "theta"
    SEASONAL_NAIVE = "seasonal_naive"


class Unseen(StrEnum):
    """What is done about categories that the model does not know."""

    REFUSE = "refuse"
    UNKNOWN = "unknown"


@app.command()
def forecast(
    name: Name,
    history: Annotated[
        str | None, typer.Option(help="Table of the past; the problem's own if not given.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV or .parquet, or a folder of Parquet; else the screen."
        ),
    ] = None,
    future: Annotated[
        str | None,
        typer.Option(
            help="Table of the known covariates of the steps to forecast, without target."
        ),
    ] = None,
    fill_with: Annotated[
        Floor | None, typer.Option(help="Method for series that the model cannot forecast.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a table with a series that has no forecast.")
    ] = False,
    unseen: Annotated[
        Unseen | None,
        typer.Option(help="Categories unknown to the model; as data.unseen says if not given."),
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of the model; the champion if not given.")
    ] = None,
) -> None:
    """Forecast every series with the problem's champion, or the newest version if there is none.

    A series that cannot be forecast is left out; OUTPUT.left-out.csv has the reason. The column
    `note` says what to know of the others. A table too large for memory goes into a folder, in
    parts; its series stand one after another. A run that was stopped goes on where it was.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    kind = kind_of(problem)
    refusal = (
        f"`retain forecast` reads tables of history; problems.{name} is of kind {problem.kind}: "
        f"`{kind.command} {name} …`"
    )
    forecast_file, bulk = require(kind.forecast, refusal), require(kind.bulk, refusal)
    taken = unseen or getattr(getattr(problem, "data", None), "unseen", None)
    options = ForecastOptions(future, strict, fill_with and fill_with.value, taken and str(taken))
    with _model(root, name, version) as folder:
        if output is not None and not output.absolute().parent.is_dir():
            raise DataError(f"{output}: name a file or a folder in a folder that exists")
        if output is not None and not output.suffix:
            md5 = fingerprint.folder_md5(folder)
            with progress() as on_progress:
                done = bulk(folder, history, root, output, md5, on_progress, options)
            again = f"; {done.done_before:,} of its parts were done already"
            noted = f"; the column note says something of {done.noted:,} rows"
            _say_unknown(done.unknown)
            _write_left_out(done.left_out, output)
            typer.echo(
                f"{done.series:,} series in {output}/{again if done.done_before else ''}"
                f"{noted if done.noted else ''}"
            )
            return
        if output is not None and output.is_dir():
            raise DataError(f"{output} is a folder; name a file in it")
        found = forecast_file(folder, history, root, options)
    answer = found.table
    _say_unknown(found.unknown)
    for message in found.messages:
        typer.echo(f"warning: {message}", err=True)
    _write_left_out(found.left_out, output)
    if output is None:
        typer.echo(answer.to_csv(index=False, float_format="%.7g"), nl=False)
        return
    with files.replacing(output) as scratch:
        if output.suffix == ".parquet":
            answer.to_parquet(scratch, index=False)
        else:
            answer.to_csv(scratch, index=False, float_format="%.7g")
    # the columns before the time stamp and the mean name the series
    series = len(answer.iloc[:, : list(answer.columns).index("mean") - 1].drop_duplicates())
    typer.echo(f"{len(answer):,} rows for {series:,} series in {output}")


@contextmanager
def _model(root: Path, name: str, version: int | None = None) -> Iterator[Path]:
    """Yield the model folder to ask; say so where it is not the champion's."""
    from retain.registry import lookup

    with lookup.forecasting_folder(root, name, version) as (folder, warning):
        if warning is not None:
            typer.echo(f"warning: {warning}", err=True)
        yield folder


def _say_unknown(unknown: Mapping[str, int]) -> None:
    """Say which categories the model does not know, and how many rows have them."""
    if unknown:
        lines = listed([f"{named}: {rows:,} rows" for named, rows in unknown.items()])
        typer.echo(
            f"warning: taken as unknown, for the model does not know them:\n{lines}", err=True
        )


def _write_left_out(left_out: Mapping[str, str], output: Path | None) -> None:
    """Write the series without a forecast beside the output, or say them where there is none."""
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


@app.command()
def ask(
    name: Name,
    sequence: Annotated[str, typer.Argument(help="As the problem's examples are written.")],
) -> None:
    """Answer a sequence with the champion of a problem that answers sequences."""
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    kind = kind_of(problem)
    answers_of = require(
        kind.ask,
        f"`retain ask` puts one sequence; problems.{name} is of kind {problem.kind}: "
        f"`{kind.command} {name}`",
    )
    with _model(root, name) as folder:
        answers = answers_of(folder, sequence)
    for answer, probability in answers:
        typer.echo(answer if probability is None else f"{100 * probability:5.1f} %  {answer}")


@app.command()
def complete(
    name: Name,
    text: Annotated[str, typer.Argument(help="The beginning; blanks at its end count.")],
    length: Annotated[int, typer.Option(min=1, help="Letters, or words, to go on with.")] = 60,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Below 1, likelier ones are drawn more often.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 1,
) -> None:
    """Say what comes next in a text, and go on with it, by the champion of a text problem."""
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    kind = kind_of(problem)
    continue_text = require(
        kind.complete,
        f"`retain complete` goes on with a text; problems.{name} is of kind {problem.kind}: "
        f"`{kind.command} {name}`",
    )
    with _model(root, name) as folder:
        following, continuation = continue_text(folder, text, length, temperature, seed)
    for unit, share in following[:LIKELIEST]:
        typer.echo(f"{100 * share:5.1f} %  {unit!r}")
    typer.echo(f"{text}{continuation}")


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar; call what it yields with how much is done, and of how much, 0 if unknown."""
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
    process.serve(loader.find_root(), name, host, port, limits)


@app.command()
def gates(
    name: Name,
    what: Annotated[str | None, typer.Argument(help="What the model reads: a sentence.")] = None,
    series: Annotated[str | None, typer.Option(help="What it reads of a table.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Of a table: the first time stamp to forecast.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A page, .html, or a figure, .svg.")
    ] = Path("gates.html"),
    model: Annotated[str, typer.Option(help="A cell of models/NAME/.")] = "lstm",
) -> None:
    """Write a page that shows an LSTM's gates and cell state, step by step and unit by unit.

    Of a table it is the newest test window, or one of those that --series and --at name.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    inspect = kind_of(problem).lstm_gates
    if inspect is None:
        raise ParamsError(f"{name} is of kind {problem.kind}, which `retain gates` cannot show")
    if what is not None and series is not None:
        raise ParamsError(f"give {what!r} or --series {series!r}, not both")
    if output.suffix not in (".html", ".svg"):
        raise DataError(
            f"{output}: name a page, such as gates.html, or a figure, such as gates.svg"
        )
    if not output.absolute().parent.is_dir():
        raise DataError(f"{output}: name a file in a folder that exists")
    from retain.evaluation.lstm_gates import heat_maps, page

    wanted = what if what is not None else series
    folder = Layout(root, name).model(model)
    shown = inspect.load(problem, name, root, folder, wanted, at)
    files.write_text(output, page(shown) if output.suffix == ".html" else heat_maps(shown))
    typer.echo(f"{shown.title}: {len(shown.steps)} steps, in {output}")
