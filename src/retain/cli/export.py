"""`retain export`: a model as a folder that runs without retain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from retain.cli.predict import model_folder
from retain.config import loader
from retain.config.exports import Format
from retain.config.kind import find_kind, require
from retain.errors import ModelError
from retain.model_files import read_config

app = typer.Typer()


@app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            help="Name of a problem, whose champion is exported; a registered model, "
            "models:/NAME@champion or models:/NAME/3; or the folder of a model."
        ),
    ],
    output_format: Annotated[
        Format,
        typer.Option("--format", help="onnx for onnxruntime, or torch for torch.export."),
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; by default NAME-onnx or NAME-torch."),
    ] = None,
) -> None:
    """Export a forecaster as a folder that runs without retain, compared with the model.

    Normalisation and calibration are in the graph. The folder has the graph, metadata.json with the
    inputs, an example, and a script that runs it.
    """
    with _found(model) as (folder, name):
        kind = find_kind(read_config(folder)["kind"])
        if kind is None:
            raise ModelError(f"the model in {folder} is of a kind that is not installed")
        out = output or Path(f"{name}-{output_format}")
        write = require(
            kind.export,
            f"`retain export` exports forecasters; {model} is of kind {kind.name}: use it with "
            f"`{kind.command}`, or with `mlflow models serve`",
        )
        made = write(folder, out, output_format)
    large = ", within the last bits of float32 of large values" * (made.difference > 1e-5)
    typer.echo(
        f"{made.folder}/: the model {made.md5}\n"
        f"largest difference to the model: {made.difference:.1e} deviations of a series, over "
        f"{made.windows} windows{large}\n"
        f"run it with `python {made.folder / 'run.py'}`"
    )


@contextmanager
def _found(model: str) -> Iterator[tuple[Path, str]]:
    """Yield the model folder that a word names, and a short name for it."""
    if model.startswith("models:/"):
        from retain.registry import lookup

        with lookup.registered_folder(loader.find_root(), model) as folder:
            address = lookup.ADDRESS.fullmatch(model)
            assert address is not None  # else there were no such folder
            yield folder, address["name"]
    elif (Path(model) / "config.json").is_file():
        yield Path(model), Path(model).resolve().name
    else:
        root = loader.find_root()
        loader.load_problem(root, model)
        with model_folder(root, model) as folder:
            yield folder, model
