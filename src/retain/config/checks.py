"""The checks of a quality gate, as params.yaml names them."""

from typing import Annotated, Literal

from pydantic import Field

from retain.config.section import Section


class FiniteCheck(Section):
    """Every figure of the model is a finite number."""

    check: Literal["finite"]


class BeatsCheck(Section):
    """Better than a baseline: the whole interval of the difference is below zero."""

    check: Literal["beats"]
    baseline: str  # what the model must beat
    metric: str = ""  # an error of the kind; without one its first


class TiesCheck(Section):
    """Better than a baseline, or worse by at most `margin`, a share of its error.

    The whole interval of the difference is below the margin; or the interval contains zero, and the
    difference itself is within the margin.
    """

    check: Literal["beats_or_ties"]
    baseline: str  # what the model must beat, or tie with
    metric: str = ""  # an error of the kind; without one its first
    margin: float = Field(0.0, ge=0, lt=1)  # share of the baseline's error


class CoverageCheck(Section):
    """The 80 % interval covers 80 % of the test values, give or take `tolerance` and chance.

    The share of the values at or below each quantile must be as near to the quantile's level.
    """

    check: Literal["coverage"]
    tolerance: float = Field(0.05, gt=0, lt=1)  # share of the values


class AtLeastCheck(Section):
    """A figure of the model is at least a given value."""

    check: Literal["at_least"]
    metric: str  # a figure of the model in metrics.json
    value: float  # that the figure has at least


class ChampionCheck(Section):
    """Better than the current champion on the same test windows by more than `margin`.

    The whole interval of the difference must be beyond the margin, a share of the champion's error.
    """

    check: Literal["champion"]
    metric: str = ""  # an error of the kind; without one its first
    margin: float = Field(0.0, ge=0, lt=1)  # share of the champion's error


Check = Annotated[
    FiniteCheck | BeatsCheck | TiesCheck | CoverageCheck | AtLeastCheck | ChampionCheck,
    Field(discriminator="check"),
]
