"""The gate passes or fails for the reason it states."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from retain.config.checks import (
    BeatsCheck,
    ChampionCheck,
    Check,
    CoverageCheck,
    FiniteCheck,
    TiesCheck,
)
from retain.errors import ParamsError
from retain.evaluation import quality_gate
from retain.evaluation.results import Interval, read_metrics
from retain.project import files

METRICS: dict[str, Any] = {
    "models": {
        "lstm": {"mae": 10.0, "crps": 7.0, "coverage_80": 0.813, "not_finite": 0},
        "rnn": {"mae": 10.5, "crps": 7.5},
        "seasonal_naive": {"mae": 12.0, "crps": 9.0},
    },
    "differences": {
        "lstm_minus_rnn": {
            "mae": {"value": -0.5, "low": -1.25, "high": 0.25},
            "crps": {"value": 0.5, "low": 0.125, "high": 0.75},
        },
        "lstm_minus_seasonal_naive": {"mae": {"value": -2.0, "low": -3.0, "high": -1.0}},
    },
}


def judged(check: Check, **scores: float) -> quality_gate.CheckResult:
    metrics = copy.deepcopy(METRICS)
    metrics["models"]["lstm"] |= scores
    (result,) = quality_gate.run_checks(metrics, [check])
    return result


def beats(baseline: str, metric: Any = "mae") -> BeatsCheck:
    return BeatsCheck(check="beats", baseline=baseline, metric=metric)


def ties(baseline: str, metric: Any = "mae") -> TiesCheck:
    return TiesCheck(check="beats_or_ties", baseline=baseline, metric=metric)


def test_a_whole_interval_below_zero_beats() -> None:
    assert judged(beats("seasonal_naive")) == quality_gate.CheckResult(
        "beats seasonal_naive",
        True,
        "MAE 10 against 12: better (-2, 95 % interval -3 to -1)",
        {"value": -2.0, "low": -3.0, "high": -1.0},
    )


def test_an_interval_that_holds_zero_does_not_beat() -> None:
    result = judged(beats("rnn"))
    assert not result.passed
    assert result.sentence == (
        "MAE 10 against 10.5: no clear difference (-0.5, 95 % interval -1.25 to +0.25)"
    )


def test_an_interval_that_holds_zero_ties() -> None:
    result = judged(ties("rnn"))
    assert result.passed
    assert result.check == "beats or ties rnn"
    assert result.sentence == judged(beats("rnn")).sentence


def test_a_whole_interval_above_zero_does_not_tie() -> None:
    assert judged(ties("rnn", "crps")) == quality_gate.CheckResult(
        "beats or ties rnn",
        False,
        "CRPS 7 against 7.5: worse (+0.5, 95 % interval +0.125 to +0.75)",
        {"value": 0.5, "low": 0.125, "high": 0.75},
    )


def within(margin: float, **change: Any) -> quality_gate.CheckResult:
    metrics = copy.deepcopy(METRICS)
    metrics["differences"]["lstm_minus_rnn"]["crps"] |= change
    check = TiesCheck(check="beats_or_ties", baseline="rnn", metric="crps", margin=margin)
    (result,) = quality_gate.run_checks(metrics, [check])
    return result


def test_a_model_that_is_worse_ties_where_the_whole_interval_is_within_the_margin() -> None:
    assert not within(0.099).passed  # of 7.5 is 0.7425; the interval ends at 0.75
    assert within(0.1).passed
    assert within(0.02).sentence == (
        "CRPS 7 against 7.5: worse (+0.5, 95 % interval +0.125 to +0.75); "
        "a margin of 2 % is allowed"
    )


def test_a_tie_is_no_tie_where_the_difference_itself_is_beyond_the_margin() -> None:
    assert not within(0.06, low=-0.1).passed  # +0.5 is more than 0.45
    assert within(0.07, low=-0.1).passed
    assert not within(0.0, low=-0.1).passed


UNKNOWN: dict[str, Any] = {
    "value": -4.0,
    "low": -math.inf,
    "high": math.inf,
    "count": 13,
    "unit": "forecast origins",
    "needed": 24,
}


def test_what_too_few_data_leave_open_passes_no_check() -> None:
    metrics = copy.deepcopy(METRICS)
    metrics["differences"]["lstm_minus_rnn"]["mae"] = UNKNOWN
    results = quality_gate.run_checks(metrics, [beats("rnn"), ties("rnn")])
    assert [result.passed for result in results] == [False, False]
    assert results[0].sentence == (
        "MAE 10 against 10.5: undecided (-4, unknown: 13 forecast origins, and 24 are needed)"
    )


def test_a_difference_that_is_not_a_number_passes_no_check_and_is_not_undecided() -> None:
    metrics = copy.deepcopy(METRICS)
    nan = {"value": math.nan, "low": math.nan, "high": math.nan}
    metrics["differences"]["lstm_minus_rnn"]["mae"] = nan
    results = quality_gate.run_checks(metrics, [beats("rnn"), ties("rnn")])
    assert [result.passed for result in results] == [False, False]
    assert "not finite" in results[0].sentence
    assert "undecided" not in results[0].sentence


def test_a_sentence_names_the_method() -> None:
    metrics = copy.deepcopy(METRICS)
    change = metrics["differences"]["lstm_minus_rnn"]["mae"]
    change |= {"method": "Student t (4 degrees of freedom)", "count": 49}
    (result,) = quality_gate.run_checks(metrics, [beats("rnn")])
    assert result.sentence.endswith(
        "(-0.5, 95 % interval -1.25 to +0.25 by Student t (4 degrees of freedom) of 49 forecast "
        "origins)"
    )
    assert quality_gate.methods_of(metrics) == (
        "Intervals by Student t (4 degrees of freedom) of 49 forecast origins."
    )
    assert quality_gate.methods_of(METRICS) == ""


def test_a_better_model_ties_too() -> None:
    assert judged(ties("seasonal_naive")).passed


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-2, -1, "better"),
        (-1, 0, "no clear difference"),
        (0, 0, "no clear difference"),
        (0, 1, "no clear difference"),
        (1, 2, "worse"),
    ],
)
def test_a_judgement_needs_the_whole_interval(low: float, high: float, said: str) -> None:
    assert Interval((low + high) / 2, low, high).judgement == said


@pytest.mark.parametrize("share", [0.76, 0.8, 0.84])
def test_a_coverage_within_the_tolerance_passes(share: float) -> None:
    assert judged(CoverageCheck(check="coverage", tolerance=0.05), coverage_80=share).passed


@pytest.mark.parametrize("share", [0.0, 0.74, 0.86, 1.0])
def test_a_coverage_too_low_or_too_high_fails(share: float) -> None:
    assert not judged(CoverageCheck(check="coverage", tolerance=0.05), coverage_80=share).passed


def test_a_coverage_says_what_is_allowed() -> None:
    result = judged(CoverageCheck(check="coverage", tolerance=0.05))
    assert result.sentence == (
        "the 80 % interval covers 81.3 % of the test values; allowed are 75 to 85 %"
    )
    assert result.figures == {"coverage_80": 0.813, "tolerance": 0.05}


def shares(**observed: float) -> dict[str, Any]:
    """Metrics with shares of the deciles as they should be, but for those given as q1 to q9."""
    metrics = copy.deepcopy(METRICS)
    metrics["models"]["lstm"]["coverage_80"] = 0.8
    metrics["calibration"] = {
        f"{n / 10:g}": {"observed": observed.get(f"q{n}", n / 10), "by_chance": 0.02}
        for n in range(1, 10)
    } | {"coverage_80": {"observed": 0.8, "by_chance": 0.03}}
    return metrics


def covered(metrics: Any) -> quality_gate.CheckResult:
    check = CoverageCheck(check="coverage", tolerance=0.05)
    (result,) = quality_gate.run_checks(metrics, [check])
    return result


def test_a_level_that_is_off_fails_where_the_interval_has_its_share() -> None:
    assert covered(shares()).passed
    assert covered(shares(q4=0.469)).passed
    result = covered(shares(q4=0.471))
    assert not result.passed
    assert "of 9 quantiles that of 40 % is furthest off, with 47.1 % at or below" in result.sentence
    assert "allowed are 33 to 47 % (2.0 points of it for chance)" in result.sentence
    assert not covered(shares(q9=math.nan)).passed


def test_the_interval_too_is_allowed_what_chance_does() -> None:
    metrics = shares()
    metrics["calibration"]["coverage_80"]["observed"] = 0.721
    assert covered(metrics).passed
    metrics["calibration"]["coverage_80"]["observed"] = 0.719
    assert not covered(metrics).passed


def test_an_interval_of_counts_is_judged_by_what_its_ends_may_count_for() -> None:
    metrics = shares()
    metrics["models"]["lstm"]["coverage_80"] = 0.95  # with all of the zeros at its lower end
    result = covered(metrics)
    assert result.passed
    assert result.sentence.startswith("the 80 % interval covers 80.0 % of the test values")


def test_finite_forecasts_pass_and_others_are_counted() -> None:
    check = FiniteCheck(check="finite")
    assert judged(check) == quality_gate.CheckResult(
        "finite", True, "every value is finite", {"not_finite": 0}
    )
    assert judged(check, not_finite=1234) == quality_gate.CheckResult(
        "finite", False, "1,234 values are not finite", {"not_finite": 1234}
    )


def test_a_baseline_of_a_sample_is_compared_on_its_windows() -> None:
    metrics = copy.deepcopy(METRICS)
    metrics["models"]["rnn"]["windows"] = 1200
    metrics["differences"]["lstm_minus_rnn"]["mae"]["value"] = -1.5  # there the LSTM has 9
    (result,) = quality_gate.run_checks(metrics, [ties("rnn")])
    assert result.sentence == (
        "MAE 9 against 10.5: no clear difference (-1.5, 95 % interval -1.25 to +0.25), on the "
        "1,200 windows of a sample"
    )


def test_a_baseline_that_was_not_evaluated_is_an_error_of_params_yaml() -> None:
    with pytest.raises(ParamsError) as error:
        judged(beats("prophet"))
    assert str(error.value) == (
        "params.yaml: the gate names the baseline `prophet`; evaluated were rnn, seasonal_naive"
    )


def test_the_champion_is_judged_elsewhere() -> None:
    assert quality_gate.run_checks(METRICS, [ChampionCheck(check="champion")]) == []


def test_one_failure_fails_the_verdict() -> None:
    good = judged(FiniteCheck(check="finite"))
    bad = judged(beats("rnn"))
    assert quality_gate.verdict([good, bad]) == {
        "passed": False,
        "model": "lstm",
        "checks": [vars(good), vars(bad)],
    }
    assert quality_gate.verdict([good])["passed"] is True


def test_checks_keep_their_order() -> None:
    checks = [beats("rnn"), FiniteCheck(check="finite"), ties("rnn")]
    names = [result.check for result in quality_gate.run_checks(METRICS, checks)]
    assert names == ["beats rnn", "finite", "beats or ties rnn"]


def test_another_cell_is_judged_where_the_metrics_name_it() -> None:
    rnn = {"mae": {"value": 0.5, "low": 0.25, "high": 0.75}}
    metrics: Any = copy.deepcopy(METRICS) | {"model": "rnn"}
    metrics["differences"]["rnn_minus_seasonal_naive"] = rnn
    own, worse = quality_gate.run_checks(metrics, [ties("rnn"), beats("seasonal_naive")])
    assert own.passed
    assert own.sentence == "the rnn is the model that is judged"
    assert not worse.passed
    assert worse.sentence.startswith("MAE 10.5 against 12: worse")


def test_the_lstm_is_compared_besides_the_judged_model() -> None:
    pairs: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> dict[str, Any]:
        pairs.append((one, other))
        return {}

    found = quality_gate.differences({m: m for m in ("rnn", "lstm", "naive")}, compare, "rnn")
    assert list(found) == [
        "lstm_minus_rnn",
        "lstm_minus_naive",
        "rnn_minus_lstm",
        "rnn_minus_naive",
    ]
    assert pairs[-1] == ("rnn", "naive")


def read_back(tmp_path: Path, *changes: Any) -> list[Interval]:
    path = tmp_path / "metrics.json"
    differences = {"lstm_minus_rnn": {str(n): change for n, change in enumerate(changes)}}
    path.write_text(files.to_json({"models": {}, "differences": differences}), "utf-8")
    return [
        Interval.from_dict(change)
        for change in read_metrics(path)["differences"]["lstm_minus_rnn"].values()
    ]


def test_every_outcome_survives_metrics_json(tmp_path: Path) -> None:
    known = Interval(-1.0, -2.0, -0.5, "Student t", 49)
    open_ = Interval.undecided(-1.0, 13, 24, "forecast origins")
    broken = Interval(math.nan, math.nan, math.nan)
    back = read_back(tmp_path, known.to_dict(), open_.to_dict(), broken.to_dict())
    assert back[:2] == [known, open_]
    assert [change.judgement for change in back] == ["better", "undecided", "not finite"]


def test_metrics_of_an_older_version_are_read(tmp_path: Path) -> None:
    old = {"value": 1.0, "low": 0.5, "high": 2.0}
    without = {"value": 1.0, "low": None, "high": None}
    nothing = {"value": None, "low": None, "high": None}
    back = read_back(tmp_path, old, without, nothing)
    assert [change.judgement for change in back] == ["worse", "undecided", "not finite"]
    assert [change.bounds for change in back[:2]] == ["+0.5 to +2", "unknown: too few windows"]


@pytest.mark.parametrize("check", [beats("gru"), ties("rnn_alone")])
def test_a_network_that_was_not_trained_fails_the_check_and_no_stage(check: Check) -> None:
    result = judged(check)
    assert not result.passed
    assert f"the {check.baseline} was not trained" in result.sentence  # type: ignore[union-attr]
