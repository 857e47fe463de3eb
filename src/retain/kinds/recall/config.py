"""The sections of a recall problem in params.yaml."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from retain.config.schema import Bootstrap, Cell, Presets, Section
from retain.config.schema import Problem as CommonProblem
from retain.config.schema import Training as CommonTraining

# The dependency of generated examples: DVC refuses a stage whose `path` is missing.
MADE_BY = "pipelines/prepare.py"
FORMER_PATH = "src/retain/recall/made.py"
LEAST_GAP = {"adding": 2, "agreement": 8}
Gaps = tuple[Annotated[int, Field(ge=1)], ...]
# Default values of the section `training`; `accurate` trains longer.
TRAINING = {"cells": ["lstm", "gru", "rnn"], "batch_size": 32, "epoch_steps": 50}
PRESETS: Presets = {
    "fast": {"training": {**TRAINING, "max_epochs": 10, "patience": 100}},
    "accurate": {"training": {**TRAINING, "max_epochs": 40, "patience": 100}},
}


class Data(Section):
    """The source of the examples, and their number.

    A gap is the number of steps between the token to remember and the question. `copy`, `adding`
    and `agreement` are generated: `train` examples in total, the same number of each training gap,
    and `validation` and `test` examples of each gap. `babi` reads the folder `path` in the format
    of the bAbI tasks.
    """

    source: Literal["copy", "adding", "agreement", "babi"]  # made here, or read: babi
    path: str = MADE_BY  # of the stories of babi; else what DVC watches
    train_gaps: Gaps = (10, 30, 100, 300)  # steps between the token to remember and the question
    test_gaps: Gaps = (10, 30, 100, 300, 1000)  # longer ones are never trained on
    symbols: int = Field(8, ge=2, le=26)  # different tokens to remember
    train: int = Field(16_000, ge=1, le=10_000_000)  # examples in all
    validation: int = Field(200, ge=1, le=10_000_000)  # examples of each training gap
    test: int = Field(500, ge=1, le=10_000_000)  # examples of each test gap
    seed: int = Field(1, ge=0, lt=2**31)  # of the examples
    tasks: tuple[int, ...] = ()  # numbers of the bAbI tasks; all without one
    validation_share: float = Field(0.1, gt=0, lt=1)  # of the stories

    @field_validator("train_gaps", "test_gaps")
    @classmethod
    def _increasing(cls, value: Gaps) -> Gaps:
        if not value or list(value) != sorted(set(value)):
            raise ValueError("gaps must increase")
        return value

    @model_validator(mode="after")
    def _suits_the_source(self) -> Self:
        if self.source == "babi" and "path" not in self.model_fields_set:
            raise ValueError("babi is read: path must name the folder of the stories")
        least = LEAST_GAP.get(self.source, 1)
        if min(self.train_gaps + self.test_gaps) < least:
            raise ValueError(f"{self.source} takes gaps of {least} and more")
        return self


class Model(Section):
    """The networks; `hidden_size` is the LSTM's, other cells get a size with as many parameters.

    With `chrono`, gated cells start with a memory of up to that many steps (Tallec & Ollivier
    2018); without it an LSTM's forget gate starts with a bias of 1, a GRU's update gate with 0.
    """

    hidden_size: int = Field(24, ge=1, le=16_384)  # of the LSTM; others have as many parameters
    chrono: int | None = Field(None, ge=3)  # gated cells begin with memories of up to so many steps


class Training(CommonTraining):
    """As for every kind, but each cell is trained with several seeds and learning rates.

    Each cell has the same number of rates; the one with the lowest validation loss over all seeds
    is kept. Seeds are counted from `seed`. The loss is that of the answer alone (`answer`) or, as
    in a language model, of each next word, the last of which is the answer (`words`).
    """

    objective: Literal["answer", "words"] = "answer"  # words: each next word, too
    learning_rates: dict[Cell, tuple[float, ...]] = Field({})  # as many for each cell
    seeds: int = Field(3, ge=1, le=1_000)  # networks of each cell and rate

    @field_validator("learning_rates")
    @classmethod
    def _as_many_for_each(cls, value: dict[Cell, tuple[float, ...]]) -> dict[Cell, Any]:
        if any(not 0 < rate < 1 for rates in value.values() for rate in rates):
            raise ValueError("a learning rate lies between 0 and 1")
        if len({len(rates) for rates in value.values()}) > 1 or () in value.values():
            raise ValueError("try as many rates for each cell, at least one: that is fair")
        return value

    @model_validator(mode="after")
    def _a_list_for_each_cell(self) -> Self:
        for cell in self.cells if self.learning_rates else ():
            if cell not in self.learning_rates:
                raise ValueError(f"learning_rates has none for {cell}")
        return self

    def rates(self, cell: Cell) -> tuple[float, ...]:
        """Return the learning rates to try."""
        return self.learning_rates.get(cell, (self.rate(cell),))


class Evaluation(Bootstrap):
    """How test sequences are scored: the accuracy for the memory horizon, and the bootstrap."""

    threshold: float = Field(0.95, gt=0, le=1)  # share of right answers that counts as remembered


class Problem(CommonProblem):
    """A recall problem."""

    ERRORS = ("error",)
    PRESETS = PRESETS
    TASK = "text-classification"
    BASELINES = ("rnn", "gru")

    kind: Literal["recall"]  # the answer to a question at the end of a sequence
    data: Data  # the examples
    model: Model = Model()  # the network
    training: Training = Training()
    evaluation: Evaluation = Evaluation()  # how the test part is scored

    @property
    def purpose(self) -> str:
        """Return a sentence about what a model answers."""
        return f"Answers a question at the end of a sequence of the source `{self.data.source}`."

    @field_validator("register_cell")
    @classmethod
    def _validation_losses_are_no_choice(cls, value: str) -> str:
        if value == "best":
            raise ValueError(
                "the validation loss of a recall problem is a mean over learning rates, by which "
                "no cell is chosen; take lstm"
            )
        return value

    @model_validator(mode="after")
    def _has_words_to_predict(self) -> Self:
        if self.training.objective == "words" and self.data.source == "adding":
            raise ValueError("training.objective words: adding has numbers, no words; take answer")
        return self

    def advice(self) -> tuple[str, ...]:
        """Raise an error for the path of an earlier version, which no longer exists."""
        if self.data.path != FORMER_PATH:
            return super().advice()
        return (
            *super().advice(),
            f"data.path is {FORMER_PATH}, and {self.data.source} is made, not read: write "
            f"`path: {MADE_BY}`, which DVC watches instead",
        )
