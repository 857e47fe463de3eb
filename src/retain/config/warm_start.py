"""The keys of `training` that say from which weights a network starts."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from retain.config.section import Section

SHARE = 0.5  # of the updates from scratch, for a training that starts from trained weights

FolderMd5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\.dir$")]


class WarmStart(Section):
    """Where the weights of a network come from before its training.

    Attributes:
        warm_start: `none`, random weights; `champion`, those of `parent`.
        parent: the md5 of a model folder for each cell, as in dvc.lock; random weights where none
            is given. `retain warm-start` and a retraining write those of the champion, so that an
            output stays a function of data, params and code.
    """

    SPARED: ClassVar[tuple[str, ...]] = ("warm_start", "parent")

    warm_start: Literal["none", "champion"] = "none"
    parent: dict[Literal["lstm", "rnn", "gru"], FolderMd5] = Field({})

    @property
    def parents(self) -> dict[str, str]:
        """The md5 of the model that each cell starts from; empty for random weights."""
        return {} if self.warm_start == "none" else {str(c): md5 for c, md5 in self.parent.items()}

    @model_validator(mode="after")
    def _each_cell_has_a_parent(self) -> Self:
        missing = [cell for cell in getattr(self, "cells", ()) if cell not in self.parent]
        if self.parents and missing:
            raise ValueError(
                f"parent names no model of {missing[0]}: all cells start warm, or none; remove "
                f"`parent`, and they start from random weights"
            )
        return self
