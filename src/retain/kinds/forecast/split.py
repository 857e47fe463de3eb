"""Where validation and test begin, as params.yaml says it."""

import datetime as dt
import re
from typing import Any, Self

from pydantic import field_validator, model_validator

from retain.config.durations import DURATION, span
from retain.config.schema import Section

Boundary = float | dt.datetime | dt.date | str
HORIZONS = re.compile(r"([1-9]\d*) horizons?")  # before the end of the table


class Split(Section):
    """Where validation and test begin, counted in horizons from the end of the table.

    Or how long before the end, such as 90d: with both of these, the parts move on as rows are
    added. A date stays where it is; a share is one of the time span.
    """

    validation: Boundary = "10 horizons"  # `10 horizons` or `90d` before the end, a date, a share
    test: Boundary = "5 horizons"  # where the test part begins, in the same manner

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        if isinstance(value, dt.date):
            raise ValueError(f'write it in quotes, "{value}": DVC refuses dates in YAML')
        if isinstance(value, float) and 0 < value < 1:
            return value
        if isinstance(value, str) and (HORIZONS.fullmatch(value) or DURATION.fullmatch(value)):
            return value
        try:
            stamp = dt.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                'give how many horizons before the end of the data, such as "10 horizons", a date '
                'in quotes, such as "2024-01-31", a share between 0 and 1, or how long before the '
                "end of the data, such as 90d"
            ) from None
        if stamp.tzinfo is not None:
            raise ValueError("give it without an offset; it is local time of data.timezone")
        return stamp if stamp.time() != dt.time() else stamp.date()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        (manner, begin), (other, end) = _position(self.validation), _position(self.test)
        if manner != other:
            raise ValueError(
                "give both boundaries in the same manner: in horizons before the end of the data, "
                "as dates, as shares of the time span, or as how long before the end of the data"
            )
        if not begin < end:
            raise ValueError("validation must begin before test")
        return self


def horizons(boundary: Boundary) -> int | None:
    """Return how many horizons before the end a boundary is; None where it is given otherwise."""
    found = HORIZONS.fullmatch(boundary) if isinstance(boundary, str) else None
    return int(found[1]) if found else None


def _position(boundary: Boundary) -> tuple[str, Any]:
    """Return how a boundary is given, and what sorts as the boundaries of that manner do."""
    if (count := horizons(boundary)) is not None:
        return "horizons", -count
    if isinstance(boundary, float):
        return "share", boundary
    if isinstance(boundary, str):
        return "duration", -span(boundary)
    return "date", str(boundary)
