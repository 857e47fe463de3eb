"""The option `--engine` of commands whose work can be done in parts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retain.errors import ParamsError
from retain.training import portable_cpu

if TYPE_CHECKING:
    from retain.config.schema import Mode

Engine = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE",
        help="What does the parts of a stage: local, local:N with N processes, ray, or command, "
        "which prints commands for other machines (docs/scale.md); the outputs are the same.",
    ),
]


def use_for(engine: str | None, output: Path | None, mode: "Mode") -> None:
    """Choose the engine of a forecast into a folder, whose parts have the same bits everywhere.

    Args:
        mode: `training.reproducible` of the problem.

    Raises:
        ParamsError: the output is no folder, and an engine is given.
    """
    from retain.engine import choice

    if output is not None and not output.suffix:
        choice.use(engine)
        portable_cpu.pin_cpu_kernels(mode)  # before NumPy is imported
    elif engine is not None:
        raise ParamsError("--engine: only a forecast into a folder (--output) is done in parts")
