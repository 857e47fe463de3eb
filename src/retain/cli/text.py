"""The commands of `retain` for problems of text; `cli.py` takes them in."""

from typing import Annotated

import typer

from retain.config import schema
from retain.config.kind import COMMANDS
from retain.errors import ParamsError

app = typer.Typer()
SHOWN = 5  # likeliest units


@app.command()
def complete(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    text: Annotated[str, typer.Argument(help="The beginning; blanks at its end count.")],
    length: Annotated[int, typer.Option(min=1, help="Letters, or words, to go on with.")] = 60,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Below 1, likelier ones are drawn more often.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 1,
) -> None:
    """Say what comes next in a text, and go on with it, by the champion of a text problem."""
    from retain.registry import registry

    root = schema.find_root()
    problem = schema.load_problem(root, name)
    if problem.kind != "text":
        raise ParamsError(
            f"`retain complete` goes on with a text; problems.{name} is of kind {problem.kind}: "
            f"`{COMMANDS.get(problem.kind, 'retain results')} {name}`"
        )
    with registry.champion_folder(root, name) as folder:
        served = schema.room(problem, "serving").load(folder)
    tokens = served.read(text)
    for unit, share in served.following(tokens)[:SHOWN]:
        typer.echo(f"{100 * share:5.1f} %  {unit!r}")
    typer.echo(f"{text}{served.continued(tokens, length, temperature, seed)}")
