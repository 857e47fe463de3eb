"""`retain add` and `retain check` in a project of their own: git, DVC and an empty params.yaml."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from retain import cli
from retain.config import loader
from retain.errors import DataError, ParamsError
from retain.kinds.forecast.config import Model, Problem
from retain.kinds.forecast.infer.written import MACHINE
from retain.kinds.forecast.sections import Training
from retain.project import dvc, raw_table

from .conftest import run

# As the project's own: DVC resolves it over all problems whenever a file is added.
STAGES = """\
stages:
  code:
    foreach: ${problems}
    do:
      cmd: echo ${item.data.path}
"""
EMPTY = "# settings of every problem\nproblems:  # one entry each\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    for command in ("git", "dvc"):
        run(folder, command, "init", "-q")
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "params.yaml").write_text(EMPTY)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A table outside the project, with columns `timestamp,store,revenue`."""
    days = np.arange(300)
    parts = [
        pd.DataFrame(
            {
                "timestamp": pd.date_range("2021-01-01", periods=300).strftime("%Y-%m-%d"),
                "store": store,
                "revenue": 100 + 10 * (days % 7) + shift,
            }
        )
        for store, shift in (("north", 0), ("south", 5))
    ]
    path = tmp_path / "sales.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


def retain(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def add(*arguments: object) -> Result:
    """Add a problem by rules alone."""
    return retain("add", "--budget", 0, *arguments)


def written(project: Path) -> set[str]:
    """The files of the project outside of git's and DVC's own folders."""
    inside = (path.relative_to(project) for path in project.rglob("*") if path.is_file())
    return {str(path) for path in inside if path.parts[0] not in {".git", ".dvc"}}


def test_a_table_becomes_a_problem(project: Path, sales: Path) -> None:
    result = retain("add", "sales", sales, "--horizon", 28, "--budget", 1)
    assert result.exit_code == 0, result.output
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    assert (problem.data.unique_id, problem.data.ds, problem.data.y) == (
        "store",
        "timestamp",
        "revenue",
    )
    assert [rule.check for rule in problem.gate] == [
        *("finite", "beats", *["beats_or_ties"] * 3, "coverage", "champion")
    ]
    assert result.output.splitlines()[-4:] == [
        "written: problems.sales in params.yaml, with every setting",
        f"copied:  {sales} to data/raw/sales.csv",
        "tracked: data/raw/sales.csv by DVC; commit data/raw/sales.csv.dvc with params.yaml",
        "next: retain run sales",
    ]
    assert (project / "data/raw/sales.csv").read_bytes() == sales.read_bytes()
    assert (project / "data/raw/sales.csv.dvc").is_file()
    assert (project / "params.yaml").read_text().startswith(EMPTY)

    result = retain("check", "sales")
    assert result.output.splitlines() == [
        "sales: data/raw/sales.csv",
        "  rows: 600",
        "  series: 2",
        "  span: 2021-01-01 00:00:00 to 2021-10-27 00:00:00",
        "  frequency: D",
        "  missing: none",
        "  duplicates: none",
        "  blank values: none",
        "  out of range, made missing: none",
        *(line for line in result.output.splitlines() if line.startswith("  values of `")),
        "  columns not used: none",
        "  series left out: none",
        *(line for line in result.output.splitlines() if line.startswith("  warning: ")),
    ]


def test_a_table_in_git_stays_in_git(
    project: Path, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "data").mkdir()
    shutil.copy(sales, project / "data")
    subprocess.run(["git", "add", "data/sales.csv"], cwd=project, check=True)
    monkeypatch.chdir(project / "data")
    result = add("sales", "sales.csv", "--horizon", 7)  # seen from a folder below
    assert result.exit_code == 0, result.output
    assert written(project) == {".dvcignore", "dvc.yaml", "params.yaml", "data/sales.csv"}
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    assert problem.data.path == "data/sales.csv"


def test_options_are_kept(project: Path, sales: Path) -> None:
    (project / "data.csv").write_bytes(sales.read_bytes())
    subprocess.run(["git", "add", "data.csv"], cwd=project, check=True)
    result = add(
        *("sales", "data.csv", "--horizon", 7, "--season-length", 14, "--y", "revenue"),
        *("--validation", "2021-08-01", "--test", "2021-09-15", "--holidays", "US-MN"),
        *("--static-covariate", "store", "--unique-id", "store"),
    )
    assert isinstance(result.exception, ParamsError)  # one column, two meanings
    result = add(
        *("sales", "data.csv", "--horizon", 7, "--season-length", 14, "--y", "revenue"),
        *("--validation", "2021-08-01", "--test", "2021-09-15", "--holidays", "US-MN"),
    )
    assert result.exit_code == 0, result.output
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    assert problem.data.season_length == 14
    assert str(problem.data.split.validation) == "2021-08-01"
    assert problem.data.holidays == "US-MN"
    assert problem.folds == 1


def test_split_and_folds_may_be_given(project: Path, sales: Path) -> None:
    (project / "data.csv").write_bytes(sales.read_bytes())
    subprocess.run(["git", "add", "data.csv"], cwd=project, check=True)
    words = ("data.csv", "--horizon", 7, "--validation", "9 horizons", "--test", "6 horizons")
    result = add("many", *words, "--folds", 7)
    assert "`--folds` is 7, and the test part has 42 steps" in str(result.exception)
    result = add("one", *words[:-2])
    assert str(result.exception) == "give both --validation and --test, or neither"
    result = add("sales", *words, "--folds", 3)
    assert result.exit_code == 0, result.output
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    assert (problem.data.split.validation, problem.data.split.test) == ("9 horizons", "6 horizons")
    assert problem.folds == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("Sales {table} --horizon 7", "'Sales' cannot name a problem: take lower-case letters"),
        ("sales no.csv --horizon 7", "no.csv does not exist"),
        (
            "sales {table} --horizon 7 --y store --duplicates first",
            "column `store`: not a number (600 rows)",
        ),
        (
            "sales {table} --horizon 200",
            "to 2021-10-27 00:00:00; to forecast 200 takes 601",
        ),
        ("sales {table} --horizon 7 --timezone Nowhere", "`timezone: Nowhere` is no time zone"),
        ("sales {table} --horizon 7 --holidays XX", "`data.holidays` is 'XX'"),
    ],
)
def test_after_an_error_nothing_is_written(
    project: Path, sales: Path, arguments: str, message: str
) -> None:
    before = written(project)
    result = add(*arguments.format(table=sales).split())
    assert isinstance(result.exception, DataError | ParamsError), result.exception
    assert message in str(result.exception)
    assert written(project) == before
    assert (project / "params.yaml").read_text() == EMPTY


def test_a_copy_is_taken_back_where_dvc_fails(project: Path, sales: Path) -> None:
    shutil.rmtree(project / ".dvc")
    result = add("sales", sales, "--horizon", 7)
    assert isinstance(result.exception, DataError)
    said = "data/raw/sales.csv: `dvc add` failed: you are not inside of a DVC repository"
    assert str(result.exception).startswith(said)
    assert not (project / "data/raw/sales.csv").exists()
    assert (project / "params.yaml").read_text() == EMPTY


def test_what_it_writes_is_complete(project: Path, sales: Path) -> None:
    result = add("sales", sales, "--horizon", 7, "--preset", "accurate")
    assert result.exit_code == 0, result.output
    entry = YAML(typ="safe").load(project / "params.yaml")["problems"]["sales"]
    assert "preset" not in entry
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    assert (problem.model.ensemble, problem.training.patience) == (2, 3)  # as the preset says
    assert entry["model"].keys() == Model.model_fields.keys()
    assert Training.model_fields.keys() - entry["training"].keys() == MACHINE | {*Training.SPARED}


def test_a_failing_add_leaves_nothing_behind(
    project: Path, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: (project / path).read_bytes() for path in written(project)}

    def interrupted(root: Path, path: str) -> bool:
        table = root / path
        assert table.is_file()
        table.with_name(f"{table.name}.dvc").write_text("half")
        table.with_name(".gitignore").write_text("/sales.csv")
        raise KeyboardInterrupt

    monkeypatch.setattr(raw_table, "track", interrupted)
    assert add("sales", sales, "--horizon", 7).exit_code != 0
    assert {path: (project / path).read_bytes() for path in written(project)} == before
    assert not (project / "data").exists()


def test_a_name_that_is_taken(project: Path, sales: Path) -> None:
    assert add("sales", sales, "--horizon", 7).exit_code == 0
    assert add("other", sales, "--horizon", 7).exit_code == 0  # the same table once more
    result = add("sales", sales, "--horizon", 14)
    assert "there is a problem `sales` already: replace it with --force" in str(result.exception)
    result = add("sales", sales, "--horizon", 14, "--force")
    assert result.exit_code == 0, result.output
    assert "used:    data/raw/sales.csv, which has the same content" in result.output
    problems = loader.load(project)
    assert list(problems) == ["other", "sales"]
    assert problems["sales"].data.horizon == 14  # type: ignore[attr-defined]
    (project / "dvc.lock").write_text("stages:\n  train@sales-lstm:\n    cmd: x\n")
    result = add("sales", sales, "--horizon", 21, "--force")
    assert "problems.sales was trained (dvc.lock has train@sales-lstm)" in str(result.exception)
    assert "retain remove sales" in str(result.exception)


def test_another_table_of_the_same_name(project: Path, sales: Path) -> None:
    assert add("sales", sales, "--horizon", 7).exit_code == 0
    sales.write_text(sales.read_text().replace("north", "east"))
    result = add("other", sales, "--horizon", 7)
    assert "has other content; rename one of the two" in str(result.exception)


def test_a_problem_can_be_removed(project: Path, sales: Path) -> None:
    assert add("sales", sales, "--horizon", 7).exit_code == 0
    after_first = {name: (project / name).read_text() for name in ("params.yaml", "dvc.yaml")}
    assert add("more", sales, "--horizon", 7).exit_code == 0
    (project / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train@sales-lstm:\n    cmd: x\n  train@more-lstm:\n    cmd: y\n"
    )
    for folder in ("models/more/lstm", "reports/more", "data/prepared/more", "models/sales"):
        (project / folder).mkdir(parents=True)
    (project / "scratch/tune/more").mkdir(parents=True)
    (project / "scratch/tune/more/tokens.npy").write_text("of trials")
    (project / "models/more/ledger.csv").write_text("a line\n")
    (project / "data/prepared/.gitignore").write_text("/more\n/sales\n")

    result = retain("remove", "more")
    assert "Nobody can be asked here: say so with --yes" in str(result.exception)
    assert "more" in loader.load(project)
    result = retain("remove", "more", "--data", "--yes")
    assert "data/raw/sales.csv is the table of sales, too" in str(result.exception)
    result = retain("remove", "more", "--yes")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[:2] == [
        "removes: problems.more in params.yaml, data/prepared/more/, models/more/, reports/more/, "
        "1 stage in dvc.lock",
        "keeps:   models/more/ledger.csv, and the registered versions that it lists, "
        "data/raw/sales.csv",
    ]
    assert {name: (project / name).read_text() for name in after_first} == after_first
    assert dvc.stages_of(dvc.read_lock(project), "more") == []
    assert dvc.stages_of(dvc.read_lock(project), "sales") == ["train@sales-lstm"]
    assert {"models/more/ledger.csv", "data/raw/sales.csv"} <= written(project)
    assert not any("more/" in path and "ledger" not in path for path in written(project))
    assert (project / "data/prepared/.gitignore").read_text() == "/sales\n"

    result = retain("remove", "sales", "--data", "--yes")
    assert result.exit_code == 0, result.output
    assert loader.load(project) == {}
    assert written(project) == {
        *(".dvcignore", "dvc.yaml", "params.yaml"),
        *("models/more/ledger.csv", "data/prepared/.gitignore"),
    }
    assert add("sales", sales, "--horizon", 7).exit_code == 0  # into `problems: {}`


def test_an_error_is_one_sentence_and_exit_code_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, said in (
        (["check", "sales"], "error: params.yaml: no problem `sales`\n"),
        (["add", "sales"], "Missing argument"),
        (
            ["add", "sales", "t.csv", "--horizon", "7", "--test", "soon"],
            "'soon' is no number of horizons",
        ),
    ):
        monkeypatch.setattr(sys, "argv", ["retain", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        assert said in capsys.readouterr().err


def test_a_table_as_a_spreadsheet_writes_it(project: Path, tmp_path: Path) -> None:
    """Titles, cp1252, semicolons, two id columns, marks of missing values, a row of the future."""
    days = pd.date_range("2021-01-01", periods=120)
    lines = ["Umsätze;;;;", "Datum;Filiale;Artikel;Preis;Umsatz"]
    for store in (1, 2):
        for item in ("Äpfel", "Birnen"):
            for number, day in enumerate(days):
                value = "-999" if number == 7 else "-" if number == 9 else f"1.{100 + number},50 €"
                value = value if number < 113 else ""
                lines.append(f"{day:%d.%m.%Y};{store};{item};{2 + number % 3},90;{value}")
    (tmp_path / "umsatz.csv").write_bytes("\n".join(lines).encode("cp1252"))
    options = ("--unique-id", "Filiale", "--unique-id", "Artikel", "--na-value", "-999")
    result = retain(
        "add", "sales", tmp_path / "umsatz.csv", "--horizon", 7, "--budget", 0, *options
    )
    assert result.exit_code == 0, result.output
    problem = loader.load_problem(project, "sales")
    assert isinstance(problem, Problem)
    data = problem.data
    assert (data.encoding, data.skip_rows, data.separator) == ("cp1252", 1, ";")
    assert (data.decimal, data.thousands) == (",", ".")
    assert data.unique_id == ("Filiale", "Artikel")
    assert (data.y, data.known_covariates) == ("Umsatz", ("Preis",))
    assert data.na_values[-2:] == ("-999", "-")
    checked = retain("check", "sales").output
    assert "blank values: `Umsatz` 36" in checked
    assert "span: 2021-01-01 00:00:00 to 2021-04-23 00:00:00" in checked
    assert "values of `Umsatz`: 1100.5 to 1212.5; 0.0 % are zero" in checked
