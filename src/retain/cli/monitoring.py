"""The command of `retain` that compares forecasts with what came."""

from pathlib import Path
from typing import Annotated

import typer

from retain.cli import printing
from retain.config import loader
from retain.config.kind import kind_of
from retain.errors import DataError, ParamsError
from retain.project import files
from retain.training import portable_cpu

app = typer.Typer()


@app.command()
def monitor(
    name: Annotated[str, typer.Argument(help="Name of the problem in params.yaml.")],
    log: Annotated[
        Path,
        typer.Option(help="Folder of `retain serve --log` and `retain forecast --log`."),
    ],
    actuals: Annotated[
        str | None,
        typer.Option(help="Table with the values that came; by default the problem's table."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(help="File to write for Prometheus' textfile collector, .prom."),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Page to write, .html.")] = None,
    drift: Annotated[
        bool, typer.Option(help="Compare the inputs with the champion's training data, too.")
    ] = True,
) -> None:
    """Compare logged forecasts with the values that came since, by version and over time.

    The error of each version is judged against what its evaluation found.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    if kind_of(problem).monitor is None:
        raise ParamsError(
            f"`retain monitor` compares forecasts of time series with what came; problems.{name} "
            f"is of kind {problem.kind}, whose answers are never known to be right"
        )
    for path, suffix in ((metrics, ".prom"), (page, ".html")):
        if path is None:
            continue
        if path.suffix != suffix or path.is_dir() or not path.absolute().parent.is_dir():
            raise DataError(f"{path}: name a file that ends in {suffix}, in a folder that exists")
    portable_cpu.pin_cpu_kernels("portable")  # before NumPy is imported
    from retain.evaluation import report
    from retain.retraining import live

    monitored = live.monitor(root, name, problem, log, actuals, drift)
    if metrics is not None:
        files.write_bytes(metrics, monitored.exposition(name))
    if page is not None:
        files.write_text(page, report.to_html(monitored.report(name)))
    content = monitored.content()
    if as_json:
        typer.echo(files.to_json(content), nl=False)
        return
    for table in monitored.tables():
        typer.echo(f"\n{table.title}")
        printing.report_table(table, pad_edge=False, header_style="bold")
        if table.note:
            typer.echo(table.note)
    inputs = content["inputs"] or {"worse": [], "notes": []}
    for reason in inputs["worse"]:
        typer.echo(f"\nworse inputs: {reason}")
    for note in [*content["notes"], *inputs["notes"]]:
        typer.echo(f"\nnote: {note}")
