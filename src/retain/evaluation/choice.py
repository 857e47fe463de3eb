"""Which of the trained cells is judged, refitted and registered."""

import csv
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from retain.evaluation.quality_gate import MODEL
from retain.evaluation.results import AGAIN, Metrics
from retain.project import files


class Choice(TypedDict):
    """The choice as in metrics.json: the cell, and the lowest validation loss of each cell."""

    model: str
    validation_loss: dict[str, float]


def choose(register: str, folders: Mapping[str, Path]) -> Choice:
    """Choose the LSTM, or with `best` the cell with the lowest validation loss.

    Args:
        register: the value of this key in params.yaml.
        folders: the model folder of each trained cell.
    """
    losses = {cell: validation_loss(folder) for cell, folder in folders.items()}
    model = min(losses, key=lambda cell: losses[cell]) if register == "best" else MODEL
    return Choice(model=model, validation_loss=losses)


def validation_loss(folder: Path) -> float:
    """Return the lowest validation loss in a model's history.csv, the mean over its folds."""
    return statistics.fmean(
        min(float(row["validation_loss"]) for row in history(fold)) for fold in fold_folders(folder)
    )


def fold_folder(folder: Path, fold: int) -> Path:
    """Return the folder of a fold's model; for the first fold, the model folder itself."""
    return folder if fold == 1 else folder / f"fold-{fold}"


def fold_folders(folder: Path) -> list[Path]:
    """Return the model folders of all folds in a model folder, in order."""
    folders = [folder]
    while (later := fold_folder(folder, len(folders) + 1)).is_dir():
        folders.append(later)
    return folders


def history(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a model's history.csv."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def judged(metrics: Path) -> str:
    """Return the judged cell of a metrics.json; the LSTM if the file or the key is missing."""
    return str(files.read_json(metrics, AGAIN).get("model", MODEL))


def explain(
    register: str, metrics: Metrics, error: str, names: Iterable[str], label: Callable[[str], str]
) -> str:
    """Describe which cell is used, why, and the scores of the next best; empty without another.

    Args:
        register: the value of this key in params.yaml.
        error: the score of metrics.json to compare; lower is better.
        names: of the cells.
        label: returns a model's display name.
    """
    model, losses = metrics.get("model", MODEL), metrics.get("validation_loss", {})
    others = [name for name in names if name != model and name in losses]
    if not others:
        return ""
    other = min(others, key=lambda name: losses[name])
    ours, theirs = losses[model], losses[other]
    order = "lower" if theirs < ours else "higher" if theirs > ours else "same"
    scores = metrics["models"]
    why = "it has the lowest validation loss" if register == "best" else "params say so"
    return (
        f"The {label(model)} is used: {why}. The {label(other)} has the {order} validation loss, "
        f"{theirs:.4g} against {ours:.4g}, and on the test windows {error.upper()} "
        f"{scores[other][error]:.4g} against {scores[model][error]:.4g}."
    )
