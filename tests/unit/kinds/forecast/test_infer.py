"""What `retain add` finds out about a table nobody has described, and what it asks for."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retain.config import loader
from retain.errors import DataError, ParamsError
from retain.evaluation.bootstrap import smallest_difference
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import folds as partition
from retain.kinds.forecast.data import panel, tables
from retain.kinds.forecast.data.cycles import natural, segment_length
from retain.kinds.forecast.infer import adding, gate
from retain.kinds.forecast.infer.entry import Inferred, infer
from retain.kinds.forecast.infer.tuning import budget
from retain.kinds.forecast.model.search import Compared, Search

ALMOST_NOTHING = 1e-6  # seconds, in which no network is trained


def season(steps: int, length: int, seed: int = 0) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).normal(0, 1, steps)
    return np.round(100 + 20 * np.sin(2 * np.pi * np.arange(steps) / length) + noise, 2)


def frame(steps: int = 400, frequency: str = "D", length: int = 7) -> pd.DataFrame:
    grid = pd.date_range("2021-01-01", periods=steps, freq=frequency)
    return pd.DataFrame({"timestamp": grid, "revenue": season(steps, length)})


def look(
    folder: Path, table: pd.DataFrame, horizon: Any = 7, budget: float = 0.0, **given: Any
) -> Inferred:
    """Infer by rules; with a budget of ALMOST_NOTHING the season is measured, and no more."""
    csv = {key: given[key] for key in ("date_format",) if key in given}
    sep, decimal = given.pop("written", (",", "."))
    table.to_csv(folder / "t.csv", index=False, sep=sep, decimal=decimal, **csv)
    given.pop("date_format", None)
    return infer("sales", "t.csv", folder, horizon, given, budget)


def stores(*names: str) -> pd.DataFrame:
    parts = [frame().assign(store=name) for name in names]
    return pd.concat(parts)[["timestamp", "store", "revenue"]]


def test_stores_by_day(tmp_path: Path) -> None:
    found = look(tmp_path, stores("001", "002", "003"), horizon=28)
    assert found.data == {
        "path": "t.csv",
        "ds": "timestamp",
        "y": "revenue",
        "unique_id": "store",
        "frequency": "D",
        "horizon": 28,
        "context_length": 56,
        "season_length": 7,
        "transform": "log1p",
        "minimum": 0,
        "split": {"validation": "7 horizons", "test": "5 horizons"},
        "duplicates": "error",
    }
    assert found.model["segment_length"] == 7
    assert found.table.frame["unique_id"].unique().tolist() == ["001", "002", "003"]
    assert found.sentences[:4] == (
        "ds: column `timestamp`",
        "unique_id: column `store`, 3 series",
        "y: column `revenue`",
        "frequency: D, from 1,197 of 1,197 steps",
    )


def test_columns_called_alike_are_series_side_by_side(tmp_path: Path) -> None:
    table = frame().rename(columns={"revenue": "shop_1"})
    table["shop_2"] = season(400, 7, seed=1)
    found = look(tmp_path, table)
    assert found.data["value_columns"] == ["shop_1", "shop_2"]
    assert found.table.frame["unique_id"].nunique() == 2


def test_what_is_given_is_not_guessed(tmp_path: Path) -> None:
    table = frame().assign(other=season(400, 7, seed=1), kind="x")
    found = look(
        tmp_path,
        table,
        y="other",
        past_covariates=["revenue", "kind"],
        season_length=14,
        context_length=21,
        split={"validation": 0.5, "test": 0.75},
    )
    assert found.data["y"] == "other"
    assert found.data["past_covariates"] == ["revenue", "kind"]
    assert found.data["categorical"] == ["kind"]
    assert (found.data["season_length"], found.data["context_length"]) == (14, 21)
    assert found.data["split"] == {"validation": 0.5, "test": 0.75}
    assert found.folds == 1
    assert look(tmp_path, frame(), folds=4).folds == 4


def test_what_no_table_says_is_written_as_given(tmp_path: Path) -> None:
    promo = np.tile([0, 0, 1, 0], 100)
    given: dict[str, Any] = {
        "calendar": False,
        "unit": "MW",
        "valid_range": {"revenue": [50, None]},
        "unseen": "unknown",
        "transform": "none",
        "minimum": 5.0,
        "categorical": ["promo"],
    }
    found = look(tmp_path, frame().assign(promo=promo), past_covariates=["promo"], **given)
    assert {key: found.data[key] for key in given} == given
    assert set(found.table.frame["promo"]) == {"0", "1"}
    content = adding.entry("sales", found, "t.csv")["data"]
    assert {key: content[key] for key in given} == given


@pytest.mark.parametrize("transform", ["none", "log1p", "box_cox"])
def test_a_given_transform_is_not_tried(
    transform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[set[str]] = []

    def first(search: Search, candidates: list[Problem], *_: int) -> Compared:
        tried.append({problem.data.transform for problem in candidates})
        return Compared(0)

    monkeypatch.setattr(Search, "compare", first)
    found = look(tmp_path, frame(400), budget=60, transform=transform)
    assert found.data["transform"] == transform
    assert {name for names in tried for name in names} == {transform}


@pytest.mark.parametrize("minimum", [None, -1.5, 0.0])
def test_a_given_minimum_is_kept(minimum: float | None, tmp_path: Path) -> None:
    found = look(tmp_path, frame().assign(revenue=np.arange(400) % 7 // 5), minimum=minimum)
    assert found.data["minimum"] == minimum
    assert found.model.get("mean") == (None if minimum != 0 else "tweedie")


def test_a_category_that_is_not_used_is_named(tmp_path: Path) -> None:
    table = frame().assign(kind=["a", "b", "b", "a", "a"] * 80, ids=np.arange(400))
    with pytest.raises(ParamsError, match="categorical names 'ids', which is not a column in use"):
        look(tmp_path, table, categorical=["ids"])
    with pytest.raises(DataError, match="no column `kinds`; did you mean `kind`"):
        look(tmp_path, table, categorical=["kinds"])


def test_a_given_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no column `revenu`; did you mean `revenue`"):
        look(tmp_path, frame(), y="revenu")


def test_given_columns_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"^t.csv: `data`: column 'revenue' is given two"):
        look(tmp_path, frame(), y="revenue", past_covariates=["revenue"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ambiguous": "foo"}, "`data.ambiguous` is 'foo': input should be 'error' or 'order'"),
        ({"ambiguous": "order"}, "`data`: ambiguous: order needs timezone"),
        (
            {"ds_is_step": True, "ds": "revenue", "timezone": "UTC"},
            "`data`: ds_is_step: steps have no dates",
        ),
        ({"dates_across": True, "ds": "y", "y": "y"}, "`data`: column 'y' is given two meanings"),
        ({"encoding": "utf-99"}, "`data.encoding` is 'utf-99': no encoding of text"),
        ({"encoding": "hex"}, "`data.encoding` is 'hex': no encoding of text"),
        ({"encoding": "rot13"}, "`data.encoding` is 'rot13': no encoding of text"),
        ({"y": None}, "`data.y` is None: input should be a valid string"),
        ({"past_covariates": None}, "`data.past_covariates` is None"),
        ({"unique_id": 4}, "`data.unique_id` is 4"),
        ({"separator": "ab"}, "`data.separator` is 'ab'"),
        ({"horizon": "soon"}, "`data.horizon` is 'soon'"),
        ({"folds": "few"}, "`evaluation.folds` is 'few'"),
        ({"preset": "fas"}, "`preset` is 'fas': input should be 'fast' or 'accurate'"),
    ],
)
def test_a_value_that_a_key_cannot_have(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match=f"^t.csv(:| has 2 errors:\n ) {message}"):
        look(tmp_path, frame(), **given)


def test_a_number_may_be_written_as_text(tmp_path: Path) -> None:
    found = look(tmp_path, frame(), horizon="7", context_length="21")
    assert (found.data["horizon"], found.data["context_length"]) == (7, 21)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frequency": "M", "align": "nearest"}, "`frequency: M` is no alias of pandas"),
        ({"frequency": "M", "aggregate": "sum"}, "`frequency: M` is no alias of pandas"),
        ({"frequency": "0D", "align": "period"}, "`frequency: 0D` is not supported"),
        ({"frequency": "1us"}, "there are 34,473,600,000,001 steps, and a table may have"),
        ({"frequency": "ms", "aggregate": "sum"}, "steps of ms, and a table may have"),
    ],
)
def test_a_frequency_of_which_no_grid_can_be_made(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        look(tmp_path, frame(), **given)
    keys = {"path": "t.csv", "ds": "timestamp", "y": "revenue", "horizon": 7, "context_length": 14}
    with pytest.raises(DataError, match=message):
        tables.read(Data.model_validate(keys | given), tmp_path)


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    found = look(tmp_path, frame(), written=(";", ","))
    assert (found.data["separator"], found.data["decimal"]) == (";", ",")
    assert found.table.frame["y"].iloc[0] == season(400, 7)[0]


@pytest.mark.parametrize(
    ("written", "form"),
    [("%d.%m.%Y", "%d.%m.%Y"), ("%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M"), ("%Y%m%d", "%Y%m%d")],
)
def test_time_stamps_that_can_be_told(tmp_path: Path, written: str, form: str) -> None:
    found = look(tmp_path, frame(), date_format=written)
    assert found.data["time_format"] == form
    assert found.table.frequency == "D"


def test_seconds_since_1970(tmp_path: Path) -> None:
    table = frame(frequency="h", length=24)
    table["timestamp"] = table["timestamp"].astype("datetime64[s]").astype(int)
    found = look(tmp_path, table)
    assert found.data["time_format"] == "epoch_s"
    assert found.table.frame["ds"].iloc[0] == pd.Timestamp("2021-01-01")


def test_a_day_that_may_be_a_month_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        look(tmp_path, frame(steps=10, frequency="MS"), date_format="%d/%m/%Y")
    assert str(error.value) == (
        "t.csv: column `timestamp`: '01/02/2021' may be two days; say which:\n"
        "  --time-format %d/%m/%Y: it is 2021-02-01\n"
        "  --time-format %m/%d/%Y: it is 2021-01-02"
    )


def test_no_time_stamps(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        look(tmp_path, pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}))
    assert str(error.value) == (
        "t.csv: no column looks like time stamps; name it with --ds, and how it is written with "
        "--time-format. The columns are: `a`, `b`"
    )


def test_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        look(tmp_path, frame()[["timestamp"]].assign(note="x"))
    assert str(error.value) == "t.csv: no column of numbers to forecast; name it with --y"


def test_repeated_rows_that_agree_are_one(tmp_path: Path) -> None:
    table = frame()
    table = pd.concat([table, table.iloc[:3]])
    table["weather"] = ["rain", "sun"] * 201 + ["fog"]
    found = look(tmp_path, table)
    assert found.data["duplicates"] == "first"
    assert "unique_id" not in found.data  # the weather tells three rows apart, not series


def test_repeated_rows_that_differ_are_asked_for(tmp_path: Path) -> None:
    table = frame()
    table = pd.concat([table, table.iloc[:3].assign(revenue=1)])
    with pytest.raises(DataError) as error:
        look(tmp_path, table)
    assert str(error.value) == (
        "t.csv: 3 time stamps have several rows that differ in `revenue`; say which:\n"
        "  --duplicates first: the first row counts\n"
        "  --duplicates last: the last row counts\n"
        "  --duplicates mean: their mean counts\n"
        "  --aggregate sum --frequency D: the sum in each day counts"
    )
    assert look(tmp_path, table, duplicates="last").data["duplicates"] == "last"


@pytest.mark.parametrize(
    ("steps", "frequency", "season"),
    [(1500, "h", 24), (800, "D", 7), (600, "D", 7), (36, "MS", 12), (20, "MS", 1), (30, "YS", 1)],
)
def test_without_a_budget_the_season_is_the_first_natural_cycle(
    tmp_path: Path, steps: int, frequency: str, season: int
) -> None:
    """A series must have it twice."""
    assert look(tmp_path, frame(steps, frequency), 2).data["season_length"] == season


def test_the_season_is_measured_by_smoothing(tmp_path: Path) -> None:
    found = look(tmp_path, frame(120, "MS", 12), 6, budget=ALMOST_NOTHING)
    (told,) = (text for text in found.sentences if text.startswith("season_length"))
    errors = re.search(r"none: ([\d.]+), 12: ([\d.]+)", told)
    assert errors is not None
    assert float(errors[2]) < 0.5 * float(errors[1])
    assert found.data["season_length"] == 12


def test_a_season_that_no_series_has_twice_is_not_measured(tmp_path: Path) -> None:
    found = look(tmp_path, frame(300), horizon=28, budget=ALMOST_NOTHING)
    (sentence,) = (text for text in found.sentences if text.startswith("season_length"))
    assert "365" not in sentence


def test_the_context_leaves_windows_to_learn_from(tmp_path: Path) -> None:
    found = look(tmp_path, frame(60, "D", 7), horizon=9)
    training = 60 - 9 * int(str(found.data["split"]["validation"]).split()[0])
    assert found.data["context_length"] <= (training - 9) / 2
    assert found.data["context_length"] % found.model["segment_length"] == 0


def panel_of(series: int, steps: int, frequency: str, length: int) -> pd.DataFrame:
    parts = [frame(steps, frequency, length).assign(unit=f"u{n}") for n in range(series)]
    return pd.concat(parts)[["unit", "timestamp", "revenue"]]


@pytest.mark.parametrize(
    ("table", "horizon", "validation", "test", "folds", "context", "season"),
    [
        (panel_of(6, 40, "MS", 12), 3, 6, 4, 4, 9, 12),
        (panel_of(20, 880, "D", 7), 28, 15, 10, 2, 56, 7),
        (panel_of(1, 132, "MS", 12), 12, 5, 3, 3, 24, 12),
        (panel_of(500, 104, "W-SUN", 52), 13, 4, 3, 3, 16, 52),
        (panel_of(50, 730, "D", 7), 28, 13, 9, 2, 56, 7),
        (panel_of(1, 36, "MS", 12), 6, 3, 2, 2, 6, 12),
        (panel_of(1, 9000, "h", 24), 24, 112, 56, 1, 48, 24),  # 15 % of the span, and as much
    ],
)
def test_the_split_and_the_folds_follow_from_the_length(
    tmp_path: Path,
    table: pd.DataFrame,
    horizon: int,
    validation: int,
    test: int,
    folds: int,
    context: int,
    season: int,
) -> None:
    found = look(tmp_path, table, horizon)
    assert found.data["split"] == {
        "validation": f"{validation} horizons",
        "test": f"{test} horizons",
    }
    chosen = found.folds, found.data["context_length"], found.data["season_length"]
    assert chosen == (folds, context, season)
    entry = {"kind": "forecast", "preset": "fast", "data": found.data, "gate": []}
    data = loader.parse("sales", entry).data  # type: ignore[attr-defined]
    built = panel.build(found.table, data)
    steps = built.schema.steps
    assert built.schema.validation_step >= steps // 2 - horizon
    for fold in partition.find(built.schema, found.folds):
        assert fold.validation_step >= context + horizon
    told = [sentence.split(":")[0] for sentence in found.sentences]
    assert ("folds" in told) == (folds > 1)
    origins = test * horizon - horizon + 1
    (power,) = (sentence for sentence in found.sentences if sentence.startswith("test:"))
    assert f"({origins:,} forecast origins)" in power
    assert ("too few for a verdict" in power) == (origins < 2 * horizon)
    ties = [check for check in found.gate if check["check"] == "beats_or_ties"]
    assert [check["baseline"] for check in ties] == ["rnn", "theta", "pool"]
    share = smallest_difference(origins, len(built.index), horizon)
    for check in ties:
        assert check["margin"] == pytest.approx(max(0.02, (share or 0) / 2), abs=0.01)


@pytest.mark.parametrize(
    ("scales", "zeros", "metric"),
    [
        ((1, 9), 0.0, "mae"),
        ((1, 11), 0.0, "mase"),
        ((1,), 0.15, "mae"),
        ((1, 11), 0.3, "rmsse"),
    ],
)
def test_the_gate_judges_by_what_no_large_series_and_no_zeros_decide(
    tmp_path: Path, scales: tuple[int, ...], zeros: float, metric: str
) -> None:
    table = pd.concat(
        [
            frame().assign(store=f"s{scale}", revenue=season(400, 7, seed=3) * scale)
            for scale in scales
        ]
    )
    empty = np.random.default_rng(1).random(400) < zeros
    table.loc[np.tile(empty, len(scales)), "revenue"] = 0
    found = look(tmp_path, table)
    assert {check["metric"] for check in found.gate if "metric" in check} == {metric}
    told = [sentence for sentence in found.sentences if sentence.startswith("gate: judged")]
    assert len(told) == (metric != "mae")
    assert all(f"judged by {metric.upper()}" in sentence for sentence in told)
    entry = {"kind": "forecast", "preset": "fast", "data": found.data, "gate": found.gate}
    loader.parse("sales", entry)


def test_where_there_is_a_classical_base_it_must_not_be_better_alone() -> None:
    sentences: list[str] = []
    checks = gate.choose(100, 3, 7, sentences, "mase")
    ties = [check for check in checks if check["check"] == "beats_or_ties"]
    assert [check["baseline"] for check in ties] == ["rnn", "theta", "pool"]
    assert len({check["margin"] for check in ties}) == 1
    assert "worse than the RNN or Theta or its classical base" in sentences[-1]


def test_known_covariates_of_stores_come_through(tmp_path: Path) -> None:
    table = panel_of(3, 400, "D", 7).assign(price=2.0, promotion=0)
    table["price"] += np.arange(len(table)) % 3
    table["promotion"] = (np.arange(len(table)) % 10 == 0).astype(int)
    found = look(tmp_path, table, 28, known_covariates=["price", "promotion"])
    assert found.data["known_covariates"] == ["price", "promotion"]


def test_series_that_begin_late_do_not_lengthen_the_table(tmp_path: Path) -> None:
    """Most stores have 100 days, and what an old one has before is no reason to test them all."""
    old, young = panel_of(1, 1000, "D", 7), panel_of(9, 100, "D", 7)
    young = young.assign(
        unit="y" + young["unit"], timestamp=young["timestamp"] + pd.Timedelta("900D")
    )
    found = look(tmp_path, pd.concat([old, young]), horizon=7)
    assert found.data["split"] == {"validation": "7 horizons", "test": "5 horizons"}


@pytest.mark.parametrize(("steps", "least", "most"), [(20, 22, 6), (5, 22, 1), (3, 22, 0)])
def test_a_table_too_short_for_the_horizon(
    tmp_path: Path, steps: int, least: int, most: int
) -> None:
    with pytest.raises(DataError) as error:
        look(tmp_path, frame(steps), horizon=7)
    assert str(error.value).startswith(f"t.csv has {steps} steps, from 2021-01-01 00:00:00 to ")
    assert f"to forecast 7 takes {least}: " in str(error.value)
    assert f"bring {least - steps} more rows of a series" in str(error.value)
    assert ("at most" in str(error.value)) == (most > 0)
    if most:
        assert str(error.value).endswith(f"or forecast at most {most} with --horizon")
        assert look(tmp_path, frame(steps), horizon=most).data["horizon"] == most


def test_the_shortest_table_comes_through(tmp_path: Path) -> None:
    found = look(tmp_path, frame(22), horizon=7)
    assert found.data["split"] == {"validation": "2 horizons", "test": "1 horizon"}
    assert (found.data["context_length"], found.folds) == (1, 1)


def test_the_same_table_gives_the_same_answer(tmp_path: Path) -> None:
    first, second = (look(tmp_path, stores("a", "b")) for _ in range(2))
    assert (first.data, first.model, first.sentences) == (
        second.data,
        second.model,
        second.sentences,
    )


@pytest.mark.parametrize(
    ("frequency", "cycles"),
    [
        ("s", (60, 3600)),
        ("min", (60, 1440)),
        ("15min", (96, 672)),
        ("h", (24, 168)),
        ("D", (7, 365)),
        ("B", (5, 260)),
        ("W-MON", (52,)),
        ("MS", (12,)),
        ("QE-DEC", (4,)),
        ("YS-JAN", ()),
    ],
)
def test_natural_cycles(frequency: str, cycles: tuple[int, ...]) -> None:
    assert natural(frequency) == cycles


@pytest.mark.parametrize(
    ("frequency", "horizon", "context", "segment"),
    [
        ("h", 48, 168, 24),
        ("h", 10, 168, 8),
        ("h", 96, 720, 48),
        ("h", 720, 96, 48),
        ("h", 24, 8760, 24),
        ("D", 6, 30, 1),
        ("D", 28, 56, 7),
        ("W", 8, 104, 8),
        ("MS", 3, 24, 3),
        ("YS", 5, 10, 1),
    ],
)
def test_a_segment_is_a_part_of_a_cycle_or_some_cycles(
    frequency: str, horizon: int, context: int, segment: int
) -> None:
    assert segment_length(frequency, horizon, context) == segment


@pytest.mark.parametrize(("steps", "preset"), [(400, "fast"), (4000, "accurate")])
def test_few_windows_get_the_small_network(tmp_path: Path, steps: int, preset: str) -> None:
    assert look(tmp_path, frame(steps)).preset == preset


def test_many_windows_get_a_wide_network_untried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[set[int]] = []

    def first(self: Search, candidates: list[Problem], first: int, most: int) -> Compared:
        tried.append({problem.model.hidden_size for problem in candidates})
        return Compared(0)

    monkeypatch.setattr(Search, "compare", first)
    assert "hidden_size" not in look(tmp_path, frame(400), budget=60).model
    assert tried[-1] == {32, 64}
    monkeypatch.setattr("retain.kinds.forecast.infer.tuning.PLENTY", 100)
    found = look(tmp_path, frame(400), budget=60)
    assert (found.model["hidden_size"], tried[-1]) == (128, {128})
    assert "hidden_size: 128, for many training windows" in found.sentences


def test_a_few_windows_learn_the_difference_to_the_season(tmp_path: Path) -> None:
    months = np.arange(132)
    y = (100 + months) * (1 + 0.3 * np.sin(months * np.pi / 6)) + months % 5
    ds = pd.date_range("2013-01-01", periods=132, freq="MS")
    found = look(tmp_path, pd.DataFrame({"ds": ds, "y": y}), 12)
    assert found.model["residual"] == "seasonal"
    short = look(tmp_path, pd.DataFrame({"ds": ds[:36], "y": y[:36]}), 6)
    assert short.model["residual"] == "none"  # no training window has a season before it


def test_nothing_is_tried_without_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network was trained")

    monkeypatch.setattr(Search, "compare", refuse)
    found = look(tmp_path, panel_of(6, 120, "MS", 12), 6)
    assert found.model["normalisation"] == "last"
    assert "budget: 0 seconds; no setting is tried" in found.sentences


def test_a_validation_part_without_a_window_is_refused(tmp_path: Path) -> None:
    """Nothing was observed in the weeks before it."""
    split = {"validation": "2 horizons", "test": "1 horizon"}
    table = frame(400)
    table.loc[300:385, "revenue"] = np.nan
    with pytest.raises(DataError, match="no window of the validation part has a value"):
        look(tmp_path, table, budget=60, split=split)


def test_a_table_of_few_windows_trains_nothing_on_the_base(tmp_path: Path) -> None:
    found = look(tmp_path, frame(80, "MS", 12), 12, budget=60)
    (told,) = (text for text in found.sentences if text.startswith("transform"))
    assert told == (
        "transform: log1p; nothing else is tried with fewer than 50 windows to learn from"
    )
    assert "hidden_size" not in found.model


def test_what_was_tried_is_said_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last candidate of each comparison wins here."""
    compared: list[list[Problem]] = []

    def last(self: Search, candidates: list[Problem], first: int, most: int) -> Compared:
        compared.append(candidates)
        best = len(candidates) - 1
        return Compared(best, {0: (0.5, 0.7), best: (0.4, 0.6)}, {0: most, best: first}, False)

    monkeypatch.setattr(Search, "compare", last)
    found = look(tmp_path, panel_of(6, 140, "MS", 12), 3, budget=100)
    assert [problem.data.transform for problem in compared[0]] == ["log1p", "none", "box_cox"]
    assert {problem.model.base for problem in compared[1]} == {"none"}
    assert len({(p.model.normalisation, p.model.residual) for p in compared[1]}) == 6
    lengths = [problem.data.context_length for problem in compared[2]]
    assert lengths == [12, 6, 24]
    assert [problem.model.hidden_size for problem in compared[3]] == [32, 64]
    assert found.data["transform"] == "box_cox"
    assert found.data["context_length"] == 24
    assert found.model["hidden_size"] == 64
    assert (found.model["normalisation"], found.model["residual"]) == ("series", "none")
    (told,) = (text for text in found.sentences if text.startswith("transform"))
    assert "box_cox: 0.5000" in told
    assert told.endswith("1 not tried, for the budget")


@pytest.mark.parametrize(("rows", "seconds"), [(144, 7.504), (10_000, 42.0), (10_000_000, 45.0)])
def test_the_budget_follows_from_the_rows(rows: int, seconds: float) -> None:
    assert budget(rows) == pytest.approx(seconds)


def test_series_that_are_too_short_or_ended_are_named(tmp_path: Path) -> None:
    table = stores("001", "002", "003", "004")
    late = (table["store"] == "002") & (table["timestamp"] < "2022-01-30")
    over = (table["store"] == "003") & (table["timestamp"] > "2021-06-01")
    said = "\n".join(look(tmp_path, table[~late & ~over]).sentences)
    assert "left out: 1 of 4 series: 002 (6 steps are fewer than context_length + horizon" in said
    assert "ended: 1 of 4 series more than a season before the table does: 003 (2021-06-01)" in said
    assert "ended" not in "\n".join(look(tmp_path, table).sentences)


def test_a_table_too_short_for_a_verdict_says_how_much_more_is_enough(tmp_path: Path) -> None:
    def power(steps: int) -> str:
        found = look(tmp_path, frame(steps=steps, frequency="MS"), 12)
        return next(sentence for sentence in found.sentences if sentence.startswith("test:"))

    short = power(60)
    assert "too few for a verdict, which needs 24 origins; " in short
    found = re.search(r"; (\d+) months more of the table are enough$", short)
    assert found is not None
    assert "too few" in power(60 + int(found[1]) - 12)
    assert "is detectable" in power(60 + int(found[1]))
