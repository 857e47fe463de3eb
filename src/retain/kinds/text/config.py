"""The sections of a text problem in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from retain.config.schema import Bootstrap, Cell, Presets, Section
from retain.config.schema import Problem as CommonProblem
from retain.config.schema import Training as CommonTraining

# `model` and `training` where params.yaml has no other value; `accurate` trains longer.
TRAINING = {"cells": ["lstm", "gru", "rnn"], "learning_rate": 5e-3, "patience": 100}
PRESETS: Presets = {
    "fast": {"model": {"hidden_size": 128}, "training": {**TRAINING, "max_epochs": 8}},
    "accurate": {"model": {"hidden_size": 256}, "training": {**TRAINING, "max_epochs": 20}},
}


class Data(Section):
    """Which text, in which units, and how much of its end is kept for validation and test.

    `path` is a file of UTF-8, which may be compressed by gzip, or a folder of such files. With
    `blanks: one` any run of blanks, tabs and line ends is one blank. The vocabulary is the `words`
    most frequent words, all others being one, or all letters of the training part.
    """

    path: str  # a file of UTF-8, which may be compressed by gzip, or a folder of such files
    unit: Literal["letter", "word"] = "letter"  # what is predicted
    lower: bool = True  # whether capital letters become small ones
    blanks: Literal["one", "keep"] = "one"  # one: a run of blanks, tabs and line ends is one blank
    words: int = Field(5000, ge=1, lt=2**16)  # units in the vocabulary, if units are words
    validation_share: float = Field(0.1, gt=0, lt=1)  # of the text, before the test part
    test_share: float = Field(0.1, gt=0, lt=1)  # of the text, at its end

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on")
        return self


class Model(Section):
    """The networks; `hidden_size` is the LSTM's, others get the size with as many parameters."""

    hidden_size: int = Field(128, ge=1, le=16_384)  # of the LSTM; others have as many parameters
    embedding_size: int = Field(32, ge=1, le=16_384)  # numbers learned for each unit
    layers: int = Field(1, ge=1, le=64)  # recurrent layers
    dropout: float = Field(0.0, ge=0, lt=1)  # share of the outputs that is dropped in training


class Training(CommonTraining):
    """As for every kind; besides, an example is a stretch of `chunks` times `chunk` units.

    The state is carried from chunk to chunk of a stretch, the gradient is not. `cell_epochs` has
    the number of epochs of cells that get fewer than the others, so that all train for about as
    long.
    """

    batch_size: int = Field(16, ge=1, le=1_000_000)  # stretches in an update of the weights
    chunk: int = Field(64, ge=1, le=1_000_000)  # units that a gradient goes back
    chunks: int = Field(4, ge=1, le=1_000_000)  # over which the state is carried, in a stretch
    cell_epochs: dict[Cell, Annotated[int, Field(ge=1)]] = Field({})  # of cells with fewer


class Evaluation(Bootstrap):
    """How the test part is scored: `block` consecutive units are drawn together."""

    block: int = Field(500, ge=1, le=1_000_000)  # units in a row that the bootstrap draws together
    length: int = Field(200, ge=1, le=1_000_000)  # units that each network of the report continues
    temperature: float = Field(0.5, gt=0)  # of that continuation; a low one keeps to likely units


class Problem(CommonProblem):
    """A text problem, whole."""

    ERRORS = ("bits",)
    PRESETS = PRESETS
    TASK = "text-generation"
    BASELINES = ("rnn", "gru", "unigram", "bigram", "trigram", "fivegram")

    kind: Literal["text"]  # the next letter, or word, of a text
    data: Data  # the text
    model: Model = Model()  # the network
    training: Training = Training()
    evaluation: Evaluation = Evaluation()  # how the test part is scored

    @property
    def purpose(self) -> str:
        """Say what is predicted."""
        return f"Gives the probability of the next {self.data.unit} of a text."
