"""The commands of `retain` about a project as a whole: make it, run it, look after it."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
Wheel = Annotated[
    Path | None,
    typer.Option(help="The file retain was installed from, if the installer did not note it."),
]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Of the new project; it must be empty, or new.")],
    example: Annotated[bool, typer.Option("--example", help="With the sample problems.")] = False,
    wheel: Wheel = None,
) -> None:
    """Make a project: git and DVC, params.yaml, the pipeline, a Makefile and workflows of CI."""
    from retain.project import scaffold

    for line in scaffold.make(folder, example, wheel):
        typer.echo(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of params.yaml, by which editors complete and check it."""
    import json

    from retain.config.json_schema import params_schema

    typer.echo(json.dumps(params_schema(), indent=2, ensure_ascii=False))
