"""Load a trained model from its folder, whatever its kind."""

import json
from pathlib import Path

from retain.config.kind import Predictor, find_kind
from retain.errors import ModelError


def load_model(folder: Path) -> Predictor:
    """Load the model in a folder.

    Raises:
        ModelError: it is missing, damaged, or of a kind that is not installed.
    """
    name = json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"]
    kind = find_kind(name)
    if kind is None:
        raise ModelError(f"the model in {folder} is of kind {name}, which is not installed")
    return kind.predictor.load(folder)
