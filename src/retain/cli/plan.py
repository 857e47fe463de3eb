"""The command of `retain` that plans for many more series: `plan`."""

from typing import Annotated

import typer

from retain.cli import printing
from retain.config import kind as manifest
from retain.config import loader
from retain.errors import ParamsError
from retain.words import clipped

app = typer.Typer()
SIZES = 20  # of the table: numbers of nodes
MOST = 10**12


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
    each_node = nodes.split(",")
    if len(each_node) > SIZES:
        raise ParamsError(f"--nodes has {len(each_node)} numbers; at most {SIZES} are compared")
    wanted = _number("--series", series), [_number("--nodes", each) for each in each_node]
    printing.markdown(of_kind(problem, name, root, *wanted))


def _number(option: str, text: str) -> int:
    try:
        number = float(text)
        if 1 <= number <= MOST and number == int(number):
            return int(number)
    except (ValueError, OverflowError):
        pass
    raise ParamsError(
        f"{option} has {clipped(repr(text))}; expected a whole number from 1 to {MOST:,}, such as "
        f"64 or 1e7"
    )
