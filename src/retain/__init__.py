"""retain: LSTM models of sequences that can be retrained, compared and proved."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retain.api import Evaluation, Model, Project, Registered, load, train

__version__ = "0.1.0"
__all__ = ["Evaluation", "Model", "Project", "Registered", "__version__", "load", "train"]


def __getattr__(name: str) -> Any:
    """Import the Python API when it is asked for: the commands and stages do without it."""
    if name in __all__:
        return getattr(import_module("retain.api"), name)
    raise AttributeError(f"module 'retain' has no attribute {name!r}")
