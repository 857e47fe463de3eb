"""Values are set in params.yaml, and every other byte stays."""

from pathlib import Path

import pytest

from retain.errors import ParamsError
from retain.project import files
from retain.project.params_values import with_values

BEFORE = """\
# the problems
problems:
  # sales of shops
  sales:
    kind: forecast
    data:
      path: "sales #1.csv" # a table
      horizon: 4
      context_length: 12        # steps
    model:                      # the network
      hidden_size: 16           # of the LSTM
      normalisation: 'last' # by # the last value
      quantiles:
        - 0.1
        - 0.5
        - 0.9

    # how it is trained
    training:
      learning_rate:
        lstm: 0.1
        rnn: 0.2
      seed: 7
    gate: []

  other:
    kind: text
    data: {path: t.txt}
    model: {hidden_size: 8}     # small
    gate: []
"""


def write(folder: Path, text: str = BEFORE) -> Path:
    (folder / "params.yaml").write_text(text, "utf-8")
    return folder


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only one of two texts has."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_line_ends_of_windows_and_of_both_kinds_stay(tmp_path: Path) -> None:
    path = write(tmp_path) / "params.yaml"
    for text in (BEFORE.replace("\n", "\r\n"), BEFORE.replace("\n", "\r\n", 20)):
        path.write_bytes(text.encode())
        files.write_edited(path, with_values(tmp_path, "sales", {"training.seed": 8}))
        assert path.read_bytes().decode() == text.replace("seed: 7", "seed: 8")


def test_a_value_is_replaced_and_its_comment_stays_in_its_column(tmp_path: Path) -> None:
    settings = {
        "data.context_length": 24,
        "model.hidden_size": 128,
        "model.normalisation": "series",
    }
    after = with_values(write(tmp_path), "sales", settings)
    assert changed(BEFORE, after)[1] == [
        "      context_length: 24        # steps",
        "      hidden_size: 128          # of the LSTM",
        "      normalisation: series # by # the last value",
    ]


def test_a_value_of_several_lines_becomes_one(tmp_path: Path) -> None:
    after = with_values(write(tmp_path), "sales", {"training.learning_rate": 0.00003})
    gone, new = changed(BEFORE, after)
    assert gone == ["      learning_rate:", "        lstm: 0.1", "        rnn: 0.2"]
    assert new == ["      learning_rate: 0.00003"]


def test_a_new_key_comes_last_in_its_section_before_the_comment_of_the_next(
    tmp_path: Path,
) -> None:
    after = with_values(write(tmp_path), "sales", {"model.dropout": 0.25})
    assert "        - 0.9\n      dropout: 0.25\n\n    # how it is trained\n" in after
    assert changed(BEFORE, after) == ([], ["      dropout: 0.25"])


def test_a_section_on_one_line_stays_on_one(tmp_path: Path) -> None:
    after = with_values(write(tmp_path), "other", {"model.hidden_size": 32, "model.dropout": 0.1})
    assert "    model: {hidden_size: 32, dropout: 0.1} # small\n" in after


@pytest.mark.parametrize("empty", ["", "    training: {}\n"])
def test_a_section_that_is_missing_or_empty_is_made(tmp_path: Path, empty: str) -> None:
    before = BEFORE.replace("    model: {hidden_size: 8}     # small\n", empty)
    rates = {"lstm": 0.01, "rnn": 0.02}
    after = with_values(
        write(tmp_path, before), "other", {"training.learning_rate": rates, "training.seed": 3}
    )
    assert "learning_rate: {lstm: 0.01, rnn: 0.02}" in after
    assert after.startswith(before[: before.index("    training:\n      learning_rate:\n")])


def test_a_section_without_a_value_gets_one(tmp_path: Path) -> None:
    before = BEFORE.replace(
        "    model: {hidden_size: 8}     # small\n", "    preset: fast\n    model:\n"
    )
    after = with_values(write(tmp_path, before), "other", {"model.hidden_size": 32})
    assert "    preset: fast\n    model: {hidden_size: 32}\n" in after


def test_a_value_that_is_refused_names_its_key(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"problems\.sales\.model\.hidden_size"):
        with_values(write(tmp_path), "sales", {"model.hidden_size": 0})


def test_a_layout_of_one_line_is_left_to_the_user(tmp_path: Path) -> None:
    text = "problems: {p: {kind: text, data: {path: t}, model: {}, gate: []}}\n"
    with pytest.raises(ParamsError, match=r"write yourself model\.dropout: 0\.5"):
        with_values(write(tmp_path, text), "p", {"model.dropout": 0.5})
