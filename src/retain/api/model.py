"""A trained forecaster in a program: predict, save, load."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from retain.api.evaluation import METRICS, Evaluation
from retain.config import loader
from retain.config.forecasts import ForecastOptions, Forecasts
from retain.errors import DataError, ModelError
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.predict import cold_start, forecast_table, future, predictor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME, FINAL = "model", "final"  # folders: of the evaluated model, and in it of the refitted one
TABLE = "the table"  # what messages call a frame
TableOrPath = pd.DataFrame | str | Path


@dataclass(frozen=True)
class Model:
    """A trained forecaster.

    Attributes:
        evaluation: None where the model was loaded from a folder or a registry without one.
        findings: what `train` found out about the table and chose, a sentence each.
    """

    _predictor: predictor.Predictor
    _folder: Path | tempfile.TemporaryDirectory[str]
    evaluation: Evaluation | None = None
    findings: tuple[str, ...] = ()
    _history: Callable[[], tables.Table] | None = None

    @property
    def horizon(self) -> int:
        """How many steps it forecasts."""
        return self._predictor.network.horizon

    @property
    def config(self) -> Mapping[str, Any]:
        """What config.json of the model folder says."""
        return self._predictor.config

    def predict(
        self,
        table: TableOrPath | None = None,
        future: TableOrPath | None = None,
        *,
        fill_with: str | None = None,
        strict: bool = True,
        unseen: str | None = None,
    ) -> pd.DataFrame:
        """Forecast the steps after the last row of each series.

        Args:
            table: history, with the columns of the training table: a frame, or the path of a file.
                By default the table that `train` was given, or that of the project's problem.
            future: known covariates of the horizon: the columns of the series, of the time and of
                the covariates, `horizon` rows for each series.
            fill_with: `theta` or `seasonal_naive`, for series that the network cannot forecast.
            strict: whether a series that cannot be forecast is an error; else it is left out.
            unseen: `refuse` or `unknown`: what to do with categories that the model does not know;
                by default as the problem of the model says.

        Returns:
            `horizon` rows for each series: the table's columns of series and time (`unique_id`
            where it has none), `mean`, `median`, a column for each quantile, named by its level
            (`0.1`), and `note`.

        Raises:
            DataError: the table cannot be used, or a series cannot be forecast.
            ParamsError: there is no such `fill_with` or `unseen`.
        """
        return self._forecast(table, future, ForecastOptions(None, strict, fill_with, unseen)).table

    def plot(
        self,
        series: str | Sequence[str] | None = None,
        table: TableOrPath | None = None,
        future: TableOrPath | None = None,
        *,
        fill_with: str | None = None,
        unseen: str | None = None,
    ) -> "Figure":
        """Draw the forecast with its intervals, behind the last part of the history.

        Args:
            series: one or several, by `unique_id`; the first six by default.
            table, future, fill_with, unseen: as of `predict`.

        Returns:
            A figure of matplotlib, which a notebook shows and `savefig` writes.

        Raises:
            DataError: as `predict`, or there is no such series.
            ParamsError: as `predict`.
        """
        from retain.kinds.forecast.evaluation import fan

        names = [series] if isinstance(series, str) else series
        forecasts = self._forecast(table, future, ForecastOptions(None, False, fill_with, unseen))
        if names is not None:
            for name in names:
                if name in forecasts.left_out:
                    raise DataError(f"{name} cannot be forecast: {forecasts.left_out[name]}")
        return fan.figure(self._predictor.data, forecasts, names)

    def _forecast(
        self, table: TableOrPath | None, coming: TableOrPath | None, options: ForecastOptions
    ) -> Forecasts:
        where = TABLE if table is None or isinstance(table, pd.DataFrame) else str(table)
        data = self._predictor.read_as(where)
        known = None
        if isinstance(coming, pd.DataFrame):
            known = future.of_frame(coming, data, "the table of the future")
        elif coming is not None:
            known = future.read(str(coming), data)
        if isinstance(table, pd.DataFrame):
            history = tables.clean(table, data, TABLE, 0)
        elif table is not None:
            history = tables.read(data, Path())
        elif self._history is not None:
            history = self._history()
        else:
            raise DataError("this model was loaded, and has no table; give one: predict(table)")
        if known is not None:
            future.check_series(set(history.frame["unique_id"]), known, where)
        forecasts = forecast_table.forecast_table(self._predictor, history, where, options, known)
        if forecasts.table.empty:
            raise forecast_table.none_left(forecasts.left_out, where)
        return forecasts

    def save(self, path: str | Path) -> None:
        """Write the model into a new folder, with its evaluation; `load` reads it.

        Raises:
            ModelError: there is something at `path` already.
        """
        target = Path(path)
        if target.exists():
            raise ModelError(f"{target} exists already; name a new folder")
        with tempfile.TemporaryDirectory(prefix=".retain-", dir=target.parent) as scratch:
            part = Path(scratch) / target.name
            shutil.copytree(_place(self._folder), part)
            part.rename(target)

    def predict_new(self, table: pd.DataFrame) -> pd.DataFrame:
        """Forecast series without any history, if the model was trained with `mask_contexts`.

        Args:
            table: the columns of the series, of the time, of known and static covariates;
                `horizon` rows for each series.

        Returns:
            As `predict`.

        Raises:
            DataError: the table cannot be used.
            ModelError: the model was not taught to.
        """
        return cold_start.forecast_frame(self._predictor, table, TABLE).table

    def importance(self) -> pd.DataFrame:
        """Say how much each covariate, and each block of lags, mattered on the test windows.

        Returns:
            A row for each input of the network, that which matters most first: `input`, `kind`
            (lags, past, known, calendar, static, series), `loss_increase` (permutation importance,
            a share of the loss) and `gradient` (share of gradient × input).

        Raises:
            ModelError: the model was loaded without its evaluation.
        """
        path = _place(self._folder) / METRICS
        metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if "importance" not in metrics:
            raise ModelError(
                "this model was loaded without its evaluation; reports/NAME/metrics.json of its "
                "project has the key `importance`"
            )
        return pd.DataFrame(metrics["importance"])

    @classmethod
    def read(cls, folder: Path | tempfile.TemporaryDirectory[str], **more: Any) -> Self:
        """Read a model folder, or the one of the name NAME in a temporary folder."""
        place = _place(folder)
        has_final = (place / FINAL / "config.json").is_file()
        model = predictor.load(place / FINAL if has_final else place)
        return cls(model, folder, Evaluation.read(place), **more)

    @classmethod
    def copy(cls, folder: Path, project: Path) -> Self:
        """Copy a registered model's folder and read it; the model has the problem's table."""
        scratch = tempfile.TemporaryDirectory(prefix="retain-")
        shutil.copytree(folder, Path(scratch.name) / NAME)
        model = cls.read(scratch)
        predictor = model._predictor
        data = predictor.read_as(predictor.data.path)
        return replace(model, _history=lambda: tables.read(data, project))


def _place(folder: Path | tempfile.TemporaryDirectory[str]) -> Path:
    return folder if isinstance(folder, Path) else Path(folder.name) / NAME


def load(source: str | Path) -> Model:
    """Load a model that `Model.save` wrote, a model folder of a project, or a registered version.

    Args:
        source: a folder; or `models:/NAME@champion`, `models:/NAME/VERSION` of the registry of the
            project that the working directory is in.

    Raises:
        ModelError: the folder is no model, or damaged.
        RegistryError: the registry has no such version.
    """
    if not str(source).startswith("models:/"):
        return Model.read(Path(source))
    from retain.registry import lookup

    root = loader.find_root()
    with lookup.registered_folder(root, str(source)) as folder:
        return Model.copy(folder, root)
