"""What a forecasting problem may say in params.yaml, and what it means."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from retain.config.schema import Problem as CommonProblem
from retain.config.schema import Section
from retain.kinds.forecast.file_format import FileFormat
from retain.kinds.forecast.presets import DROPOUT, ON_BASE, PRESETS, REHEARSALS
from retain.kinds.forecast.sections import Compared, Evaluation, Floor, Training
from retain.kinds.forecast.split import Split
from retain.kinds.forecast.time_axis import TimeAxis, check_days
from retain.words import several

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
FORECAST_COLUMNS = ("mean", "median", "note")  # beside series, time and one for each quantile
ALONE = "alone"  # the folder of a cell without a classical base, beside that of the cell with it


class Data(TimeAxis, FileFormat):
    """The table, the meaning of its columns (`y` is not read by `aggregate: count`), its faults.

    Attributes:
        valid_range: by column, the least and the largest value; others count as missing.
    """

    path: str  # CSV, Parquet or workbook, from the project's folder
    # the meaning of the columns
    unique_id: str | tuple[str, ...] | None = None  # column, or columns, that name the series
    y: str = "y"  # column to forecast
    value_columns: tuple[str, ...] = ()  # columns to forecast, each one series
    unit: str | None = None  # of the target, for people, such as vehicles an hour
    dates_across: bool = False  # a row is a series; the time stamps are names of columns
    past_covariates: tuple[str, ...] = ()  # columns known up to now only
    known_covariates: tuple[str, ...] = ()  # columns known for the future too
    static_covariates: tuple[str, ...] = ()  # columns with one value for each series
    categorical: tuple[str, ...] = ()  # columns of text
    # the forecasting task
    horizon: int = Field(ge=1, le=100_000)  # steps to forecast
    context_length: int = Field(ge=1, le=1_000_000)  # steps that the network looks back
    season_length: int = Field(1, ge=1, le=1_000_000)  # steps of a season; 1 is none
    transform: Literal["none", "log1p", "box_cox"] = "none"  # of the target
    minimum: float | None = None  # no value and no forecast is below
    split: Split = Split()  # where validation and test begin
    # what is done about its faults
    duplicates: Literal["error", "first", "last", "mean"] = "error"  # rows that repeat a time stamp
    valid_range: dict[str, tuple[float | None, float | None]] = Field({})
    unseen: Literal["refuse", "unknown"] = "refuse"  # text that training did not have

    @property
    def reach(self) -> int:
        """How many steps a window reaches back: its context, and the season before it."""
        return self.context_length + self.season_length

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns of the table that name the series, together; none where it is one series."""
        ids = self.unique_id
        return () if ids is None else (ids,) if isinstance(ids, str) else ids

    @property
    def names_columns(self) -> tuple[str, ...]:
        """The columns of a forecast that name the series."""
        return self.id_columns or ("unique_id",)

    @property
    def covariates(self) -> tuple[str, ...]:
        """All covariate columns of the table: past-only, known-future, static."""
        return self.past_covariates + self.known_covariates + self.static_covariates

    @model_validator(mode="after")
    def _columns_have_one_meaning(self) -> Self:
        if self.unique_id is not None and not all(self.id_columns):
            raise ValueError("unique_id must name a column, or several")
        target = self.value_columns or (self.y,)
        columns = [*self.time_columns, *self.covariates, *self.id_columns]
        columns += [] if self.aggregate == "count" and not self.value_columns else target
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise ValueError(f"column {twice[0]!r} is given two meanings")
        for key in ("categorical", "valid_range"):
            known = self.covariates if key == "categorical" else (*self.covariates, *target)
            for column in getattr(self, key):
                if column not in known:
                    raise ValueError(f"{key} names {column!r}, which is not a column in use")
        for column, (low, high) in self.valid_range.items():
            if low is not None and high is not None and low >= high:
                raise ValueError(f"valid_range of {column!r}: {low} is not below {high}")
        return self

    @model_validator(mode="after")
    def _layout_is_one(self) -> Self:
        if self.value_columns and self.unique_id is not None:
            raise ValueError("a wide table (value_columns) has no unique_id column")
        if self.value_columns and self.static_covariates:
            raise ValueError("a wide table (value_columns) has no static covariates")
        moving = (*self.past_covariates, *self.known_covariates, *self.value_columns)
        if self.dates_across and moving:
            raise ValueError(
                f"a table with dates_across has static covariates alone, and {moving[0]!r} is none"
            )
        if self.value_columns and self.aggregate == "count":
            raise ValueError("aggregate: count counts rows, whatever value_columns hold")
        if self.known_covariates and self.aggregate == "count":
            raise ValueError(
                "aggregate: count counts rows, those of the future too; leave known_covariates out"
            )
        return self


class Model(Section):
    """The network around the recurrent cell; `hidden_size` is the LSTM's, others are solved for.

    With the base `pool` it corrects a blend of classical forecasts; the base has a normalisation
    of its own, and the keys `normalisation` and `residual` are those of a network alone.

    Attributes:
        segment_length: steps that the cell reads at once; 1 is step by step; null: by horizon.
        quantiles: of each forecast; 0.1, 0.5 and 0.9 are among them.
    """

    base: Literal["none", "pool"] = "none"  # pool: correct a classical forecast; none: without it
    hidden_size: int = Field(128, ge=1, le=16_384)  # of the LSTM; others have as many parameters
    layers: int = Field(1, ge=1, le=64)  # recurrent layers
    segment_length: int | None = Field(None, ge=1, le=1_000_000)
    dropout: float = Field(0.2, ge=0, lt=1)  # share of the last state that is dropped in training
    normalisation: Literal["last", "mean_std", "series"] = "mean_std"  # of a network without base
    residual: Literal["none", "seasonal"] = "none"  # of a network without base: seasonal or none
    series_embedding: int = Field(0, ge=0, le=4096)  # numbers learned for each series; 0 is none
    ensemble: int = Field(1, ge=1, le=100)  # networks whose forecasts are averaged
    loss: Literal["pinball", "mae", "mse"] = "pinball"  # of the training
    mean: Literal["calibrated", "tweedie"] = "calibrated"  # from the quantiles; or an output
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = DECILES

    @field_validator("quantiles")
    @classmethod
    def _sorted_with_median(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)):
            raise ValueError("quantiles must increase")
        if not {0.1, 0.5, 0.9} <= set(value):
            raise ValueError("0.1, 0.5 and 0.9 must be among the quantiles")
        return value


def level_column(level: float) -> str:
    """Return the name that a quantile's column has in a forecast.

    >>> level_column(0.1)
    '0.1'
    """
    return f"{level:g}"


class Problem(CommonProblem):
    """A forecasting problem; with `model.base: pool` its presets have other values."""

    ERRORS = ("mae", "crps", "mase", "rmsse")
    PRESETS = PRESETS
    TASK = "time-series-forecasting"
    WARM_START = True
    BASELINES = (
        *("rnn", "gru", "pool", "lstm_alone", "rnn_alone", "gru_alone"),
        *get_args(Floor),
    )

    kind: Literal["forecast"]  # the next values of time series
    data: Data  # the table
    model: Model = Model()  # the network
    training: Training = Training()
    evaluation: Evaluation = Evaluation()  # how the test part is scored

    @property
    def purpose(self) -> str:
        """Say what is forecast, and how far ahead."""
        data = self.data
        target = several([f"`{column}`" for column in data.value_columns or (data.y,)])
        names = several([f"`{column}`" for column in data.id_columns])
        series = f" of each {names}" if names else ""
        step = f" of `{data.frequency}`" if data.frequency else ""
        return f"Forecasts {target}{series}, {data.horizon} steps{step} ahead, with quantiles."

    @property
    def folds(self) -> int:
        """How many pieces the test part is cut into, and models of each cell are trained."""
        return self.evaluation.folds

    @property
    def learned(self) -> dict[str, Any]:
        """What the section `evaluation` says about training."""
        cold = self.evaluation.cold_start
        return super().learned | ({"cold_start": cold} if cold else {})

    @property
    def beside(self) -> Mapping[str, Self]:
        """Each cell without the classical base, if it has one.

        It forecasts for no user and is never left out, so that one rehearsal is enough for it: to
        say for how long it learns, and to calibrate it.
        """
        if self.model.base == "none" or not self.training.alone:
            return {}
        model = self.model.model_copy(update={"base": "none"})
        training = Compared(**self.training.model_dump() | {"rehearsals": 1})
        return {ALONE: self.model_copy(update={"model": model, "training": training})}

    def settings(self, stage: str) -> dict[str, Any]:
        """`train` reads one key of the section `evaluation`, the report the limits of drift."""
        own: dict[str, Any] = {}
        if stage == "train":
            own = {"evaluation.folds": self.folds}
        if stage in ("train", "refit") and self.evaluation.cold_start:
            own["evaluation.cold_start"] = self.evaluation.cold_start
        if stage == "evaluate":
            keys = ("psi", "wasserstein", "max_missing")
            own = {f"retrain.{key}": getattr(self.retrain, key) for key in keys}
        return super().settings(stage) | own

    @classmethod
    def preset_sections(cls, name: Any, problem: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """As for every kind; dropout besides, which hangs on whether the clock is known."""
        sections = super().preset_sections(name, problem)
        if not sections:
            return {}  # the check of the key `preset` has the words for that
        model = problem.get("model")
        if isinstance(model, dict) and model.get("base") == "pool":
            sections = ON_BASE[str(name)]
            return sections | {"training": sections["training"] | {"rehearsals": REHEARSALS}}
        data = problem.get("data")
        told = isinstance(data, dict) and any(
            data.get(key, key == "calendar") for key in ("calendar", "holidays", "known_covariates")
        )
        return {**sections, "model": sections["model"] | {"dropout": DROPOUT[str(name)][told]}}

    @model_validator(mode="after")
    def _base_is_rehearsed(self) -> Self:
        if self.model.base != "none" and not self.training.rehearsals:
            raise ValueError(
                "model.base is pool, and training.rehearsals is 0: whether a network is worth it "
                "is rehearsed; take 1 or more"
            )
        return self

    @model_validator(mode="after")
    def _rehearsals_start_cold(self) -> Self:
        if self.training.rehearsals and self.training.warm_start != "none":
            raise ValueError(
                "training.warm_start: a champion has learned from the past that rehearsals are "
                "scored on; take training.rehearsals: 0, with model.base: none, or warm_start: none"
            )
        return self

    @model_validator(mode="after")
    def _cold_series_have_a_network(self) -> Self:
        if self.training.mask_contexts and self.model.base != "none":
            raise ValueError(
                "training.mask_contexts: a classical base has no forecast without history; take "
                "model.base: none, or mask_contexts: 0"
            )
        if self.evaluation.cold_start and not self.training.mask_contexts:
            raise ValueError(
                "evaluation.cold_start scores series without history, which training.mask_contexts "
                "teaches: set it, to 0.1 for example"
            )
        return self

    @model_validator(mode="after")
    def _time_fits(self) -> Self:
        check_days(self.data)
        if self.data.ds_is_step and self.retrain.max_lag is not None:
            raise ValueError("retrain.max_lag: steps without dates (ds_is_step) have no age")
        return self

    @model_validator(mode="after")
    def _tweedie_has_no_negative_value(self) -> Self:
        if self.model.mean == "tweedie" and (self.data.minimum is None or self.data.minimum < 0):
            raise ValueError(
                "model.mean is tweedie, which is for values that are not negative: set "
                "data.minimum to 0, or take calibrated"
            )
        return self

    @model_validator(mode="after")
    def _columns_of_a_forecast_differ(self) -> Self:
        """A forecast names series and time as the table does, beside columns of its own."""
        taken = {*FORECAST_COLUMNS, *map(level_column, self.model.quantiles)}
        names = self.data.names_columns
        for key, column in (
            ("ds", self.data.time_column),
            *(("unique_id", name) for name in names),
        ):
            if column in taken or (key == "ds" and column in names):
                raise ValueError(
                    f"data.{key} is {column!r}, and a forecast has another column of that name: "
                    "rename the column in the table"
                )
        return self
