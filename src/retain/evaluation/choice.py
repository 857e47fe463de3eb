"""Which of the trained cells is judged, refitted and registered."""

import csv
import json
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypedDict

from retain.evaluation.quality_gate import MODEL
from retain.evaluation.results import Metrics


class Choice(TypedDict):
    """What metrics.json says of the choice: the cell, and the least validation loss of each."""

    model: str
    validation_loss: dict[str, float]


def choose(register: str, folders: Mapping[str, Path]) -> Choice:
    """Choose the cell that params name: the LSTM, or with `best` that of the least validation loss.

    Args:
        register: what params.yaml says under this key.
        folders: the model folder of each trained cell.
    """
    losses = {cell: validation_loss(folder) for cell, folder in folders.items()}
    model = min(losses, key=lambda cell: losses[cell]) if register == "best" else MODEL
    return Choice(model=model, validation_loss=losses)


def validation_loss(folder: Path) -> float:
    """Return the least validation loss in a model's history.csv, the mean over its folds."""
    return statistics.fmean(
        min(float(row["validation_loss"]) for row in history(fold)) for fold in fold_folders(folder)
    )


def fold_folders(folder: Path) -> list[Path]:
    """Return the model folders of the folds, in order: the first one's is `folder` itself."""
    later = [path for path in folder.glob("fold-*") if path.is_dir()]
    return [folder, *sorted(later, key=lambda path: int(path.name.removeprefix("fold-")))]


def history(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a model's history.csv."""
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def judged(metrics: Path) -> str:
    """Return the cell that a metrics.json judges; the LSTM where it, or its key, is not there."""
    content = json.loads(metrics.read_text(encoding="utf-8")) if metrics.is_file() else {}
    return str(content.get("model", MODEL))


def explain(
    register: str, metrics: Metrics, error: str, names: Iterable[str], label: Callable[[str], str]
) -> str:
    """Say which cell is used and why, and what the next best would give; empty without another.

    Args:
        register: what params.yaml says under this key.
        error: the score of metrics.json to compare, the less the better.
        names: of the cells.
        label: returns a model's name for a person.
    """
    model, losses = metrics.get("model", MODEL), metrics.get("validation_loss", {})
    others = [name for name in names if name != model and name in losses]
    if not others:
        return ""
    other = min(others, key=lambda name: losses[name])
    ours, theirs = losses[model], losses[other]
    order = "lower" if theirs < ours else "higher" if theirs > ours else "same"
    scores = metrics["models"]
    why = "it has the least validation loss" if register == "best" else "params say so"
    return (
        f"The {label(model)} is used: {why}. The {label(other)} has the {order} validation loss, "
        f"{theirs:.4g} against {ours:.4g}, and on the test windows {error.upper()} "
        f"{scores[other][error]:.4g} against {scores[model][error]:.4g}."
    )
