"""A trained forecaster in a program: predict, save, load."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd

from retain.api.evaluation import METRICS, Evaluation
from retain.config import loader
from retain.config.forecasts import ForecastOptions
from retain.errors import DataError, ModelError
from retain.kinds.forecast.data import tables
from retain.kinds.forecast.predict import cold_start, forecast_table, predictor
from retain.kinds.forecast.predict.future import of_frame

NAME, FINAL = "model", "final"  # folders: of the evaluated model, and in it of the refitted one
TABLE = "the table"  # what messages call a frame


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
    _history: tables.Table | None = None

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
        table: pd.DataFrame | None = None,
        future: pd.DataFrame | None = None,
        *,
        fill_with: str | None = None,
        strict: bool = True,
    ) -> pd.DataFrame:
        """Forecast the steps after the last row of each series.

        Args:
            table: history, with the columns of the training table; the training table itself if
                None.
            future: known covariates of the horizon: the columns of the series, of the time and of
                the covariates, `horizon` rows for each series.
            fill_with: `theta` or `seasonal_naive`, for series that the network cannot forecast.
            strict: whether a series that cannot be forecast is an error; else it is left out.

        Returns:
            `horizon` rows for each series: the table's columns of series and time (`unique_id`
            where it has none), `mean`, `median`, a column for each quantile, named by its level
            (`0.1`), and `note`.

        Raises:
            DataError: the table cannot be used, or a series cannot be forecast.
        """
        data = self._predictor.read_as(TABLE)
        history = self._history if table is None else tables.clean(table, data, TABLE, 0)
        if history is None:
            raise DataError("this model was loaded, and has no table; give one: predict(table)")
        coming = None if future is None else of_frame(future, data, "the table of the future")
        options = ForecastOptions(None, strict, fill_with)
        answer = forecast_table.forecast_table(self._predictor, history, TABLE, options, coming)
        if answer.table.empty:
            raise forecast_table.none_left(answer.left_out, TABLE)
        return answer.table

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
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if "importance" not in found:
            raise ModelError(
                "this model was loaded without its evaluation; reports/NAME/metrics.json of its "
                "project has the key `importance`"
            )
        return pd.DataFrame(found["importance"])

    @classmethod
    def read(cls, folder: Path | tempfile.TemporaryDirectory[str], **more: Any) -> Self:
        """Read a model folder, or the one of the name NAME in a temporary folder."""
        place = _place(folder)
        has_final = (place / FINAL / "config.json").is_file()
        model = predictor.load(place / FINAL if has_final else place)
        return cls(model, folder, Evaluation.read(place), **more)


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

    scratch = tempfile.TemporaryDirectory(prefix="retain-")
    with lookup.registered_folder(loader.find_root(), str(source)) as folder:
        shutil.copytree(folder, Path(scratch.name) / NAME)
    return Model.read(scratch)
