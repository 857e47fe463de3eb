"""A mistake in params.yaml is named with its whole key path and the nearest valid key."""

import json
import textwrap
from pathlib import Path

import pytest

from retain.config import loader
from retain.errors import ParamsError
from retain.kinds.forecast.config import PRESETS, Problem
from retain.project import params_file

GOOD = """
problems:
  sales:
    kind: forecast
    preset: fast
    data:
      path: data/raw/sales.csv
      horizon: 28
      context_length: 56
    gate:
      - {check: finite}
"""


def write(folder: Path, text: str) -> Path:
    (folder / "params.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
    return folder


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_what_is_not_said_takes_its_default(tmp_path: Path) -> None:
    problem = loader.load_problem(write(tmp_path, GOOD), "sales")
    assert isinstance(problem, Problem)
    assert problem.data.ds == "ds"
    assert problem.model.layers == 1


@pytest.mark.parametrize("sections", ["", "model:\n    training: {}\n    "])
def test_a_preset_is_what_model_and_training_begin_with(tmp_path: Path, sections: str) -> None:
    text = changed("    gate:", f"    {sections}gate:").replace("fast", "accurate")
    problem = loader.load_problem(write(tmp_path, text), "sales")
    assert isinstance(problem, Problem)
    assert problem.model.hidden_size == PRESETS["accurate"]["model"]["hidden_size"]
    assert problem.training.batch_size == PRESETS["accurate"]["training"]["batch_size"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("horizon: 28", "horizon: true", "horizon is true"),
        ("horizon: 28", "horizon: 1000000000", "horizon"),
        (
            "context_length: 56",
            "context_length: 56\n      season_length: 1000000000",
            "season_length",
        ),
        ("    gate:", "    model: {hidden_size: 1000000000}\n    gate:", "hidden_size"),
        ("    gate:", "    model: {layers: false}\n    gate:", "layers is false"),
        ("    gate:", "    training: {devices: 0}\n    gate:", "devices"),
        ("    gate:", "    evaluation: {bootstrap: 1000000000}\n    gate:", "bootstrap"),
        ("    gate:", "    retrain: {max_age: 999999999w}\n    gate:", "100 years"),
        ("    gate:", "    retrain: {max_age: 99999999999999999999w}\n    gate:", "100 years"),
    ],
)
def test_a_value_beyond_all_sense_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    with pytest.raises(ParamsError, match=words):
        loader.load_problem(write(tmp_path, changed(old, new)), "sales")


def test_a_key_that_is_said_overrides_the_preset(tmp_path: Path) -> None:
    text = changed("    gate:", "    model: {dropout: 0.4}\n    gate:")
    problem = loader.load_problem(write(tmp_path, text), "sales")
    assert isinstance(problem, Problem)
    assert problem.model.dropout == 0.4
    assert problem.model.hidden_size == PRESETS["fast"]["model"]["hidden_size"]


MISTAKES = {
    "a typo in a section": (
        changed("horizon: 28", "horizon: 28\n      contxt_length: 3"),
        "params.yaml: unknown key `problems.sales.data.contxt_length`; "
        "did you mean `context_length`?",
    ),
    "a typo in a section's name": (
        changed("    gate:", "    trainig: {}\n    gate:"),
        "params.yaml: unknown key `problems.sales.trainig`; did you mean `training`?",
    ),
    "a typo at the top": (
        changed("problems:", "problem: 1\nproblems:"),
        "params.yaml: unknown key `problem`; did you mean `problems`?",
    ),
    "a missing section": (
        changed("    gate:\n      - {check: finite}\n", ""),
        "params.yaml: `problems.sales.gate` is missing",
    ),
    "a preset that does not exist": (
        changed("preset: fast", "preset: best"),
        "params.yaml: `problems.sales.preset` is 'best': input should be 'fast' or 'accurate'",
    ),
    "a missing key": (
        changed("      horizon: 28\n", ""),
        "params.yaml: `problems.sales.data.horizon` is missing",
    ),
    "a text for a number": (
        changed("horizon: 28", "horizon: four"),
        "params.yaml: `problems.sales.data.horizon` is 'four': input should be a valid integer, "
        "unable to parse string as an integer",
    ),
    "a number out of range": (
        changed("horizon: 28", "horizon: 0"),
        "params.yaml: `problems.sales.data.horizon` is 0: input should be greater than or equal "
        "to 1",
    ),
    "a text for a mapping": (
        changed("    gate:", "    model: large\n    gate:"),
        "params.yaml: `problems.sales.model` is 'large': input should be a valid dictionary or "
        "instance of Model",
    ),
    "a kind that does not exist": (
        changed("kind: forecast", "kind: forcast"),
        "params.yaml: `problems.sales.kind` is 'forcast'; expected one of ",
    ),
    "a column of two meanings": (
        changed("horizon: 28", "horizon: 28\n      unique_id: ds"),
        "params.yaml: `problems.sales.data`: column 'ds' is given two meanings",
    ),
    "series called as a column of the forecast": (
        changed("horizon: 28", "horizon: 28\n      unique_id: mean"),
        "params.yaml: `problems.sales`: data.unique_id is 'mean', and a forecast has another "
        "column of that name: rename the column in the table",
    ),
    "a time stamp called as a quantile": (
        changed("horizon: 28", 'horizon: 28\n      ds: "0.5"'),
        "params.yaml: `problems.sales`: data.ds is '0.5', and a forecast has another column of "
        "that name: rename the column in the table",
    ),
    "a time stamp called as the series of a table that names none": (
        changed("horizon: 28", "horizon: 28\n      ds: unique_id"),
        "params.yaml: `problems.sales`: data.ds is 'unique_id', and a forecast has another column "
        "of that name: rename the column in the table",
    ),
    "a problem that is no mapping": (
        "problems:\n  sales: 3\n",
        "params.yaml: `problems.sales` must be a mapping with the key `kind`",
    ),
    "a name in capitals": (
        changed("  sales:", "  Sales:"),
        "params.yaml: `problems.Sales`: a problem's name has only lower-case letters, digits and _",
    ),
    "no mapping at all": (
        "- sales\n",
        "params.yaml: expected a mapping `problems:` of one entry per problem",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_key_path(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ParamsError) as error:
        loader.load(write(tmp_path, text))
    # kinds are added with time; everything else is said to the letter
    said = str(error.value)
    assert said.startswith(message) if message.endswith("one of ") else said == message


def test_several_mistakes_are_listed_together(tmp_path: Path) -> None:
    text = GOOD.replace("horizon: 28", "horizn: 28")
    with pytest.raises(ParamsError) as error:
        loader.load(write(tmp_path, text))
    assert str(error.value) == (
        "params.yaml has 2 errors:\n"
        "  `problems.sales.data.horizon` is missing\n"
        "  unknown key `problems.sales.data.horizn`; did you mean `horizon`?"
    )


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    text = changed("horizon: 28", "horizon: 28\n      horizon: 7")
    with pytest.raises(ParamsError, match=r'not valid YAML: .*found duplicate key "horizon"'):
        loader.load(write(tmp_path, text))


def test_what_is_not_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"^params\.yaml is not valid YAML: .*line 2"):
        loader.load(write(tmp_path, "problems:\n  a: b: c\n"))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as error:
        loader.load(tmp_path)
    path = tmp_path / "params.yaml"
    assert str(error.value) == f"{path} does not exist: run this in the project's folder"


def test_an_unknown_problem_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as error:
        loader.load_problem(write(tmp_path, GOOD), "sale")
    assert str(error.value) == "params.yaml: no problem `sale`; did you mean `sales`?"


def test_the_root_is_the_nearest_folder_with_dvc_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "data" / "raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "data" / "raw")
    assert loader.find_root() == tmp_path


def test_outside_a_project_there_is_no_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError) as error:
        loader.find_root()
    assert str(error.value) == (
        f"no dvc.yaml in {tmp_path} or above it: run this in the project's folder"
    )


ENTRY = {
    "kind": "forecast",
    "preset": "fast",
    "data": {"path": "a.csv", "horizon": 1, "context_length": 2, "time_format": "%d: %m"},
    "gate": [{"check": "coverage", "tolerance": 0.1}],
}


def test_an_entry_is_appended_and_every_byte_before_it_stays(tmp_path: Path) -> None:
    text = GOOD.replace("horizon: 28", "horizon:   28   # four 'weeks'")
    write(tmp_path, text)
    stages = "stages: {}  # none yet\n"
    (tmp_path / "dvc.yaml").write_text(stages)
    params_file.write(tmp_path, "other", ENTRY, {"horizon": "steps"})
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert after.startswith(text)
    assert "horizon: 1                        # steps\n" in after
    assert list(loader.load(tmp_path)) == ["sales", "other"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml", "params.yaml"]
    assert (tmp_path / "dvc.yaml").read_text() == stages + (
        "\nartifacts:\n  other:\n    path: models/other/lstm\n    type: model\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "problems: {sales: " + json.dumps(ENTRY) + "}\n",
        GOOD.replace("\n  ", "\n    "),
        GOOD.replace("  ", " "),  # there, the entry would become a key of `sales`
    ],
    ids=["on one line", "indented by four", "indented by one"],
)
def test_an_entry_that_does_not_fit_leaves_the_file_as_it_is(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ParamsError, match="no entry can be added"):
        params_file.write(tmp_path, "other", ENTRY, {})
    assert (tmp_path / "params.yaml").read_text(encoding="utf-8") == text


def test_an_entry_is_the_first_one_behind_an_empty_mapping(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for text in ("problems: {}  # none\n", "problems:  # none\n"):
        write(tmp_path, text)
        params_file.write(tmp_path, "other", ENTRY, {})
        after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
        assert after.startswith("problems:  # none\n\n  other:\n")


def test_params_are_read_once_for_all_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    params_file.write(write(tmp_path, GOOD), "other", ENTRY, {})
    whole, reads = loader.load(tmp_path), []
    monkeypatch.setattr(loader, "load", lambda root: reads.append(root) or whole)
    assert list(loader.some(tmp_path, ["other", "sales"])) == ["other", "sales"]
    assert loader.some(tmp_path, []) == whole
    assert len(reads) == 2
    with pytest.raises(ParamsError, match="no problem `sale`; did you mean `sales`"):
        loader.some(tmp_path, ["other", "sale"])


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    paths = [write(tmp_path, GOOD) / "params.yaml", tmp_path / "dvc.yaml"]
    paths[1].write_text("stages: {}\n")
    for path in paths:
        path.write_text(path.read_text(), newline="\r\n")
    before = [path.read_bytes() for path in paths]
    params_file.write(tmp_path, "other", ENTRY, {})
    after = [path.read_bytes() for path in paths]
    assert all(new.startswith(old) for new, old in zip(after, before, strict=True))
    assert [text.count(b"\n") for text in after] == [text.count(b"\r\n") for text in after]
    params_file.remove(tmp_path, "other")
    assert [path.read_bytes() for path in paths] == before


def test_an_entry_is_taken_out_with_its_comment(tmp_path: Path) -> None:
    first = GOOD.replace("  sales:", "  # about sales,\n  # of two shops\n  sales:")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    write(tmp_path, first)
    params_file.write(tmp_path, "other", ENTRY, {})
    params_file.write(tmp_path, "third", ENTRY, {})
    whole = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    write(tmp_path, whole.replace("  third:", "  # about the third\n  third:"))
    params_file.remove(tmp_path, "sales")
    after = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    assert "sales" not in after
    assert "  # about the third\n  third:" in after
    params_file.remove(tmp_path, "other")
    params_file.remove(tmp_path, "third")
    assert (tmp_path / "params.yaml").read_text().strip() == "problems: {}"
    assert (tmp_path / "dvc.yaml").read_text() == "stages: {}\n"


def test_without_a_preset_the_defaults_of_the_schema_hold(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("    preset: fast\n", ""))
    problem = loader.load(tmp_path)["sales"]
    assert problem.training == type(problem.training)()
    assert problem.settings("train").get("preset") is None
    write(tmp_path, GOOD)
    assert loader.load(tmp_path)["sales"].settings("train")["preset"] == "fast"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("20", "give how many horizons"),
        ("0 horizons", "give how many horizons"),
        ('"July 2017"', "a date in quotes"),
        ('"2017-07-01T12:00:00+02:00"', "give it without an offset"),
        ("2017-07-01", 'write it in quotes, "2017-07-01"'),
    ],
)
def test_a_boundary_of_the_split_is_a_quoted_date_or_a_share(
    tmp_path: Path, value: str, said: str
) -> None:
    split = f"horizon: 28\n      split: {{validation: {value}, test: 0.9}}"
    write(tmp_path, GOOD.replace("horizon: 28", split))
    with pytest.raises(ParamsError) as error:
        loader.load(tmp_path)
    assert "`problems.sales.data.split.validation`" in str(error.value)
    assert said.strip("'") in str(error.value)


@pytest.mark.parametrize(
    ("validation", "test", "said"),
    [
        ("30d", "60d", "validation must begin before test"),
        ("30d", "4w", None),
        ("60d", "0.9", "give both boundaries in the same manner"),
        ('"2024-01-01"', "30d", "give both boundaries in the same manner"),
        ("10 horizons", "5 horizons", None),
        ("2 horizons", "1 horizon", None),
        ("9 horizons", "10 horizons", "validation must begin before test"),
        ("10 horizons", "5d", "give both boundaries in the same manner"),
        ("60 days", "30d", "or how long before the end of the data, such as 90d"),
    ],
)
def test_boundaries_may_be_counted_from_the_end(
    tmp_path: Path, validation: str, test: str, said: str | None
) -> None:
    split = f"horizon: 28\n      split: {{validation: {validation}, test: {test}}}"
    write(tmp_path, GOOD.replace("horizon: 28", split))
    if said is None:
        assert loader.load(tmp_path)["sales"].data.split.validation == validation  # type: ignore[attr-defined]
        return
    with pytest.raises(ParamsError) as error:
        loader.load(tmp_path)
    assert said in str(error.value)


def test_when_to_retrain_has_its_own_words(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    for retrain, said in (
        ({"max_age": "a month"}, "`problems.sales.retrain.max_age` is 'a month': give a duration"),
        ({"policy": "monthly"}, "`problems.sales.retrain.policy` is 'monthly'"),
        ({"psy": 1}, "unknown key `problems.sales.retrain.psy`; did you mean `psi`?"),
    ):
        with pytest.raises(ParamsError) as error:
            loader.parse("sales", {**ENTRY, "retrain": retrain})
        assert said in str(error.value)


def test_a_baseline_that_does_not_exist_is_refused_before_any_training(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    entry = {**ENTRY, "gate": [{"check": "beats", "baseline": "seasonal_niave"}]}
    with pytest.raises(ParamsError) as error:
        loader.parse("sales", entry)
    assert "gate.0.baseline is 'seasonal_niave'; expected one of rnn, gru" in str(error.value)


def test_only_a_change_of_the_folds_trains_again(tmp_path: Path) -> None:
    seen = []
    for evaluation in ("{folds: 2}", "{folds: 3}", "{folds: 3, bootstrap: 500}"):
        write(tmp_path, GOOD.replace("    gate:", f"    evaluation: {evaluation}\n    gate:", 1))
        seen.append(loader.load(tmp_path)["sales"])
    assert [problem.folds for problem in seen] == [2, 3, 3]
    first, second, third = (problem.settings("train") for problem in seen)
    assert first != second == third
    assert all("evaluation.folds" not in seen[0].settings(other) for other in ("refit", "evaluate"))


def test_a_check_against_a_cell_that_is_not_trained_is_said_before_the_training() -> None:
    gate = [{"check": "finite"}, {"check": "beats_or_ties", "baseline": "gru"}]
    entry = {**ENTRY, "training": {"cells": ["lstm", "rnn"]}, "gate": gate}
    (sentence,) = loader.parse("sales", entry).advice()
    assert sentence == (
        "the gate compares with the gru, which training.cells does not train: that check will fail"
    )
    assert loader.parse("sales", {**entry, "training": {"cells": ["lstm", "gru"]}}).advice() == ()
