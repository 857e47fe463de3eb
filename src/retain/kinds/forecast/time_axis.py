"""What params.yaml may say about time: its columns, how stamps are written, how they make steps."""

from typing import Literal, Self

from pydantic import field_validator, model_validator

from retain.config.schema import Section

TIME = "ds"  # the column of a forecast whose table has time in several columns


class TimeAxis(Section):
    """The time of a table: its columns, how stamps are written, and how they make steps.

    The texts of several columns are joined with ` | ` between them. With `ambiguous: order` the
    first row in the file is the first hour. With `align: series` forecasts keep the distances, too.

    Attributes:
        align: stamps off the grid: nearest or period; series keeps a distance of its own in each.
    """

    ds: str | tuple[str, ...] = "ds"  # column of the time stamps, or columns that are joined
    ds_is_step: bool = False  # the column of time holds whole numbers and no dates
    frequency: str | None = None  # pandas alias: the step of the time grid
    timezone: str | None = None  # the place whose days and hours the data follow
    local_dates: bool = False  # stamps are dates of the time zone; an offset from UTC is left out
    ambiguous: Literal["error", "order"] = "error"  # an hour that came twice: by the order of rows
    time_format: str | None = None  # as in strptime, or epoch_s, epoch_ms, excel and such
    align: Literal["nearest", "period", "series"] | None = None
    aggregate: Literal["sum", "mean", "count"] | None = None  # of the rows in a step
    calendar: bool = True  # features from the date: hour, weekday, day of the year
    holidays: str | None = None  # a country such as US, or US-MN, for a holiday feature

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
    def cuts_days_in_utc(self) -> bool:
        """Whether rows are taken to days that begin at midnight in UTC, not in the time zone."""
        if self.timezone in (None, "UTC") or not (self.align or self.aggregate):
            return False
        from retain.kinds.forecast.data import frequency  # here: few problems need it

        return frequency.of_days(str(self.frequency)) and (self.in_utc or not self.local_dates)

    @property
    def in_utc(self) -> bool:
        """Whether stamps count from a time in UTC, whatever the time zone."""
        return (self.time_format or "").startswith("epoch_")

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


def check_days(axis: TimeAxis) -> None:
    """Raise ValueError where steps of days would not begin at midnight of the time zone."""
    if not axis.cuts_days_in_utc:
        return
    remedy = "set local_dates to true"
    if axis.in_utc:
        remedy = f"leave timezone out for days in UTC, since {axis.time_format} is in UTC"
    raise ValueError(
        f"{'aggregate' if axis.aggregate else 'align'}: steps of {axis.frequency} would begin at "
        f"midnight in UTC, not in {axis.timezone}; {remedy}"
    )


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
