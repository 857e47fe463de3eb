"""What a made table means."""

from dataclasses import dataclass, field

import pandas as pd

Series = dict[str, dict[pd.Timestamp, float]]  # the values by series and time


@dataclass(frozen=True)
class Truth:
    """What a made table means, and what whoever made it answers.

    Attributes:
        series: the values that are there, by series and time.
        holds: the period that a stamp tells, as pandas calls it; empty where it is the moment,
            order where it has no date, hour where it is the hour, by its beginning or its end.
        zoned: whether the times are in UTC, else on the wall.
        days: how long a step is; None where there is no grid.
        roles: the key of params.yaml for each other column, empty where none should use it.
        answers: by option of `retain add`, what is typed behind it, once a value.
        unsure: times that may be left out, such as those of a day that is not over.
        doubtful: why nothing may be chosen without a question.
        cure: what an error says where only the file can be corrected, a regular expression.
    """

    series: Series
    holds: str = ""
    zoned: bool = False
    days: float | None = None
    roles: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    unsure: frozenset[pd.Timestamp] = frozenset()
    doubtful: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Made:
    """A file and what it means."""

    name: str
    content: bytes
    truth: Truth
