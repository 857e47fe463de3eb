"""The sections of params.yaml that every kind of problem has, as frozen, checked objects.

The sections `data`, `model` and `evaluation` belong to the problem's kind and are declared in its
package.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from retain.config.checks import AtLeastCheck, Check
from retain.config.durations import Duration
from retain.config.section import Section as Section  # noqa: PLC0414 (kinds import it from here)
from retain.config.warm_start import SHARE, WarmStart

Cell = Literal["lstm", "rnn", "gru"]
Mode = Literal["portable", "machine", "off"]  # see `training.portable_cpu`
Presets = dict[str, dict[str, dict[str, Any]]]  # values by name, section and key
Values = Annotated[tuple[bool | int | float | str | None, ...], Field(min_length=1)]


class Training(WarmStart):
    """How a network is trained; the same for every cell except its learning rate.

    An epoch is a pass over the examples or, with many examples, `epoch_steps` batches sampled from
    them. There are `max_epochs` epochs, or as many as `max_steps` batches fill; by default three
    passes or 1,500 batches (from trained weights, half of that), in at most 100 epochs
    or 600 batches. With `reproducible: portable` it trains on the CPU; with `off` the bits are left
    to chance.

    Attributes:
        checkpoint_every: updates, or seconds such as `30s`, between two checkpoints.
    """

    cells: tuple[Cell, ...] = ("lstm", "rnn")  # which cells are trained: lstm, rnn, gru
    batch_size: int = Field(256, ge=1, le=1_000_000)  # examples in an update of the weights
    max_steps: int | None = Field(None, ge=1, le=1_000_000_000)  # updates at most; null: from data
    max_epochs: int | None = Field(None, ge=1, le=1_000_000)  # epochs at most; null: by max_steps
    epoch_steps: int = Field(200, ge=1, le=1_000_000)  # updates of an epoch at most
    patience: int | None = Field(None, ge=1, le=1_000_000)  # epochs without a gain until it ends
    learning_rate: float | dict[Cell, float] = 2e-3  # of AdamW; or a rate for each cell
    weight_decay: float = Field(0.0, ge=0)  # of AdamW
    warmup_fraction: float = Field(0.05, ge=0, lt=1)  # share of the updates until the full rate
    gradient_clip: float = Field(1.0, gt=0)  # norm of a gradient at most
    ema_decay: float = Field(0.99, ge=0, lt=1)  # of the averaged weights
    checkpoint_every: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^\d+s$")] = "30s"
    seed: int = Field(1, ge=0, lt=2**31)  # of weights, order of examples and dropout
    reproducible: Mode = "machine"  # machine: the same bits here; portable: everywhere
    threads: int = Field(1, ge=1, le=1024)  # of the processor
    precision: Literal["32-true", "bf16-mixed"] = "32-true"  # of numbers, as Lightning names it
    accelerator: str = "auto"  # as Lightning names it; auto takes a GPU where there is one
    devices: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = 1  # how many, as in Lightning
    num_nodes: int = Field(1, ge=1, le=1024)  # machines that train together, each with its devices
    strategy: str = "auto"  # of several devices, as Lightning names it
    system_metrics: bool = False  # whether MLflow gets the machine's load and memory

    @field_validator("cells")
    @classmethod
    def _each_once_the_lstm_first(cls, value: tuple[Cell, ...]) -> tuple[Cell, ...]:
        if value[:1] != ("lstm",) or len(set(value)) < len(value):
            raise ValueError("name each cell once, lstm first: it is what the gate judges")
        return value

    @field_validator("learning_rate")
    @classmethod
    def _positive(cls, value: float | dict[str, float]) -> float | dict[str, float]:
        rates = value.values() if isinstance(value, dict) else [value]
        if not all(0 < rate < 1 for rate in rates):
            raise ValueError("a learning rate lies between 0 and 1")
        if isinstance(value, dict) and "lstm" not in value:
            raise ValueError("name at least the rate of lstm; other cells fall back to it")
        return value

    @model_validator(mode="after")
    def _portable_is_one_thread_of_a_cpu(self) -> Self:
        if self.reproducible == "portable" and self.threads > 1:
            raise ValueError("portable bits need threads: 1; take reproducible: machine for more")
        if self.reproducible == "portable" and self.accelerator not in ("auto", "cpu"):
            raise ValueError("portable bits are those of a CPU; take reproducible: machine or off")
        return self

    @property
    def world(self) -> int | None:
        """The processes that train together; None if the machine's devices decide."""
        return None if self.devices == "auto" else self.devices * self.num_nodes

    def epochs(self, examples: int) -> int:
        """Return the maximum number of epochs for a number of examples."""
        if self.max_epochs is not None:
            return self.max_epochs
        whole = -(-examples // self.batch_size)
        steps = self.max_steps or round(max(3 * whole, 1500) * (SHARE if self.parents else 1))
        one = min(whole, self.epoch_steps)
        return min(max(100, -(-600 // one)), -(-steps // one))

    def rate(self, cell: str) -> float:
        """Return the learning rate of `cell`."""
        if isinstance(self.learning_rate, dict):
            return self.learning_rate.get(cell, self.learning_rate["lstm"])  # type: ignore[call-overload, no-any-return]
        return self.learning_rate


class Bootstrap(Section):
    """How the intervals of the test part are found: the start of a kind's section `evaluation`."""

    bootstrap: int = Field(2000, ge=100, le=1_000_000)  # resamples behind an interval
    seed: int = Field(1, ge=0)  # of the bootstrap


class Prove(Section):
    """How close a reproduced model must be to count as the same, if its bits differ.

    `tolerance` is the largest relative difference of a test metric.
    """

    tolerance: float = Field(0.01, ge=0, lt=1)  # largest relative difference of a test metric


class Retrain(Section):
    """When a problem is retrained, and which faults of its data prevent that.

    The policy `always` trains whenever data, params or code changed. `drift` trains for new data
    only where a column or the champion's error is beyond its threshold, or the champion is older
    than `max_age`. `never` trains for changed params and code alone. `psi` and `wasserstein` are of
    the newest part of each column and the champion's training data, `error` is the champion's on
    the newest part and, with `log`, that of the forecasts it made. Data beyond `max_lag` or
    `max_missing` are refused.
    """

    policy: Literal["always", "drift", "never"] = "always"  # when new data are trained on
    psi: float = Field(0.25, gt=0)  # limit of the population stability index of a column
    wasserstein: float = Field(0.5, gt=0)  # limit of the distance, in standard deviations
    error: float = Field(1.25, gt=0)  # limit, as a multiple of the error on the test part
    max_age: Duration = "90d"  # a champion older than this counts as drifted
    max_lag: Duration | None = None  # how old the newest row may be
    max_missing: float = Field(0.5, ge=0, le=1)  # share of the newest values that may be missing
    log: str | None = None  # folder of logged forecasts, from the project's folder


class Problem(Section):
    """The keys of every problem; its kind's package adds `data`, `model` and `evaluation`.

    `ERRORS` and `BASELINES` are the errors and the other models that `differences` of metrics.json
    compares. `PRESETS` has, by name and section, the values of omitted keys in an entry with the
    key `preset`; without that key the defaults of the schema hold.

    With `refit` the recipe of the registered cell is trained once more, on all rows, if the kind
    supports it: this is the model that forecasts.

    Attributes:
        register: the cell that is judged and registered: lstm, or best, of least validation loss.
        tune: what `retain tune` tries, by section and key: values, a range, or keep.
    """

    ERRORS: ClassVar[tuple[str, ...]] = ()
    BASELINES: ClassVar[tuple[str, ...]] = ()
    PRESETS: ClassVar[Presets] = {}
    WARM_START: ClassVar[bool] = False  # whether a network of this kind can start from another
    TASK: ClassVar[str] = "other"  # as Hugging Face names it, for the model card

    kind: str  # what is learned
    preset: Literal["fast", "accurate"] | None = None  # values of omitted keys
    training: Training = Training()  # how the networks are trained
    gate: tuple[Check, ...]  # what a model must pass to become @champion
    refit: bool = True  # train once more on all rows, to forecast with
    register_cell: Literal["lstm", "best"] = Field("lstm", alias="register")  # a pydantic method
    retrain: Retrain = Retrain()  # when it is retrained
    prove: Prove = Prove()  # how close a reproduced model must be
    tune: dict[Literal["data", "model", "training"], dict[str, Literal["keep"] | Values]] = Field(
        {}
    )

    @classmethod
    def preset_sections(cls, name: Any, problem: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the values of a preset, by section; empty if there is no such preset."""
        return cls.PRESETS.get(str(name), {})

    def settings(self, stage: str) -> dict[str, Any]:
        """Return what a stage reads of this entry besides the sections that dvc.yaml names for it.

        The stage `code` writes it to a file, since DVC refuses a key that params.yaml does not
        have.
        """
        keys: dict[str, Any] = {}
        if self.preset is not None and stage in ("train", "refit"):
            keys["preset"] = self.preset
        if stage in ("evaluate", "refit"):
            keys |= {"refit": self.refit, "register": self.register_cell}
        return keys

    @property
    def purpose(self) -> str:
        """Return a sentence about what a model of this problem does."""
        return f"Answers requests of the kind {self.kind}."

    @property
    def folds(self) -> int:
        """The number of models of each cell, each trained for another part of the test data."""
        return 1

    @property
    def learned(self) -> dict[str, Any]:
        """What sections other than `model` and `training` say about training, for its md5."""
        return {"folds": self.folds}

    @property
    def beside(self) -> Mapping[str, Self]:
        """Other recipes of each cell for comparison, by their folder in the cell's folder."""
        return {}

    def advice(self) -> tuple[str, ...]:
        """Return warnings about the entry; the stage `code` prints them."""
        named = {str(getattr(check, "baseline", "")) for check in self.gate}
        missing = named & {*get_args(Cell)} - {*self.training.cells}
        return tuple(
            f"the gate compares with the {cell}, which training.cells does not train: that check "
            f"will fail"
            for cell in sorted(missing)
        )

    @model_validator(mode="before")
    @classmethod
    def _what_the_preset_says(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        merged = dict(value)
        for section, said in cls.preset_sections(value.get("preset"), value).items():
            given = value.get(section) or {}
            merged[section] = said | given if isinstance(given, dict) else given
        return merged

    @model_validator(mode="after")
    def _may_start_warm(self) -> Self:
        if self.training.warm_start != "none" and not self.WARM_START:
            raise ValueError(f"training.warm_start: a network of kind {self.kind} starts at random")
        return self

    @field_validator("gate")
    @classmethod
    def _compares_what_the_kind_compares(cls, gate: tuple[Check, ...]) -> tuple[Check, ...]:
        named = []
        for number, check in enumerate(gate):
            baseline, metric = getattr(check, "baseline", None), getattr(check, "metric", None)
            if baseline is not None and baseline not in cls.BASELINES:
                raise ValueError(_not_one_of(f"{number}.baseline", baseline, cls.BASELINES))
            if metric is None or isinstance(check, AtLeastCheck):
                named.append(check)
                continue
            if metric and metric not in cls.ERRORS:
                raise ValueError(_not_one_of(f"{number}.metric", metric, cls.ERRORS))
            named.append(check.model_copy(update={"metric": metric or cls.ERRORS[0]}))
        return tuple(named)


def _not_one_of(path: str, given: str, known: tuple[str, ...]) -> str:
    return f"gate.{path} is {given!r}; expected one of {', '.join(known)}"
