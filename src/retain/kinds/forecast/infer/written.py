"""The entry that `retain add` writes into params.yaml: every key that one tunes, with its value.

A preset is expanded: `dvc exp run -S problems.NAME.model.hidden_size=64` finds its key, nothing is
hidden, and a later version of retain with other defaults changes no model.
"""

from typing import Any, cast

from retain.config import loader
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.infer.entry import Inferred

# Of `training`, what is a matter of the machine: it is left to the defaults.
MACHINE = {
    *("checkpoint_every", "threads", "precision", "accelerator", "devices", "strategy"),
    "system_metrics",
}
# Keys of `data` that are written with their defaults, too.
TUNED = {"calendar": True, "holidays": None, "unseen": "refuse"}
# the comment behind each key that is written
COMMENTS = {
    "kind": "forecast: the next values of time series",
    "path": "CSV, Parquet or workbook, from the project's folder",
    "ds": "column of the time stamps, or columns that are joined",
    "ds_is_step": "the column of time holds whole numbers and no dates",
    "local_dates": "stamps are dates of the time zone; an offset from UTC is left out",
    "ambiguous": "an hour that came twice: error, or by the order of the rows",
    "align": "stamps off the grid: nearest or period; series keeps a distance of its own in each",
    "aggregate": "of the rows of a series in a step: sum, mean, count",
    "time_format": "as in strptime, or epoch_s, epoch_ms, excel and such",
    "y": "column to forecast",
    "unique_id": "column, or columns together, that name the series",
    "value_columns": "columns to forecast, each one series",
    "past_covariates": "columns known up to now only",
    "known_covariates": "columns known for the future too",
    "static_covariates": "columns with one value for each series",
    "categorical": "columns of text",
    "frequency": "pandas alias: the step of the time grid",
    "timezone": "the place whose days and hours the data follow",
    "calendar": "features from the date: hour, weekday, day of the year",
    "holidays": "a country such as US, or US-MN, for a holiday feature",
    "horizon": "steps to forecast",
    "context_length": "steps that the network looks back",
    "season_length": "steps of a season; 1 is none",
    "transform": "of the target: none, log1p or box_cox",
    "minimum": "no value and no forecast is below",
    "split": "where validation and test begin, before the end, or dates",
    "separator": "between the fields of a row",
    "decimal": "the decimal sign",
    "thousands": "the sign between groups of three digits",
    "encoding": "of the file's text",
    "skip_rows": "lines above the header",
    "sheet": "of the workbook",
    "na_values": "texts and numbers that mean missing",
    "dates_across": "a row is a series; the time stamps are names of columns",
    "duplicates": "rows that repeat a time stamp: error, first, last, mean",
    "unseen": "text that training did not have: refuse, or unknown",
    "base": "pool: correct a classical forecast; none: without it",
    "hidden_size": "width of the LSTM; RNN and GRU get as many parameters",
    "layers": "recurrent layers",
    "segment_length": "steps that the cell reads at once; 1 is step by step",
    "dropout": "share of the last state that is dropped in training",
    "normalisation": "of a network without base: last, mean_std or series",
    "residual": "of a network without base: seasonal or none",
    "series_embedding": "numbers learned for each series; 0 is none",
    "ensemble": "networks whose forecasts are averaged",
    "loss": "pinball, mae or mse",
    "mean": "calibrated: from the quantiles; tweedie: its own output",
    "quantiles": "of each forecast",
    "cells": "which cells are trained: lstm, rnn, gru",
    "batch_size": "windows in an update of the weights",
    "max_steps": "updates at most; null: by the number of windows",
    "max_epochs": "epochs at most; null: by max_steps",
    "epoch_steps": "updates of an epoch at most",
    "patience": "epochs without a gain, after which training ends",
    "learning_rate": "of AdamW; or a rate for each cell",
    "weight_decay": "of AdamW",
    "warmup_fraction": "share of the updates until the full rate",
    "gradient_clip": "norm of a gradient at most",
    "ema_decay": "of the averaged weights",
    "seed": "of weights, order of windows and dropout",
    "reproducible": "machine: the same bits here; portable: everywhere",
    "rehearsals": "parts of the past that decide how long to train",
    "alone": "train each cell without the base, too, to compare",
    "folds": "parts of the test data, each with its own training",
    "floors": "simple forecasts to compare with",
    "bootstrap": "resamples behind an interval",
    "evaluation.seed": "of the bootstrap",
    "block_length": "origins drawn together; null: by the horizon",
    "refit": "train once more on all rows, to forecast with",
    "register": "lstm, or best: the cell of least validation loss",
    "gate": "what a model must pass to become @champion",
}


def entry(name: str, found: Inferred, path: str) -> dict[str, Any]:
    """Return the entry of a problem, complete.

    Args:
        path: of the table, from the project's folder.
    """
    draft = {
        "kind": "forecast",
        "preset": found.preset,
        "data": {**found.data, "path": path},
        "model": found.model,
        "training": {"seed": 1},
        "evaluation": {"folds": found.folds, "bootstrap": 2000},
        "gate": found.gate,
    }
    return expanded(name, draft)


def expanded(name: str, draft: dict[str, Any]) -> dict[str, Any]:
    """Return an entry without `preset`, with the value of every key that one tunes.

    Raises:
        ParamsError: the entry is wrong.
    """
    problem = cast("Problem", loader.parse(name, draft))
    settings = problem.model_dump(mode="json", by_alias=True)
    training = {key: value for key, value in settings["training"].items() if key not in MACHINE}
    given = draft.get("training") or {}
    return {
        "kind": draft["kind"],
        "data": _data(draft["data"]),
        "model": settings["model"],
        "training": training | {key: given[key] for key in MACHINE & given.keys()},
        "evaluation": settings["evaluation"],
        **{key: draft[key] for key in ("retrain", "prove") if key in draft},
        "refit": problem.refit,
        "register": problem.register_cell,
        "gate": draft["gate"],
    }


def _data(data: dict[str, Any]) -> dict[str, Any]:
    """Return the section `data`, keys of TUNED behind those of time."""
    written: dict[str, Any] = {}
    for key, value in data.items():
        if key == "horizon":
            written |= {tuned: data.get(tuned, default) for tuned, default in TUNED.items()}
        if key not in TUNED:
            written[key] = value
    return written
