"""`retain.Project` does what the commands do, wherever the working directory is."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import retain
from retain.api import project as api
from retain.errors import DataError, ModelError, ParamsError, RegistryError, RetainError
from retain.project import raw_table

from .conftest import REPOSITORY, run, small_table


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> retain.Project:
    monkeypatch.chdir(tmp_path)
    return retain.Project(finished / "data")


def quiet(call: Callable[[], retain.Model]) -> retain.Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def test_a_project_is_found_from_a_folder_in_it(project: retain.Project, finished: Path) -> None:
    assert project.root == finished
    assert project.names == ["small"]


def test_a_forecast_is_that_of_the_command(project: retain.Project, tmp_path: Path) -> None:
    run(project.root, "retain", "forecast", "small", "-o", str(tmp_path / "f.csv"))
    there = pd.read_csv(tmp_path / "f.csv", parse_dates=["ds"])
    model = quiet(lambda: project.model("small"))
    answer = model.predict()
    shown = there.columns.drop("note")
    pd.testing.assert_frame_equal(answer[shown], there[shown], check_dtype=False, rtol=1e-5)
    table = small_table()
    pd.testing.assert_frame_equal(model.predict(table), answer)
    table.to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(model.predict(tmp_path / "t.csv"), answer)


def test_a_plot_shows_the_series_that_are_asked_for(project: retain.Project) -> None:
    model = quiet(lambda: project.model("small"))
    names = small_table()["store"].unique()
    figure = model.plot()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == list(names)
    assert model.plot(names[:1].tolist())._repr_svg_().count("<svg") == 1  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="no series `nowhere`"):
        model.plot("nowhere")


def test_scores_and_versions_are_frames(project: retain.Project, finished: Path) -> None:
    found = project.evaluation("small")
    assert {"lstm", "rnn", "seasonal_naive"} <= {*found.scores.index}
    assert found.passed == (
        '"passed": true' in (finished / "reports/small/verdict.json").read_text()
    )
    assert found.plot("error_by_step").startswith("<svg")
    with pytest.raises(DataError, match="no figure `error_by_steps`; did you mean `error_by_step`"):
        found.plot("error_by_steps")
    versions = project.versions("small")
    assert versions["version"].tolist() == [1]
    assert versions["mase"].item() == pytest.approx(found.scores.loc["lstm", "mase"], rel=1e-4)


def test_a_run_returns_what_is_registered(
    project: retain.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(api, "_retain", lambda root, words, verbose: asked.append(words))
    found = project.run("small")
    assert (found.name, found.version) == ("small", 1)
    assert found.sentence.startswith("small version 1 ")
    assert found.is_champion == (" is @champion" in found.sentence)
    assert project.run(force=True) == {"small": found}
    assert asked == [["run", "small"], ["run", "small", "--force"]]


def test_an_error_is_the_sentence_of_the_command(project: retain.Project, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no problem `smal`; did you mean `small`"):
        project.run("smal")
    with pytest.raises(RegistryError, match="small has no version 7"):
        project.model("small", 7)
    with pytest.raises(ParamsError, match="there is a problem `small` already"):
        project.add(small_table(), "small", 6)
    with pytest.raises(ParamsError, match="no setting `seasonlength`; did you mean"):
        project.add(small_table(), "other", 6, seasonlength=3)
    with pytest.raises(ParamsError, match="nowhere is no folder; `retain init nowhere`"):
        retain.Project("nowhere")
    with pytest.raises(ParamsError, match=r"no dvc\.yaml in"):
        retain.Project(tmp_path)
    with pytest.raises(RetainError, match=r"^params\.yaml: no problem `nothing`"):
        api._retain(project.root, ["run", "nothing"], verbose=False)


def test_a_frame_becomes_a_problem_of_a_table_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shops ü").mkdir()
    (tmp_path / "shops ü" / "params.yaml").write_text("problems: {}\n")
    text = (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8").partition("artifacts:")[0]
    (tmp_path / "shops ü" / "dvc.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(raw_table, "track", lambda root, path: True)
    project = retain.Project(tmp_path / "shops ü")
    sentences = project.add(small_table(), "sales", 6, budget=0, folds=1, season_length=24)
    assert any(sentence.startswith("unique_id: column `store`") for sentence in sentences)
    assert project.names == ["sales"]
    kept = pd.read_parquet(tmp_path / "shops ü/data/raw/sales.parquet")
    assert len(kept) == len(small_table())
    with pytest.raises(
        ModelError, match="sales: no results yet; make them with `retain run sales`"
    ):
        project.evaluation("sales")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["> python x", "error: a, b", "  row 2", "ERROR: failed to reproduce"], "a, b\n  row 2"),
        (["Traceback", "ValueError: x"], "Traceback\nValueError: x"),
    ],
)
def test_the_reason_of_a_failure_is_the_sentence_or_the_end_of_the_output(
    lines: list[str], reason: str
) -> None:
    assert api._reason(lines) == reason
