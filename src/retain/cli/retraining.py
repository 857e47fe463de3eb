"""The commands of `retain` about new data and retraining."""

from typing import Annotated

import typer

from retain.cli.engines import Engine
from retain.config import loader
from retain.config.kind import kind_of, require
from retain.project import files
from retain.project.layout import Layout
from retain.training import portable_cpu

app = typer.Typer()
Name = Annotated[str, typer.Argument(help="Name of the problem in params.yaml.")]


@app.command()
def replay(
    name: Name,
    start: Annotated[str, typer.Option("--from", help="First date, or step, at which to retrain.")],
    every: Annotated[str, typer.Option(help="Time, or steps, between two.")] = "30d",
    engine: Engine = None,
) -> None:
    """Retrain at dates of the past, and compare the error and the cost of each retraining policy.

    Writes reports/NAME/replay.md, .csv and .svg. A run that was stopped continues.
    """
    from retain.engine import choice

    choice.use(engine)
    root = loader.find_root()
    problem = loader.load_problem(root, name)
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)  # before NumPy is imported
    backtest = require(
        kind_of(problem).backtest,
        f"{name} is of kind {problem.kind}, whose data have no dates to replay",
    )
    result = backtest(problem, name, root, every, start)
    folder = Layout(root, name).reports
    folder.mkdir(parents=True, exist_ok=True)
    table = result.table()
    text = result.markdown(name, every)
    files.write_text(folder / "replay.csv", table.to_csv(index=False, float_format="%.6g"))
    files.write_text(folder / "replay.svg", result.figure())
    files.write_text(folder / "replay.md", f"{text}\n\n![Error over time](replay.svg)\n")
    typer.echo(f"\n{text}\n\nwritten: {folder.relative_to(root)}/replay.md, .csv, .svg")


@app.command("warm-start")
def warm_start(name: Name) -> None:
    """Write the champion into params.yaml as the model that the next training starts from.

    A retraining does it by itself, where training.warm_start is champion.
    """
    from retain.registry import parents

    typer.echo(parents.follow_champion(loader.find_root(), name))


@app.command()
def changes(
    base: Annotated[
        str, typer.Argument(envvar="BASE", help="Commit or branch to compare with.")
    ] = "origin/main",
) -> None:
    """Print which stages would run, and how params and metrics differ from another commit."""
    from retain.retraining import changes, steps

    steps.echo(changes.markdown(loader.find_root(), base))
