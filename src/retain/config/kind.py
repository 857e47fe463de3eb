"""The manifest of a kind of problem: the parts that pipeline, registry and server call.

A kind is a package that names its parts as `Lazy` targets: reading the manifest imports nothing,
and mypy checks each part against its protocol here. Another distribution brings a kind by an entry
point of the group `retain.kinds` that names its manifest, a project by a module (`plugins.py`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from retain.errors import ParamsError

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from retain.config.exports import ExportModel, LoadOnnx
    from retain.config.forecasts import BuildOutlook, ForecastBulk, ForecastFile, PlotForecasts
    from retain.config.monitoring import Backtest, KeepForecasts, Monitor
    from retain.config.schema import Cell, Problem
    from retain.config.search import BuildSpace, BuildTrial
    from retain.config.sequences import Ask, Complete, OpenChat, Translate
    from retain.evaluation.lstm_gates import Inspection
    from retain.evaluation.quality_gate import CheckResult, Comparison
    from retain.evaluation.report import Report
    from retain.evaluation.results import DriftFindings, Metrics
    from retain.serving.endpoint import BuildEndpoint
    from retain.training.setup import TrainingSetup

T = TypeVar("T")
P = TypeVar("P", bound="Problem", contravariant=True)
E = TypeVar("E", bound="Evaluation", contravariant=True)
E_co = TypeVar("E_co", bound="Evaluation", covariant=True)

BUILT_IN = {
    name: f"retain.kinds.{name}:KIND"
    for name in ("forecast", "recall", "text", "chat", "translate")
}
GROUP = "retain.kinds"
PLUGINS: dict[str, str] = {}  # manifests of the current project's own kinds, set by `plugins.use`
# The parts that a stage runs; DVC's lists of code have their modules and the stage's script.
STAGES = {
    "prepare": ("problem", "prepare"),
    "train": ("problem", "training", "fold"),
    "refit": ("problem", "refit"),
    "evaluate": ("problem", "evaluate", "report", "outlook", "predictor"),
    "register": ("problem", "compare", "predictor"),
}


@dataclass(frozen=True)
class Lazy(Generic[T]):
    """An attribute of a module, `package.module:attribute`, that is imported on first use.

    A manifest checks the type of the target under `TYPE_CHECKING`.
    """

    target: str

    @property
    def load(self) -> T:
        """The attribute itself."""
        return cast("T", pkgutil.resolve_name(self.target))


class Evaluation(Protocol):
    """The result of `evaluate`: the content of metrics.json, and tables to plot by name.

    A table to plot has the columns x, model and y, which DVC draws as a line for each model.
    """

    @property
    def metrics(self) -> Metrics: ...
    def plots(self) -> Mapping[str, pd.DataFrame]: ...


class Predictor(Protocol):
    """A model folder, loaded: a table in, a table out."""

    @property
    def config(self) -> Mapping[str, object]: ...
    def predict(self, table: pd.DataFrame, /) -> pd.DataFrame: ...
    def input_columns(self) -> list[str]: ...
    def example(self, prepared: Path, /) -> pd.DataFrame: ...
    def trained_on(self) -> str: ...


class AppendedRows(Protocol):
    """The result of adding the rows of a new table."""

    @property
    def table(self) -> str: ...
    @property
    def added(self) -> int: ...
    @property
    def filled(self) -> int: ...
    @property
    def known(self) -> int: ...
    @property
    def last(self) -> str: ...


class Prepare(Protocol[P]):
    """Write a problem's arrays into the folder `out`."""

    def __call__(self, problem: P, root: Path, out: Path) -> None: ...


class BuildTraining(Protocol[P]):
    """Build the network of a cell, with its examples, its loss and its config.json."""

    def __call__(self, problem: P, prepared: Path, cell: Cell) -> TrainingSetup: ...


class BuildFold(Protocol[P]):
    """Build the same for a later fold of the test part, from 2 to `problem.folds`."""

    def __call__(self, problem: P, prepared: Path, cell: Cell, fold: int) -> TrainingSetup: ...


class BuildRefit(Protocol[P]):
    """Build the training of an evaluated model's recipe on all rows, from its folder."""

    def __call__(self, problem: P, prepared: Path, evaluated: Path) -> TrainingSetup: ...


class Evaluate(Protocol[P, E_co]):
    """Score the models of a problem, and its baselines, on the test part."""

    def __call__(self, problem: P, prepared: Path, models: Mapping[str, Path]) -> E_co: ...


class BuildReport(Protocol[P, E]):
    """Write the report of an evaluation: tables, figures and sentences."""

    def __call__(
        self, name: str, problem: P, found: E, checks: Sequence[CheckResult]
    ) -> Report: ...


class Compare(Protocol[P]):
    """Score a new model and the champion on the same test part, or raise IncomparableError."""

    def __call__(self, problem: P, prepared: Path, new: Path, champion: Path) -> Comparison: ...


class LoadPredictor(Protocol):
    """Read a model folder; ModelError if it is damaged or missing."""

    def __call__(self, folder: Path) -> Predictor: ...


class CheckTable(Protocol[P]):
    """Read a problem's table without training: its path, and lines about it (`retain check`)."""

    def __call__(self, problem: P, root: Path) -> tuple[str, Sequence[str]]: ...


class Append(Protocol[P]):
    """Add the rows of a file to a problem's table (`retain append`)."""

    def __call__(self, problem: P, root: Path, new: Path) -> AppendedRows: ...


class PlanCapacity(Protocol[P]):
    """Measure costs here; return in Markdown what more series need (`retain plan`)."""

    def __call__(
        self, problem: P, name: str, root: Path, series: int, nodes: Sequence[int]
    ) -> str: ...


class InspectGates(Protocol[P]):
    """Show the gates of an LSTM in what it reads (`retain gates`)."""

    def __call__(
        self, problem: P, name: str, root: Path, folder: Path, what: str | None, at: str | None
    ) -> Inspection: ...


class CheckDrift(Protocol[P]):
    """Compare prepared data with what the champion was trained on, if there is one."""

    def __call__(
        self,
        problem: P,
        prepared: Path,
        champion: Path | None,
        expected: Mapping[str, float] | None,
    ) -> DriftFindings: ...


@dataclass(frozen=True)
class Kind(Generic[P, E]):
    """A kind of problem: its required and its optional parts.

    Attributes:
        name: the value of `kind` in params.yaml.
        command: the command that uses a champion.
    """

    name: str
    command: str
    problem: Lazy[type[Problem]]
    prepare: Lazy[Prepare[P]]
    training: Lazy[BuildTraining[P]]
    evaluate: Lazy[Evaluate[P, Evaluation]]
    report: Lazy[BuildReport[P, E]]
    compare: Lazy[Compare[P]]
    predictor: Lazy[LoadPredictor]
    fold: Lazy[BuildFold[P]] | None = None
    refit: Lazy[BuildRefit[P]] | None = None
    check_table: Lazy[CheckTable[P]] | None = None
    append: Lazy[Append[P]] | None = None
    plan: Lazy[PlanCapacity[P]] | None = None
    forecast: Lazy[ForecastFile] | None = None
    bulk: Lazy[ForecastBulk] | None = None
    outlook: Lazy[BuildOutlook[P]] | None = None
    plot: Lazy[PlotForecasts[P]] | None = None
    ask: Lazy[Ask] | None = None
    complete: Lazy[Complete] | None = None
    chat: Lazy[OpenChat] | None = None
    translate: Lazy[Translate] | None = None
    lstm_gates: Lazy[InspectGates[P]] | None = None
    endpoint: Lazy[BuildEndpoint] | None = None
    drift: Lazy[CheckDrift[P]] | None = None
    newest: Lazy[Callable[[Path], dt.datetime]] | None = None
    backtest: Lazy[Backtest[P]] | None = None
    keep: Lazy[KeepForecasts] | None = None
    monitor: Lazy[Monitor[P]] | None = None
    search: Lazy[BuildSpace[P]] | None = None
    trial: Lazy[BuildTrial[P]] | None = None
    export: Lazy[ExportModel] | None = None
    onnx: Lazy[LoadOnnx] | None = None

    def targets(self, stage: str) -> dict[str, str]:
        """Return the targets of the parts that a stage of the pipeline runs, by part."""
        parts = {part: cast("Lazy[object] | None", getattr(self, part)) for part in STAGES[stage]}
        return {name: part.target for name, part in parts.items() if part is not None}


AnyKind = Kind["Problem", Evaluation]


def find_kind(name: object) -> AnyKind | None:
    """Return the kind of this name, built-in or from a package; None if there is none."""
    target = manifest_of(name) if isinstance(name, str) else ""
    return _load_kind(target) if target else None


def kind_of(problem: Problem) -> AnyKind:
    """Return the kind of a problem."""
    kind = find_kind(problem.kind)
    assert kind is not None, "params.yaml was read by it"
    return kind


def kind_names() -> list[str]:
    """Return the names of all kinds, those of this package first."""
    return [*BUILT_IN, *sorted({*_entry_points(), *PLUGINS})]


def require(part: Lazy[T] | None, refusal: str) -> T:
    """Load a part of a kind; raises ParamsError with `refusal` if the kind does not have it."""
    if part is None:
        raise ParamsError(refusal)
    return part.load


def manifest_of(name: str) -> str:
    """Return the target of the manifest of a kind; empty if there is no such kind."""
    # Reading the entry points takes longer than everything else.
    return BUILT_IN.get(name) or PLUGINS.get(name) or _entry_points().get(name, "")


@cache
def _load_kind(target: str) -> AnyKind:
    # Each part takes the problems of its own kind, which only the kind itself can have parsed.
    return cast("AnyKind", pkgutil.resolve_name(target))


@cache
def _entry_points() -> dict[str, str]:
    """Return the manifests of kinds from other distributions, by name."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in entry_points(group=GROUP)}
