"""What the commands of sequences ask a kind for, shared by the commands and the manifests."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd


class ChatSession(Protocol):
    """A conversation with a model (`retain chat`)."""

    def reply(self, line: str) -> str:
        """Reply to a line; DataError if the model cannot read it."""

    def forget(self) -> None:
        """Begin another conversation."""

    def held(self) -> "pd.DataFrame":
        """Return what the cell holds of each fact's word; ModelError without an LSTM."""


class OpenChat(Protocol):
    """Begin a conversation with the model in a folder."""

    def __call__(self, folder: Path) -> ChatSession:
        """Load the model; ModelError if it is damaged or missing."""
