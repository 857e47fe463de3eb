"""The report's part about the future and the data: the forecast from the last row, and drift.

The forecast is that of `retain forecast` without a file, computed from the prepared arrays.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from retain.config.forecasts import ForecastOptions, Forecasts
from retain.errors import DataError
from retain.evaluation import choice, plotting
from retain.evaluation.report import Figure, Outlook, Section
from retain.evaluation.results import DriftFindings
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import panel, quality, timestamps
from retain.kinds.forecast.data.alignment import PHASE
from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.data.tables import Findings, Table
from retain.kinds.forecast.evaluation import fan, wording
from retain.kinds.forecast.evaluation.wording import steps
from retain.kinds.forecast.model.refit import is_kept
from retain.kinds.forecast.monitoring import drift
from retain.kinds.forecast.predict import forecast_table, predictor
from retain.kinds.forecast.predict.example import series_frame
from retain.kinds.forecast.predict.predictor import Predictor
from retain.project import fingerprint
from retain.words import several

MOST_NAMED = 20  # series, or reasons, listed in the report
MEASURES = {
    "psi": "population stability index: how much the shares of small and large values differ",
    "wasserstein": "Wasserstein distance: how far the values moved, in standard deviations",
}


def build(name: str, problem: Problem, prepared: Path, judged: Path, final: Path | None) -> Outlook:
    """Forecast from the last row of the prepared data, and describe the data."""
    source = panel.load(prepared)
    folder = final or judged
    model = predictor.load(folder)
    found = _forecast(model, source)
    evaluated = choice.fold_folders(judged)[-1]
    return Outlook(
        opening=_opening(problem, source, found, model, folder),
        forecast=_forecast_section(name, problem, source, found, model),
        data=_data_section(source, problem.data, drift.check(problem, prepared, evaluated)),
    )


def chosen(source: Panel) -> list[int]:
    """Return the numbers of the series to show: all, or the largest that have not ended."""
    index = source.index
    if len(index) <= fan.MOST:
        return list(range(len(index)))
    ends = (index["first_step"] + index["length"]).to_numpy()
    size = np.where(ends == ends.max(), index["mean"].abs().fillna(0.0).to_numpy(), -1.0)
    return sorted(np.argsort(-size, kind="stable")[: fan.MOST].tolist())


def _forecast(model: Predictor, source: Panel) -> Forecasts | str:
    """Forecast the chosen series from their last row; return the reason if none can be."""
    data = model.data
    frames = [_rows(series_frame(source, number, data)) for number in chosen(source)]
    frame = pd.concat(frames, ignore_index=True)
    found = Findings(rows=len(frame), duplicates=0, out_of_range={}, blank={})
    table = Table(frame, source.schema.frequency, found)
    try:
        forecasts = forecast_table.forecast_table(
            model, table, data.path, ForecastOptions(unseen="unknown"), None
        )
    except DataError as error:
        return str(error)
    return next(iter(forecasts.left_out.values())) if forecasts.table.empty else forecasts


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the steps that the table lacks, but for the last one."""
    given = frame.columns.difference(["unique_id", "ds", PHASE])
    kept = frame[given].notna().any(axis=1)
    kept.iloc[-1] = True
    return frame[kept]


def _opening(
    problem: Problem, source: Panel, found: Forecasts | str, model: Predictor, folder: Path
) -> str:
    data, frequency = problem.data, source.schema.frequency
    count = len(source.index)
    what = f"Forecast of {data.y if not data.value_columns else 'each column'}"
    what += f" ({data.unit})" if data.unit else ""
    what += (
        f" for {count:,} series ({', '.join(data.id_columns)})"
        if data.id_columns and count > 1
        else ""
    )
    when = ""
    if isinstance(found, Forecasts):
        ds = pd.DatetimeIndex(found.rows["ds"].to_numpy().astype("datetime64[us]"))
        clock = wording.on_the_clock(data)
        when = f": {wording.span(ds.min(), ds.max(), clock, frequency)}"
    schema = model.schema
    if model.config.get("refit", {}).get("accepted"):
        seen = f"on all rows until {wording.stamp(source.grid[-1], data, frequency)}"
    else:
        step = schema.test_step if problem.training.rehearsals else schema.validation_step
        seen = f"on the rows before {wording.stamp(source.grid[step], data, frequency)}"
    maker = f"the {plotting.mark(str(model.config['cell'])).label}"
    if not is_kept(model.config):
        maker = f"the classical base of {maker}"
    md5 = fingerprint.folder_md5(folder)[:8]
    return (
        f"{what}, the next {steps(data.horizon, frequency)}{when}. It is made by "
        f"{maker}, trained {seen} (model {md5})."
    )


def _forecast_section(
    name: str, problem: Problem, source: Panel, found: Forecasts | str, model: Predictor
) -> Section:
    title = f"The next {steps(problem.data.horizon, source.schema.frequency)}"
    if isinstance(found, str):
        return Section(
            title,
            f"There is no forecast from the last row of the table: {found}. Where values of the "
            f"future must be known, `retain forecast {name} --future FILE` takes them.",
        )
    fans, levels = fan.fans_of(found)
    cell, count = str(model.config["cell"]), len(source.index)
    figures = (
        Figure(
            "future",
            "History and forecast",
            "Of the values to come, 80\N{NO-BREAK SPACE}% are expected in the light band and half "
            "in the dark one; the line is the median: the value is as likely above it as below.",
            fan.future(fans, levels, cell, fan.axis_unit(problem.data)),
        ),
    )
    few = "" if count <= len(fans) else f"{len(fans)} of {count:,} series are shown. "
    left = f"Without a forecast: {_some(found.left_out)}. " if found.left_out else ""
    said = "".join(f"{message}. " for message in found.messages)
    return Section(
        title,
        f"{few}{left}{said}`retain forecast {name} -o forecast.csv` writes the numbers.",
        figures,
    )


def _data_section(source: Panel, data: Data, found: DriftFindings) -> Section:
    facts = _quality(source, data)
    left_out = quality.left_out(source.quality)
    if left_out:
        facts.append((f"Left out: {len(left_out):,} series", _some(left_out)))
    facts += [("To know", warning) for warning in source.quality["warnings"]]
    return Section("The data", "", facts=(*facts, *_drift(found)))


def _quality(source: Panel, data: Data) -> list[tuple[str, str]]:
    """Say what quality.json says, for people."""
    found, frequency = source.quality, source.schema.frequency
    missing, repeated = found["missing"], found["duplicates"]
    gap = "none"
    if missing["steps"]:
        share = plotting.percent(missing["steps"] / found["steps"])
        begin = _written(missing["longest_gap_from"], data, frequency)
        of = f" in {missing['longest_gap_series']}" if found["series"] > 1 else ""
        gap = (
            f"{missing['steps']:,} of {found['steps']:,} ({share}); they are not filled in and "
            f"not scored. The longest gap is {steps(missing['longest_gap'], frequency)} from "
            f"{begin}{of}"
        )
    span = wording.span(source.grid[0], source.grid[-1], data, frequency)
    counted = f"{found['rows']:,} rows, {found['series']:,} series"
    facts = [
        (
            "Table",
            f"{counted}, {span}, {wording.every(frequency)}",
        ),
        ("Steps without a value", gap),
    ]
    if repeated["rows"]:
        facts.append(
            ("Rows with the same time", f"{repeated['rows']:,} removed (rule: {repeated['rule']})")
        )
    for title, counts in (
        ("Blank values", found["blank"]),
        ("Out of range, made missing", found["out_of_range"]),
    ):
        cells = ", ".join(f"{column} {count:,}" for column, count in counts.items() if count)
        if cells:
            facts.append((title, cells))
    if found["unused_columns"]:
        facts.append(("Columns not used", ", ".join(found["unused_columns"])))
    return facts


def _written(text: str, data: Data, frequency: str) -> str:
    """Return a stamp of quality.json, which is on the clock of the table's place, for people."""
    if timestamps.undated(pd.Timestamp(0), data):
        return f"step {text}" if data.ds_is_step else text
    return wording.stamp(pd.Timestamp(text), wording.on_the_clock(data), frequency)


def _drift(found: DriftFindings) -> list[tuple[str, str]]:
    """Say whether the newest data are like those that the evaluated model learned from."""
    newest = f"in the newest part, {found.newest}"
    far = [drift for drift in found.drifts if drift.passed]
    said = [*found.worse]
    for one in far:
        measure = MEASURES.get(one.measure, one.measure)
        value, bound = wording.number(one.value), wording.number(one.bound)
        said.append(f"{one.name} has changed by {value}, allowed is {bound} ({measure})")
    if not said and not found.drifts:
        said = ["the data are not compared with those that the model was trained on"]
    if not said:
        said = [f"none {newest}: its values are like those that the model was trained on"]
    elif far:
        said[0] = f"{newest}: {said[0]}"
    return [("Drift", "; ".join(said))]


def _some(lines: Iterable[str]) -> str:
    return several([*lines], MOST_NAMED, "; ")
