"""What the report of a forecaster says first, and its tables of scores and differences."""

from typing import Any

import pytest

from retain.evaluation import plotting
from retain.evaluation.results import Interval
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.evaluation import scores, worth

NAN = float("nan")
SPACE = "\N{NO-BREAK SPACE}"


def problem(metric: str = "mae") -> Problem:
    return Problem.model_validate(
        {
            "kind": "forecast",
            "preset": "fast",
            "data": {"path": "t.csv", "horizon": 6, "context_length": 12},
            "gate": [
                {"check": "finite"},
                {"check": "beats", "baseline": "seasonal_naive", "metric": metric},
            ],
        }
    )


def change(value: float, half: float) -> Any:
    return Interval(value, value - half, value + half, "Student t", 40).to_dict()


def metrics(half: float = 1.0, metric: str = "mae", **others: float) -> Any:
    """The LSTM errs by 80, each other model as given."""
    return {
        "model": "lstm",
        "models": {name: {metric: error} for name, error in {"lstm": 80.0, **others}.items()},
        "differences": {
            f"lstm_minus_{name}": {metric: change(80 - error, half), "crps": change(1.0, 2.0)}
            for name, error in others.items()
        },
        "windows": {"test": 50, "test_without_values": 0},
    }


def lead(found: Any, metric: str = "mae") -> str:
    return worth.lead(problem(metric), found, lambda name: plotting.mark(name).label)


def test_the_first_sentence_says_by_how_much_the_network_improved_on_its_base() -> None:
    found = lead(metrics(pool=100, theta=90))
    assert found.startswith(
        f"The LSTM reduced the error of its classical base by 20.0{SPACE}%: MAE 80 against 100 "
        f"(95{SPACE}% interval -21.0 to -19.0{SPACE}%). "
    )
    found = lead(metrics(pool=79.5, theta=90))
    assert found.startswith(
        "The LSTM did not reduce the error of its classical base: MAE 80 against 79.5 "
        f"(95{SPACE}% interval -0.6 to +1.9{SPACE}%, no clear difference). "
    )


def test_a_network_that_is_not_kept_did_not_improve_on_its_base() -> None:
    found = metrics(pool=80, theta=90)
    found["network"] = [{"kept": False, "enough": True, "gains": [-0.02, 0.005]}]
    assert lead(found).startswith(
        "The network did not improve on its classical base, which forecasts alone: in the last "
        f"rehearsals its error was 2.0{SPACE}% above the base's and 0.5{SPACE}% below the base's. "
    )
    assert "A network was worth it" not in lead(found)
    assert "The base is worth more than a floor: the MAE of the LSTM is" in lead(found)
    found["network"][0]["share"] = 0.0
    found["network"].append({"kept": True, "enough": True, "share": 1.0, "gains": [0.1, 0.2]})
    said = lead(found)
    assert said.startswith("The LSTM did not reduce the error")
    assert "It was kept in 1 of 2 folds. " in said
    assert "Half" not in said
    assert "The base is worth more than a floor: the MAE of the LSTM is" in said
    found["differences"]["lstm_minus_pool"]["mae"] = metrics(pool=100)["differences"][
        "lstm_minus_pool"
    ]["mae"]
    assert "A network was worth it: the MAE of the LSTM is" in lead(found)
    found["network"][1]["share"] = 0.5
    assert "folds. Half of its correction is applied, which did better in rehearsals. " in lead(
        found
    )
    found["network"][0] |= {"kept": True, "share": 1.0}
    assert ". Half of its correction is applied in 1 of them, which did better" in lead(found)
    found["network"] = [{"kept": False, "enough": False, "gains": [0.3]}]
    assert "the table has fewer windows than a network needs. " in lead(found)


@pytest.mark.parametrize(
    ("theta", "half", "verdict", "told"),
    [
        (100.0, 1.0, "A network was worth it", f"20.0{SPACE}% below"),
        (64.0, 1.0, "No network was needed", f"25.0{SPACE}% above"),
        (100.0, 30.0, "Whether a network was worth it is not clear", f"20.0{SPACE}% below"),
    ],
)
def test_the_best_floor_is_the_one_of_the_least_error(
    theta: float, half: float, verdict: str, told: str
) -> None:
    found = lead(metrics(half, seasonal_naive=120, theta=theta, rnn=1.0))
    assert found.startswith(
        f"{verdict}: the MAE of the LSTM is {told} that of the best floor in the test, Theta (95"
    )


def test_a_floor_of_a_sample_is_compared_on_its_windows() -> None:
    found = metrics(theta=70, naive=75)
    found["differences"]["lstm_minus_theta"]["mae"] = change(-10.0, 1.0)  # there the LSTM has 60
    found["models"]["theta"]["windows"] = 20
    assert f"is 6.7{SPACE}% above that of the best floor in the test, naive" in lead(found)
    found["models"]["naive"]["mae"] = 1000.0
    found["differences"]["lstm_minus_naive"]["mae"] = change(-920.0, 1.0)
    assert (
        f"is 14.3{SPACE}% below that of the best floor in the test, Theta on the 20 windows of a "
        f"sample (95{SPACE}% interval -15.7 to -12.9{SPACE}%)."
    ) in lead(found)


def test_the_sentences_are_of_the_metric_by_which_the_gate_judges() -> None:
    found = lead(metrics(metric="rmsse", theta=100, pool=90), "rmsse")
    assert "RMSSE 80 against 90" in found
    assert "the RMSSE of the LSTM is" in found
    assert scores.judging_metric(problem("mase")) == "mase"


def test_metrics_of_an_older_version_are_read() -> None:
    found = metrics(seasonal_naive=120)
    assert "best floor in the test, seasonal naive" in lead(found)
    table = scores.scores_table(found, problem(), "h")
    assert table.columns == ("model", "MAE", "parameters")
    assert table.rows == (("LSTM", "80", "–"), ("seasonal naive", "120", "–"))
    found["differences"] = {}
    assert lead(found) == ""


def test_scores_say_why_there_is_no_symmetric_error_and_which_are_of_a_sample() -> None:
    found = metrics(theta=70)
    for values in found["models"].values():
        values |= {"smape": NAN, "wape": 0.123, "bias": -0.04}
    found["models"]["theta"]["windows"] = 20
    table = scores.scores_table(found, problem(), "h")
    columns = ("model", "MAE", f"sMAPE{SPACE}%", "WAPE", "bias", "parameters")
    assert table.columns == columns
    assert table.rows == (
        ("LSTM", "80", "–", f"12.3{SPACE}%", f"-4.0{SPACE}%", "–"),
        ("Theta (sample)", "70", "–", f"12.3{SPACE}%", f"-4.0{SPACE}%", "–"),
    )
    assert table.best == (None, 0, None, 0, None, None)  # none of another set of windows
    assert f"more than 20{SPACE}% of the test values are zero" in table.note
    assert "A sample is 20 of the 50 windows" in table.note
    found["models"]["lstm"]["smape"] = 3.0
    assert "no sMAPE" not in scores.scores_table(found, problem(), "h").note


def test_differences_of_the_judged_model_are_listed_by_the_judging_metric() -> None:
    found = metrics(theta=70)
    found["differences"]["lstm_minus_theta"]["mase"] = change(0.1, 0.01)
    rows = scores.differences_table(found, problem("mase"), "h").rows
    assert rows == (("Theta", "–", "worse", "+0.1", "+0.09 to +0.11", "no clear difference"),)
    found["models"]["naive"] = {"mae": 60.0}
    found["differences"]["lstm_minus_naive"] = {"mae": change(20.0, 1.0)}
    table = scores.differences_table(found, problem(), "h")
    assert table.columns[2] == "LSTM is"
    assert table.rows == (  # the best of the others first, in percent of its error
        ("naive", "60", "worse", f"+33.3{SPACE}%", f"+31.7 to +35.0{SPACE}%", "–"),
        (
            "Theta",
            "70",
            "worse",
            f"+14.3{SPACE}%",
            f"+12.9 to +15.7{SPACE}%",
            "no clear difference",
        ),
    )


def headline(found: Any, frequency: str = "h", **data: Any) -> str:
    given = problem()
    given = given.model_copy(update={"data": given.data.model_copy(update=data)})
    return worth.headline(given, found, frequency, lambda name: plotting.mark(name).label)


def test_the_headline_says_how_far_off_and_beside_what() -> None:
    found = metrics(seasonal_naive=100, rnn=80.1)
    assert headline(found, unit="vehicles an hour", season_length=168) == (
        f"In the test the forecast was off by 80 vehicles an hour on average, 20{SPACE}% less than "
        "last week's value; the RNN is as good."
    )
    found["network"] = [{"kept": False, "enough": True, "gains": []}]
    assert "RNN" not in headline(found)  # both are the base
    found = metrics(seasonal_naive=64, rnn=60, theta=50)
    found["models"]["lstm"]["wape"] = 0.123
    assert headline(found, "D", season_length=7) == (
        f"In the test the forecast was off by 80 on average (12{SPACE}% of the mean value), "
        f"25{SPACE}% more than last week's value; 33{SPACE}% more than the RNN; a simpler method, "
        "Theta, is better."
    )


def test_the_headline_does_not_hide_that_a_difference_may_be_chance() -> None:
    doubt = headline(metrics(half=30.0, seasonal_naive=100, rnn=81))
    assert (
        f"20{SPACE}% less than the last value, which is not certain; the RNN is as good." in doubt
    )
    found = metrics(seasonal_naive=100)
    found["differences"]["lstm_minus_seasonal_naive"]["mae"]["value"] = NAN
    assert headline(found) == "In the test the forecast was off by 80 on average."
    found["models"]["lstm"]["mae"] = NAN
    assert headline(found) == ""


def test_every_model_has_a_mark_of_its_own() -> None:
    names = [*Problem.BASELINES, "lstm"]
    marks = [plotting.mark(name) for name in names]
    assert len({mark.label for mark in marks}) == len(names)
    assert len({(mark.colour, mark.dash) for mark in marks}) == len(names)
