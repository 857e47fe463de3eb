"""The arguments of a stage's script: given by a person, or in the name that DVC gives the stage."""

import re

import pytest

from retain.errors import ParamsError
from retain.project import dvc

CELL = ("PROBLEM", "CELL")


@pytest.mark.parametrize(
    ("given", "names", "words"),
    [
        (["prepare@traffic"], CELL[:1], ["traffic"]),
        (["../dvc.yaml:prepare@traffic"], CELL[:1], ["traffic"]),
        (["train@small_text-gru"], CELL, ["small_text", "gru"]),
        (["small_text", "gru"], CELL, ["small_text", "gru"]),
        (["code@a;touch x;echo "], CELL[:1], ["a;touch x;echo "]),  # for the loader to refuse
        (["train@a'\n$(touch x)-b-lstm"], CELL, ["a'\n$(touch x)-b", "lstm"]),
    ],
)
def test_arguments_are_those_of_a_person_or_in_the_name_of_the_stage(
    given: list[str], names: tuple[str, ...], words: list[str]
) -> None:
    assert dvc.stage_words(given, names) == words


@pytest.mark.parametrize("given", [[], [""], ["train@traffic"], ["traffic"], ["a", "b", "c"]])
def test_a_script_without_its_arguments_says_which_it_expects(given: list[str]) -> None:
    with pytest.raises(ParamsError, match=re.escape("expected PROBLEM and CELL as arguments")):
        dvc.stage_words(given, CELL)
