"""What `retain add` finds out about a table nobody has described, as sections of params.yaml.

Every choice is a sentence for the user, can be given instead of found, and is written out, so that
no later stage guesses again. What may mean two things (01/02/2020, rows that repeat a time stamp
with different values) is asked for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from retain.config import loader
from retain.errors import AmbiguousError, Choice, ParamsError, naming_options, setting
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import chunks, frequency, panel, reader, slots, tables, unseen
from retain.kinds.forecast.data.formats import Dialect
from retain.kinds.forecast.evaluation import wording
from retain.kinds.forecast.infer import (
    columns,
    gate,
    hints,
    keys,
    layout,
    power,
    splitting,
    steps,
    tuning,
)
from retain.kinds.forecast.split import Split

TIME_KEYS = ("timezone", "local_dates", "ambiguous", "align", "aggregate", "holidays")
WRITTEN = ("decimal", "thousands", "na_values")  # how numbers are
DEFAULTS = {"separator": ",", "encoding": "utf-8", "decimal": "."}


@dataclass(frozen=True)
class Inferred:
    """What a new entry of params.yaml says, and how it came to be, one sentence a finding."""

    data: dict[str, Any]
    preset: str
    model: dict[str, Any]
    folds: int
    gate: list[dict[str, Any]]
    sentences: tuple[str, ...]
    table: tables.Table


@naming_options()
def infer(
    name: str,
    path: str,
    root: Path,
    horizon: int,
    given: dict[str, Any],
    seconds: float | None = None,
) -> Inferred:
    """Find what the table at `path` means.

    Args:
        given: keys of `data` that the user fixed, `folds` and `preset`.
        seconds: of the processor, to try settings; by default as `tuning.budget`, 0 tries none.

    Raises:
        DataError: the table cannot be used, or what it means cannot be told without the user.
        ParamsError: what the user fixed does not go together.
    """
    sentences: list[str] = []
    folds, preset = given.get("folds"), given.get("preset")
    given = {key: value for key, value in given.items() if key not in ("folds", "preset")}
    horizon, given = _checked(path, horizon, given, folds, preset)
    opened = reader.open_table(path, root, Dialect(max_bytes=given.get("max_bytes")))
    opened, dialect = layout.find(opened, given, sentences)
    raw = columns.without_nested(reader.load(opened), sentences)
    known = {"path": path, "horizon": horizon, "context_length": 1, **given, **dialect}
    try:
        meaning = columns.find(raw, known, path, sentences)
        for key in columns.ASKED:
            known.pop(key, None)
        draft = Data.model_validate(known | meaning)
    except ValidationError as error:
        raise ParamsError(loader.describe_errors(path, error, Data, "data")) from None
    draft = steps.find(raw, draft, sentences)
    settings = draft.model_dump(mode="json", exclude_unset=True)
    loader.parse(name, {"kind": "forecast", "preset": "fast", "data": settings, "gate": []})
    if draft.duplicates == "error" and draft.aggregate is None and draft.ambiguous == "error":
        draft = _choose_duplicates(raw, draft, sentences)
    table = tables.check(raw, draft)
    if draft.align is None and not draft.ds_is_step:  # what has been said has the frequency
        sentences.append(_frequency_sentence(table, draft))
    extent = splitting.measure(table, draft)
    draft, folds = _choose_split(extent, table, draft, given, folds, sentences)
    draft = _bound(table, draft, sentences)
    built = panel.build(table, draft)
    for closed in slots.warnings(slots.measure(built)):
        sentences.append(
            f"gaps: {closed}; these steps do not count in scores, and forecasts leave them empty, "
            "with a note"
        )
    tuned, preset, model = tuning.tune(name, built, draft, given, folds, sentences, seconds, preset)
    origins = splitting.count_origins(extent, draft)
    chosen = draft.model_copy(update=tuned)
    series = splitting.count_series(table, chosen)
    splitting.describe_series(table, chosen, sentences)
    if draft.categorical:
        sentences += unseen.after_training(chunks.in_memory(table, draft), built, draft)
    judging = gate.metric(built, sentences)
    spread = power.spread(built, tuned["season_length"])
    more = None if "split" in given else splitting.lacking(extent, draft, table.frequency)
    lacking = None if more is None else wording.steps(more, table.frequency)
    checks = gate.choose(
        origins, series, horizon, sentences, judging, spread=spread, lacking=lacking
    )
    written = {key: meaning[key] for key in WRITTEN if key in meaning}
    data: dict[str, Any] = {
        "path": path,
        **{key: value for key, value in meaning.items() if key not in (*WRITTEN, *TIME_KEYS)},
        **({} if draft.ds_is_step else {"frequency": table.frequency}),
        **{key: getattr(draft, key) for key in TIME_KEYS if key in draft.model_fields_set},
        "horizon": horizon,
        **tuned,
        **({} if draft.minimum is None else {"minimum": draft.minimum or 0}),
        "split": draft.split.model_dump(mode="json"),
        **{key: value for key, value in dialect.items() if value != DEFAULTS.get(key)},
        **{key: value for key, value in written.items() if value != DEFAULTS.get(key)},
        "duplicates": draft.duplicates,
    }
    for key, value in given.items():  # what is not inferred, such as `unit`
        if key in Data.model_fields and key not in columns.ASKED:
            data.setdefault(key, value)
    return Inferred(data, preset, model, folds, checks, tuple(sentences), table)


def _checked(
    path: str, horizon: int, given: dict[str, Any], folds: int | None, preset: str | None
) -> tuple[int, dict[str, Any]]:
    """Return horizon and given keys; ParamsError for a value that a key has in no table.

    What does not go together is judged when the meaning of the columns is known.
    """
    if given.get("value_columns") and "y" in given:
        raise ParamsError(
            f"{path}: {setting('y')} names one column to forecast and {setting('value_columns')} "
            "names several: leave one of the two out"
        )
    fields = {key: value for key, value in given.items() if key in Data.model_fields}
    entry: dict[str, Any] = {
        "kind": "forecast",
        "data": {"path": path, "context_length": 1, **fields, "horizon": horizon},
        "gate": [],
    }
    if folds is not None:
        entry["evaluation"] = {"folds": folds}
    if preset is not None:
        entry["preset"] = preset
    try:
        data = Problem.model_validate(entry).data
    except ValidationError as error:
        if any(problem["loc"] not in ((), ("data",)) for problem in error.errors()):
            raise ParamsError(loader.describe_errors(path, error, Problem)) from None
        return int(horizon), given
    return data.horizon, given | data.model_dump(mode="json", include=set(fields))


def _choose_split(
    extent: splitting.Extent,
    table: tables.Table,
    draft: Data,
    given: dict[str, Any],
    folds: int | None,
    sentences: list[str],
) -> tuple[Data, int]:
    """Return the draft with a split, and the number of folds, as given or by the table's length."""
    if "split" in given:
        folds = folds or 1
    else:
        validation, test, chosen = splitting.choose(extent, draft, table.frequency)
        folds = folds or chosen
        split = {"validation": _horizons(validation), "test": _horizons(test)}
        draft = draft.model_copy(update={"split": Split.model_validate(split)})
        sentences.append(
            f"split: validation from {split['validation']} before the end, test from "
            f"{split['test']}, of {extent.span:,} steps"
        )
    if folds > 1:
        sentences.append(
            f"folds: {folds} pieces of the test part, each forecast by a model trained on all that "
            f"precedes it; training takes {folds} times as long as with --folds 1"
        )
    return draft, folds


def _bound(table: tables.Table, draft: Data, sentences: list[str]) -> Data:
    """Return the draft with `minimum: 0` where no value is negative, unless it is given."""
    if "minimum" in draft.model_fields_set or not table.frame["y"].min() >= 0:
        return draft
    sentences.append("minimum: 0; no value is negative, and no forecast will be")
    return draft.model_copy(update={"minimum": 0.0})


def _horizons(count: int) -> str:
    return f"{count} horizon{'s' * (count > 1)}"


def _choose_duplicates(raw: reader.Raw, draft: Data, sentences: list[str]) -> Data:
    """Return `duplicates: first` where repeated rows agree in their value; DataError if not."""
    if draft.dates_across:  # no row repeats another
        return draft
    key = [*draft.id_columns, *draft.time_columns]
    frame = raw.frame
    repeated = frame[frame.duplicated(key, keep=False)]
    if repeated.empty:
        return draft
    targets = list(draft.value_columns) or [draft.y]
    differing = repeated.groupby(key, sort=False)[targets].nunique(dropna=False) > 1
    if differing.any(axis=None):
        count = int(differing.any(axis=1).sum())
        others = [name for name in frame.columns if name not in {*key, *targets}]
        likely = keys.likely(frame, others)
        choices = [
            Choice(f"`{column}` tells series apart", {"unique_id": [*draft.id_columns, column]})
            for column in likely
        ]
        choices += [
            Choice("the first row counts", {"duplicates": "first"}),
            Choice("the last row counts", {"duplicates": "last"}),
        ]
        if not likely:  # a mean would make one series of several
            choices += [
                Choice("their mean counts", {"duplicates": "mean"}),
                Choice("the sum in each day counts", {"aggregate": "sum", "frequency": "D"}),
            ]
        unnamed = [name for name in others if name not in likely]
        hint = f"; --unique-id names columns that tell series apart, as {hints.names(unnamed)} may"
        raise AmbiguousError(
            f"{raw.origin.where}: {count:,} time stamps have several rows that differ in "
            f"{hints.names(targets)}{hint if unnamed else ''}",
            choices,
        )
    rows = int(frame.duplicated(key).sum())
    sentences.append(f"duplicates: first; {rows:,} rows repeat a time stamp, with the same value")
    return draft.model_copy(update={"duplicates": "first"})


def _frequency_sentence(table: tables.Table, draft: Data) -> str:
    if draft.frequency is not None:
        return f"frequency: {table.frequency}, as given"
    series, _ = pd.factorize(table.frame["unique_id"])
    times = frequency.count_times(series, table.frame["ds"])
    classes = np.unique(frequency.classify(times.steps), return_inverse=True)[1]
    common = int(np.bincount(classes, times.step_counts).max())
    return f"frequency: {table.frequency}, from {common:,} of {times.step_counts.sum():,} steps"
