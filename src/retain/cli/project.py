"""The commands of `retain` about a whole project: create, run, upgrade and check it."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from retain.cli.engines import Engine
from retain.errors import ParamsError

app = typer.Typer()
Wheel = Annotated[
    Path | None,
    typer.Option(
        help="The wheel that retain was installed from, if the installer did not record it."
    ),
]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Of the new project; it must be empty, or new.")],
    example: Annotated[bool, typer.Option("--example", help="With the sample problems.")] = False,
    wheel: Wheel = None,
) -> None:
    """Create a project: git and DVC, params.yaml, the pipeline, a Makefile and CI workflows."""
    from retain.project import scaffold

    made, warnings = scaffold.make(folder, example, wheel)
    for line in (made, *warnings):
        typer.echo(line)
    typer.echo(f"next: cd {shlex.quote(str(folder))} && make setup && . .venv/bin/activate")
    typer.echo("then: retain run" if example else "then: retain add NAME TABLE --horizon STEPS")


@app.command()
def run(
    names: Annotated[
        list[str] | None, typer.Argument(help="Problems; all if none is given.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run even if nothing changed.")] = False,
    engine: Engine = None,
) -> None:
    """Train, score, judge and register what has changed; then print the results.

    Stages and records are those of `dvc repro register@NAME`. With `--engine local:N`, up to N
    problems run at once.
    """
    from retain.cli import forked, models
    from retain.config import loader, plugins
    from retain.engine import choice
    from retain.project import lock_file, managed

    choice.use(engine)
    root = loader.find_root()
    problems = loader.some(root, names or [])
    if not problems:
        raise ParamsError(
            "params.yaml has no problem yet: `retain add NAME TABLE --horizon STEPS` makes one"
        )
    os.chdir(root)
    if mended := lock_file.mend(root):
        typer.echo(mended)
    if watched := managed.watch(root, plugins.folders()):
        typer.echo(watched)
    code = forked.run(problems, ["--force"] if force else [], choice.chosen())
    if code:
        raise typer.Exit(code)
    models.results([*problems])


@app.command()
def stage(
    stage: Annotated[str, typer.Argument(help="prepare, evaluate, forecast or replay.")],
    name: Annotated[str, typer.Argument(help="Of the problem; of a forecast, as its line has it.")],
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Which share of the parts, such as 3/8.")
    ],
) -> None:
    """Do a share of the parts that a command with `--engine command` waits for.

    It prints these lines, for an array of SLURM, an indexed job of Kubernetes, or Airflow.
    """
    from retain.config import loader
    from retain.engine import command

    done, parts = command.do_share(loader.find_root(), stage, name, part)
    before = f", {parts - done} of them before" if parts > done else ""
    typer.echo(f"{stage} of {name}, share {part}: {parts} part{'s' * (parts != 1)} done{before}")


@app.command()
def upgrade(
    to: Annotated[str, typer.Option(metavar="VERSION", help="Fetch this release first.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")
    ] = False,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder with the wheel of VERSION; by default wheels/.")
    ] = None,
    wheel: Wheel = None,
) -> None:
    """Upgrade a project's managed files and lock to the installed release, or to VERSION.

    Prints what will be trained again, and why. Files that you changed are kept.
    """
    from retain.config import loader, release
    from retain.retraining import upgrade as upgrading

    root = loader.find_root(any_release=True)
    if to and to != release.version():
        raise typer.Exit(upgrading.install(root, to, dry_run, wheels))
    todo = upgrading.plan(root, wheel)
    if not dry_run:
        upgrading.carry_out(root, todo)
    for line in upgrading.describe(root, todo, dry_run):
        typer.echo(line)
    if not dry_run:
        names = " ".join([*todo.written, *todo.removed])
        typer.echo("next: make setup, then commit")
        if names:
            typer.echo(f"to take it back: git restore -- {names} && make setup")


@app.command()
def schema() -> None:
    """Print the JSON Schema of params.yaml, with which editors complete and check it."""
    import json
    from contextlib import suppress

    from retain.config import loader
    from retain.config.json_schema import params_schema

    with suppress(ParamsError):  # outside of a project, or in one that is not right: the rest
        loader.read(loader.find_root(any_release=True))
    typer.echo(json.dumps(params_schema(), indent=2, ensure_ascii=False))


@app.command()
def doctor() -> None:
    """Check the set-up: print what is wrong, and how to fix it. Exit code 1: something is wrong.

    Checks Python, versions, git, DVC and its remote, MLflow's store, disk, locks.
    """
    from retain.config import loader
    from retain.retraining.doctor import WRONG, examine

    findings = []
    for finding in examine(loader.find_root(any_release=True)):
        findings.append(finding)
        typer.echo(finding)
    raise typer.Exit(any(finding.state == WRONG for finding in findings))
