"""A trained model from its folder, whatever its kind."""

import json
from pathlib import Path
from typing import Any

from retain.config.schema import room_of


def load_model(folder: Path) -> Any:
    """The model in a folder, as the room `serving` of its kind loads it."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["kind"]
    return room_of(kind, "serving").load(folder)
