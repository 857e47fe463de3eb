"""The sections of a chat problem in params.yaml."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from retain.config.schema import Bootstrap, Cell, Presets, Section
from retain.config.schema import Problem as CommonProblem
from retain.config.schema import Training as CommonTraining

# The dependency of generated conversations: DVC refuses a stage whose `path` is missing.
MADE_BY = "pipelines/prepare.py"
Turns = Annotated[int, Field(ge=2, le=10_000)]
# `model` and `training` where params.yaml has no other value; `accurate` trains longer.
TRAINING = {
    **{"cells": ["lstm", "gru", "rnn"], "batch_size": 32, "learning_rate": 5e-3},
    **{"epoch_steps": 50, "patience": 1000, "warmup_fraction": 0.02},
}
PRESETS: Presets = {
    "fast": {"training": {**TRAINING, "max_epochs": 16}},
    "accurate": {"training": {**TRAINING, "max_epochs": 48}},
}


class Data(Section):
    """The source of the conversations.

    `introductions` are generated: for training, other ones in each epoch, whose number of turns is
    between the two of `turns`; for the other parts, `validation` and `test` conversations of
    `test_turns` turns each. `folder` reads
    the files of the folder `path`: a line has the words of a person, a tab, and the reply; an empty
    line is between two conversations. Its last conversations are kept for validation and test.
    """

    source: Literal["introductions", "folder"]  # generated, or read
    path: str = MADE_BY  # folder of conversations
    turns: tuple[Turns, Turns] = (16, 48)  # of a generated training conversation
    test_turns: Turns = 80  # of each conversation of the validation and test part
    validation: int = Field(64, ge=1, le=1_000_000)  # generated conversations
    test: int = Field(300, ge=1, le=1_000_000)  # generated conversations
    seed: int = Field(1, ge=0, lt=2**31)  # of the generated conversations
    validation_share: float = Field(0.1, gt=0, lt=1)  # of the conversations of a folder
    test_share: float = Field(0.1, gt=0, lt=1)  # of the conversations of a folder

    @model_validator(mode="after")
    def _suits_the_source(self) -> Self:
        if self.source == "folder" and "path" not in self.model_fields_set:
            raise ValueError("folder is read: path must name the folder of the conversations")
        if self.turns[0] > self.turns[1]:
            raise ValueError("turns: the first number is the least, the second the most")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on")
        return self


class Model(Section):
    """The networks; `hidden_size` is the LSTM's, others get the size with as many parameters.

    With `chrono`, gated cells remember up to that many words before any training (Tallec & Ollivier
    2018).
    """

    hidden_size: int = Field(128, ge=1, le=16_384)  # of the LSTM; others: as many parameters
    embedding_size: int = Field(64, ge=1, le=16_384)  # numbers learned for each word
    chrono: int | None = Field(150, ge=3)  # words that gated cells remember at first


class Training(CommonTraining):
    """As for every kind; besides, a word that is asked for counts `fact_weight` times in the loss.

    The first share `drills` of the epochs has short conversations, of between the two numbers of
    `drill_turns`, in which a fact is asked for soon after it was told. `cell_epochs` has the number
    of epochs of cells that get fewer than the others, so that all train for about as long.
    """

    drills: float = Field(0.75, ge=0, lt=1)  # share of the epochs with short conversations
    drill_turns: tuple[Turns, Turns] = (4, 8)  # of a short conversation
    cell_epochs: dict[Cell, Annotated[int, Field(ge=1)]] = Field({})  # of cells with fewer
    fact_weight: float = Field(4.0, ge=1, le=1000)  # of a word that is asked for, in the loss


class Problem(CommonProblem):
    """A chat problem."""

    ERRORS = ("error",)
    PRESETS = PRESETS
    TASK = "text-generation"
    BASELINES = ("rnn", "gru", "not_told", "most_frequent", "last_named")

    kind: Literal["chat"]  # the replies to the lines of a conversation
    data: Data
    model: Model = Model()
    training: Training = Training()
    evaluation: Bootstrap = Bootstrap()

    @property
    def purpose(self) -> str:
        """Return a sentence about what a model answers."""
        return "Replies to the lines of a conversation, and remembers what was said in it."
