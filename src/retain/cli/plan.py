"""The command of `retain` that plans for many more series: `plan`."""

from typing import Annotated

import typer

from retain.cli import printing
from retain.config import kind as manifest
from retain.config import loader
from retain.errors import ParamsError

app = typer.Typer()


@app.command()
def plan(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    series: Annotated[str, typer.Option(help="How many series there will be, such as 1e7.")],
    nodes: Annotated[str, typer.Option(help="Numbers of nodes, with commas between.")] = "1,8,64",
) -> None:
    """Measure what a problem costs here, and print what more series need on several nodes.

    Time, memory, disk and node-hours of prepare, train, evaluate and forecast, and the bottleneck.
    """
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    of_kind = manifest.require(
        manifest.kind_of(problem).plan,
        f"`retain plan` counts series; problems.{name} is of kind {problem.kind}",
    )
    wanted = _number("--series", series), [_number("--nodes", each) for each in nodes.split(",")]
    printing.markdown(of_kind(problem, name, root, *wanted))


def _number(option: str, text: str) -> int:
    try:
        number = float(text)
        if number >= 1 and number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ParamsError(f"{option} has {text!r}; expected a whole number from 1, such as 64 or 1e7")
