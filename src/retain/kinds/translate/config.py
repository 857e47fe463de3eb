"""The sections of a translation problem in params.yaml."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from retain.config.schema import Bootstrap, Presets, Section
from retain.config.schema import Problem as CommonProblem
from retain.config.schema import Training as CommonTraining

NO_ATTENTION = "no_attention"  # the folder of a cell without attention, in that of the cell with it
# `model` and `training` where params.yaml has no other value; `accurate` trains longer.
TRAINING = {
    "cells": ["lstm", "gru", "rnn"],
    "learning_rate": {"lstm": 1.2e-2, "gru": 8e-3, "rnn": 2e-3},
    "ema_decay": 0.999,
    "patience": 100,
}
PRESETS: Presets = {
    "fast": {"training": {**TRAINING, "max_epochs": 16}},
    "accurate": {"model": {"hidden_size": 256}, "training": {**TRAINING, "max_epochs": 80}},
}


class Data(Section):
    """Which pairs of sentences, and how they are cut into pieces and parts.

    `path` is a table of UTF-8 with a pair a line, SOURCE TAB TARGET; more columns are not read. Or
    it is a folder with two files, `source` and `target`, that have a sentence a line and as many
    lines. All may be compressed by gzip. Pairs with more than `max_words` words on a side are left
    out, and with `common_words` those with a word that is not among so many commonest of its
    language. Each language has `pieces` pieces of words (byte pair encoding, Sennrich et al. 2016).

    Pairs that share a source or a target are in one part; `validation` and `test` count pairs.
    """

    path: str  # table of pairs, or folder of two files
    source: str | None = None  # file in the folder
    target: str | None = None  # file in the folder
    languages: tuple[str, str] = ("source", "target")  # names of the two languages, for people
    max_words: int = Field(30, ge=1, le=1000)  # of a sentence on either side
    common_words: tuple[int, int] | None = None  # only pairs of so many commonest words
    pieces: int = Field(2200, ge=50, lt=2**16)  # of words, in each language
    validation: int = Field(500, ge=1, le=1_000_000)  # pairs
    test: int = Field(1000, ge=1, le=1_000_000)  # pairs
    seed: int = Field(1, ge=0, lt=2**31)  # of the draw of the parts

    @model_validator(mode="after")
    def _both_files_or_none(self) -> Self:
        if (self.source is None) != (self.target is None):
            raise ValueError("name both source and target, files in the folder path, or neither")
        if self.source is not None and self.source == self.target:
            raise ValueError("source and target are the same file")
        return self


class Model(Section):
    """The networks; `hidden_size` is the LSTM's, others get the size with as many parameters.

    With `reverse` the source is read from its end (Sutskever et al. 2014). `bidirectional` adds a
    second encoder that reads it in the other direction (Bahdanau et al. 2015).
    """

    hidden_size: int = Field(144, ge=1, le=16_384)  # of the LSTM; others: as many parameters
    embedding_size: int = Field(128, ge=1, le=16_384)  # numbers learned for each piece
    layers: int = Field(1, ge=1, le=64)  # recurrent layers
    dropout: float = Field(0.1, ge=0, lt=1)  # share of values that are dropped in training
    attention: Literal["dot", "none"] = "dot"  # of the decoder to the encoder
    reverse: bool = True  # read the source from its end
    bidirectional: bool = False  # read the source from both ends


class Training(CommonTraining):
    """As for every kind; an example is a group of `sentences` pairs of similar length.

    `smoothing` is the share of the label that all pieces have (Szegedy et al. 2016). With
    `no_attention` each cell is trained without attention, too, to compare it with.
    """

    batch_size: int = Field(1, ge=1, le=1_000_000)  # groups of sentences in an update
    sentences: int = Field(32, ge=1, le=1_000_000)  # pairs of similar length in a group
    smoothing: float = Field(0.1, ge=0, lt=1)  # share of the label that all pieces have
    no_attention: bool = True  # train each cell without attention, too, to compare


class Evaluation(Bootstrap):
    """How the test part is translated and scored.

    `beam` hypotheses are kept at each step; 1 is greedy. The bootstrap draws groups of pairs.
    """

    beam: int = Field(5, ge=1, le=100)  # translations that are followed at once; 1 is greedy
    bootstrap: int = Field(1000, ge=100, le=1_000_000)  # resamples behind an interval


class Problem(CommonProblem):
    """A translation problem."""

    ERRORS = ("chrf_error", "bleu_error")
    PRESETS = PRESETS
    TASK = "translation"
    BASELINES = (
        *("rnn", "gru", "lstm_no_attention", "rnn_no_attention", "gru_no_attention"),
        *("nearest", "word_by_word"),
    )

    kind: Literal["translate"]  # a sentence in another language
    data: Data
    model: Model = Model()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    @property
    def purpose(self) -> str:
        """Say what is translated."""
        source, target = self.data.languages
        return f"Translates sentences from {source} to {target}."

    @property
    def beside(self) -> Mapping[str, Self]:
        """The same cells without attention."""
        if self.model.attention == "none" or not self.training.no_attention:
            return {}
        model = self.model.model_copy(update={"attention": "none"})
        return {NO_ATTENTION: self.model_copy(update={"model": model})}
