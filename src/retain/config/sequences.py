"""The parts of kinds that answer a sequence: `retain ask`, `complete`, `translate`, `chat`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pandas as pd

    from retain.evaluation.arrays import Floats


class Ask(Protocol):
    """Answer a sequence: answers with their probabilities, the likeliest first (`retain ask`)."""

    def __call__(self, folder: Path, sequence: str) -> Sequence[tuple[str, float | None]]:
        """Answer with the model in a folder."""


class Complete(Protocol):
    """Continue a text: the likeliest next units, and a continuation (`retain complete`)."""

    def __call__(
        self, folder: Path, text: str, length: int, temperature: float, seed: int
    ) -> tuple[Sequence[tuple[str, float]], str]:
        """Continue with the model in a folder."""


@dataclass(frozen=True)
class Translation:
    """A translation of a sentence.

    Attributes:
        probability: of this translation among all texts.
        source, target: the pieces of words that the network read and wrote.
        attention: of each piece of the target, and of its end, to each of the source:
            (target + 1, source); None for a network without attention.
    """

    text: str
    probability: float
    source: list[str]
    target: list[str]
    attention: "Floats | None"


class Translate(Protocol):
    """Translate a sentence: several translations, the best first (`retain translate`)."""

    def __call__(self, folder: Path, text: str, beam: int) -> Sequence[Translation]:
        """Translate with the model in a folder."""


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
