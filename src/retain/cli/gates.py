"""The command of `retain` that shows the gates of an LSTM; `cli.py` takes it in."""

from pathlib import Path
from typing import Annotated

import typer

from retain.config import schema
from retain.errors import DataError, ParamsError
from retain.evaluation import quality_gate
from retain.project import files

app = typer.Typer()


@app.command()
def gates(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    what: Annotated[str | None, typer.Argument(help="What the model reads: a sentence.")] = None,
    series: Annotated[str | None, typer.Option(help="What it reads of a table.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Of a table: the first time stamp to forecast.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A page, .html, or a figure, .svg.")
    ] = Path("gates.html"),
    model: Annotated[str, typer.Option(help="A cell of models/NAME/.")] = quality_gate.MODEL,
) -> None:
    """Write a page that shows an LSTM's gates and cell state, step by step and unit by unit.

    Of a table it is the newest test window, or one of those that --series and --at name.
    """
    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if not schema.has_room(problem, "gates"):
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
    folder = root / "models" / name / model
    shown = schema.room(problem, "gates").inspect(problem, name, root, folder, wanted, at)
    files.write_text(output, page(shown) if output.suffix == ".html" else heat_maps(shown))
    typer.echo(f"{shown.title}: {len(shown.steps)} steps, in {output}")
