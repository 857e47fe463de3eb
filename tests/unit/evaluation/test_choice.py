"""Which cell is judged: the LSTM, or the one of the lowest validation loss, and in words why."""

from pathlib import Path
from typing import Any

import pytest

from retain.evaluation import choice


def write(folder: Path, *losses: float) -> Path:
    folder.mkdir(parents=True)
    rows = [f"{epoch},{7 * epoch},0.1,1.0,{loss}" for epoch, loss in enumerate(losses)]
    header = "epoch,step,learning_rate,train_loss,validation_loss"
    (folder / "history.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    return {
        "lstm": write(tmp_path / "lstm", 3.0, 2.0, 2.5),
        "rnn": write(tmp_path / "rnn", 1.5, 4.0),
        "gru": write(tmp_path / "gru", 1.8),
    }


def test_the_best_has_the_least_validation_loss_of_any_epoch(folders: dict[str, Path]) -> None:
    losses = {"lstm": 2.0, "rnn": 1.5, "gru": 1.8}
    assert choice.choose("best", folders) == {"model": "rnn", "validation_loss": losses}
    assert choice.choose("lstm", folders) == {"model": "lstm", "validation_loss": losses}


def test_with_folds_it_is_the_mean_of_the_folds(folders: dict[str, Path]) -> None:
    write(folders["rnn"] / "fold-2", 5.0)
    for number in range(2, 12):
        write(folders["gru"] / f"fold-{number}", 2.0)
    found = choice.choose("best", folders)
    assert found["validation_loss"]["rnn"] == pytest.approx(3.25)
    assert found["model"] == "gru"
    assert [path.name for path in choice.fold_folders(folders["gru"])][8:] == [
        "fold-9",
        "fold-10",
        "fold-11",
    ]


def test_a_metrics_json_that_names_no_model_judges_the_lstm(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert choice.judged(path) == "lstm"
    path.write_text('{"models": {}}')
    assert choice.judged(path) == "lstm"
    path.write_text('{"models": {}, "model": "gru"}')
    assert choice.judged(path) == "gru"


def metrics(model: str) -> Any:
    return {
        "model": model,
        "models": {"lstm": {"mae": 196.0}, "rnn": {"mae": 195.0}, "naive": {"mae": 300.0}},
        "validation_loss": {"lstm": 0.0474, "rnn": 0.0471},
        "differences": {},
    }


def test_the_choice_is_explained_beside_the_next_best() -> None:
    cells = ("lstm", "rnn")
    assert choice.explain("lstm", metrics("lstm"), "mae", cells, str.upper) == (
        "The LSTM is used: params say so. The RNN has the lower validation loss, 0.0471 against "
        "0.0474, and on the test windows MAE 195 against 196."
    )
    assert choice.explain("best", metrics("rnn"), "mae", cells, str.upper) == (
        "The RNN is used: it has the lowest validation loss. The LSTM has the higher validation "
        "loss, 0.0474 against 0.0471, and on the test windows MAE 196 against 195."
    )
    assert choice.explain("lstm", metrics("lstm"), "mae", ("lstm",), str.upper) == ""
