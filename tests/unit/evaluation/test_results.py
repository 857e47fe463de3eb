"""What of an evaluation is shown by `dvc metrics`, `dvc exp show` and `dvc plots`."""

import pandas as pd

from retain.evaluation.results import Metrics, headlines, plots


def test_the_few_figures_are_of_the_judged_model_and_of_what_it_is_compared_with() -> None:
    metrics: Metrics = {
        "models": {
            "lstm": {"mae": 10.0, "rmse": 12.0, "parameters": 4000},
            "rnn": {"mae": 10.5, "rmse": 13.0},
            "naive": {"mae": 30.0},
            "drift": {"mae": 31.0},
        },
        "differences": {},
    }
    found = headlines("sales", metrics, "rnn", "mae", ["lstm", "rnn", "gru", "", "naive"])
    assert found == {"sales": {"model": "rnn", "mae": 10.5, "mae_lstm": 10.0, "mae_naive": 30.0}}


def test_every_table_to_plot_has_the_same_columns_and_all_models() -> None:
    by_gap = pd.DataFrame(
        {"model": ["lstm", "lstm", "rnn"], "gap": [10, 10, 10], "accuracy": [1.0, 0.5, 0.25]}
    )
    training = pd.DataFrame({"model": ["rnn"], "epoch": [0], "validation_loss": [0.5]})
    found = plots(
        {"by_gap": by_gap, "training": training},
        {"by_gap": ("gap", "accuracy"), "training": ("epoch", "validation_loss")},
    )
    assert found["by_gap"].to_dict("list") == {
        "x": [10, 10],
        "model": ["lstm", "rnn"],
        "y": [0.75, 0.25],
    }
    assert list(found["training"].columns) == ["x", "model", "y"]
