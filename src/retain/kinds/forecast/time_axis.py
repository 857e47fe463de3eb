"""What params.yaml may say about time: its columns, how stamps are written, how they make steps."""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from retain.config.schema import Section

TIME = "ds"  # the column of a forecast whose table has time in several columns


class TimeAxis(Section):
    """The time of a table.

    Attributes:
        ds: column of the time stamps; of several, the texts are joined with ` | ` between them.
        ds_is_step: whether it holds whole numbers, 1, 2, 3, and no dates.
        time_format: see `data.time_formats`.
        local_dates: whether stamps are dates of `timezone`, whose offset is left out.
        ambiguous: what becomes of an hour that came twice as clocks were set back; with `order`
            the first row in the file is the first hour.
        align: how stamps off the grid of `frequency` are taken to it: the `nearest` step, the
            `period` they lie in, or each `series` at a distance of its own, which forecasts keep.
        aggregate: what becomes of the rows of a series in one step of `frequency`.
        calendar: whether hour, weekday and day of the year are features.
        holidays: the country, or `COUNTRY-SUBDIVISION`, whose holidays are a feature.
    """

    ds: str | tuple[str, ...] = "ds"
    ds_is_step: bool = False
    frequency: str | None = None
    timezone: str | None = None
    local_dates: bool = False
    ambiguous: Literal["error", "order"] = "error"
    time_format: str | None = None
    align: Literal["nearest", "period", "series"] | None = None
    aggregate: Literal["sum", "mean", "count"] | None = None
    calendar: bool = True
    holidays: str | None = None

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns of the table that hold its time."""
        return (self.ds,) if isinstance(self.ds, str) else self.ds

    @property
    def time_name(self) -> str:
        """What messages call the columns that hold the time."""
        return " + ".join(self.time_columns)

    @property
    def time_column(self) -> str:
        """The column of a forecast that holds its time."""
        return self.ds if isinstance(self.ds, str) else TIME

    @property
    def zone(self) -> str | None:
        """The time zone of stamps that are in UTC; None where they are local."""
        return None if self.local_dates else self.timezone

    @property
    def plain_time(self) -> bool:
        """Whether a stamp of ISO 8601 in one column is a step as it stands."""
        return isinstance(self.ds, str) and not (
            self.ds_is_step or self.timezone or self.time_format or self.align or self.aggregate
        )

    @field_validator("ds")
    @classmethod
    def _one_or_several(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple) and len(value) < 2:
            raise ValueError("give the name of one column, or a list of two or more")
        return value

    @field_validator("holidays")
    @classmethod
    def _known_country(cls, value: str | None) -> str | None:
        if value is not None:
            check_region(value)
        return value

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if self.ds_is_step and (self.calendar or self.holidays is not None):
            raise ValueError("ds_is_step: steps have no dates; set calendar to false, no holidays")
        if self.ds_is_step:
            for key in ("timezone", "time_format", "align", "aggregate"):
                if getattr(self, key) is not None:
                    raise ValueError(f"ds_is_step: steps have no dates; leave {key} out")
        for key in ("align", "aggregate"):
            if getattr(self, key) is not None and self.frequency is None:
                raise ValueError(f"{key} needs frequency, such as D: the steps to make")
        if self.align is not None and self.aggregate is not None:
            raise ValueError("aggregate takes stamps to their steps already; leave align out")
        if self.local_dates and self.timezone is None:
            raise ValueError("local_dates needs timezone: the place whose dates they are")
        if self.ambiguous == "order" and self.timezone is None:
            raise ValueError("ambiguous: order needs timezone: the place whose clocks they are")
        return self


def check_region(region: str) -> None:
    """Raise ValueError unless `region` is a country, or `COUNTRY-SUBDIVISION`, with holidays."""
    import holidays  # here: most problems need it not

    country, _, subdivision = region.partition("-")
    known = holidays.list_supported_countries()
    if country not in known:
        raise ValueError("expected an ISO country code such as US, or US-MN with a subdivision")
    if subdivision and subdivision not in known[country]:
        raise ValueError(
            f"no subdivision {subdivision!r}; {country} has {', '.join(known[country]) or 'none'}"
        )
