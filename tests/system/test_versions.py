"""Versions of a model: moved by people, listed, lost and rebuilt, and moved with the folder."""

import json
import os
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Answer

from retain import cli
from retain.config import loader
from retain.errors import RegistryError
from retain.evaluation.quality_gate import CheckResult
from retain.kinds.forecast.predict import predictor
from retain.project import fingerprint
from retain.project.layout import Layout
from retain.registry import (
    artifacts,
    ledger,
    listing,
    lookup,
    promotion,
    rebuild,
    registry,
    version_tags,
)
from retain.tracking import store

from .conftest import commit, run, work_in_copy

LSTM = "models/small/lstm"
METRICS = "reports/small/metrics.json"
WHO = "a tester <tester@example.org>"


def scale(folder: Path, factor: float) -> None:
    """Make another model: the weights of the trained one's heads times a factor, and its scores."""
    from safetensors.torch import load_file, save_file

    path = folder / LSTM / "weights.safetensors"
    trained = load_file(path)
    heads = {name: w * factor for name, w in trained.items() if ".head." in name}
    save_file(trained | heads, path)
    metrics = json.loads((folder / METRICS).read_text())
    metrics["models"]["lstm"]["mae"] *= factor
    (folder / METRICS).write_text(json.dumps(metrics))


def record(folder: Path) -> None:
    """Have dvc.lock and the cache hold the model and its scores, as `dvc commit` has, but fast."""
    text = (folder / "dvc.lock").read_text()
    for place in (LSTM, METRICS):
        path = folder / place
        md5 = fingerprint.folder_md5(path) if path.is_dir() else fingerprint.file_md5(path)
        before = re.search(rf"path: {place}\n +hash: md5\n +md5: (\S+)", text)
        assert before is not None
        text = text.replace(before[1], md5)
        _cache(folder, md5, path)
    (folder / "dvc.lock").write_text(text)


def _cache(folder: Path, md5: str, source: Path) -> None:
    place = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    place.parent.mkdir(exist_ok=True)
    if source.is_dir():
        files = sorted(path.name for path in source.iterdir())
        listed = [{"md5": fingerprint.file_md5(source / name), "relpath": name} for name in files]
        place.write_text(json.dumps(listed))
        for name, entry in zip(files, listed, strict=True):
            _cache(folder, entry["md5"], source / name)
    elif not place.exists():
        shutil.copyfile(source, place)


def register(folder: Path) -> registry.Decision:
    problem = loader.load_problem(folder, "small")
    metrics = json.loads((folder / METRICS).read_text())
    checks = json.loads((folder / "reports/small/verdict.json").read_text())["checks"]
    decision = registry.register(
        folder, "small", problem, metrics, [CheckResult(**c) for c in checks]
    )
    (folder / "reports/small/decision.json").write_text(json.dumps(vars(decision)))
    return decision


def state(folder: Path) -> list[dict[str, Any]]:
    """What a person sees of the registry, but for the time and the commit of the training."""
    return [
        {
            key: value
            for key, value in row.items()
            if key not in ("registered", "age", "commit", "sentence", "versus")
        }
        for row in listing.plain(listing.rows(folder, "small"))
    ]


def people(folder: Path) -> list[ledger.Entry]:
    """What people decided, by the ledger."""
    return [entry for entry in ledger.read(folder, "small") if entry.by != ledger.GATE]


@pytest.fixture(scope="module")
def history(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with four versions, three of them committed, and two decisions of a person."""
    folder = tmp_path_factory.mktemp("history") / "a project"
    shutil.copytree(finished, folder)
    for key, value in (("name", "a tester"), ("email", "tester@example.org")):
        run(folder, "git", "config", f"user.{key}", value)
    scale(folder, 30.0)
    record(folder)
    assert register(folder).alias == "challenger"
    promotion.promote(folder, "small", 2, "to see what it does")
    commit(folder)
    scale(folder, 1 / 29)
    record(folder)
    assert register(folder).alias == "champion"
    promotion.rollback(folder, "small", "worse in June, says the desk, at 5 o'clock")
    commit(folder)
    assert register(folder).alias == "previous"
    scale(folder, 40.0)
    record(folder)
    assert register(folder).alias == "challenger"
    return folder


@pytest.fixture
def project(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return work_in_copy(history, tmp_path / "elsewhere", monkeypatch)


def retain(*words: str) -> Answer:
    """A command of `retain`, in this process."""
    return CliRunner().invoke(cli.app, list(words), terminal_width=200)


def forecast() -> str:
    answer = retain("forecast", "small")
    assert answer.exit_code == 0, answer
    return answer.stdout


def aliases(folder: Path) -> dict[str, int]:
    return {a: row["version"] for row in state(folder) for a in row["aliases"]}


def tags(folder: Path, version: int) -> dict[str, str]:
    found: dict[str, str] = store.connect(folder).get_model_version("small", str(version)).tags
    return found


def test_the_gate_and_a_person_move_the_aliases(history: Path) -> None:
    assert aliases(history) == {"challenger": 4, "previous": 3, "champion": 2}
    said = {
        row["version"]: re.sub(r" on \d{4}-..-..:", ":", row["verdict"]) for row in state(history)
    }
    assert said == {
        4: "failed: better than champion version 2",
        3: "passed; made @previous by a tester: worse in June, says the desk, at 5 o'clock",
        2: "failed: better than champion version 1; made @champion by a tester: worse in June, "
        "says the desk, at 5 o'clock",
        1: "passed; made @previous by a tester: to see what it does",
    }
    moved = {k.removeprefix("moved."): v for k, v in tags(history, 2).items() if "moved." in k}
    at = datetime.fromisoformat(moved.pop("at"))
    assert (datetime.now(UTC) - at).total_seconds() < 3600
    assert moved == {
        "by": WHO,
        "why": "worse in June, says the desk, at 5 o'clock",
        "from": "previous",
        "to": "champion",
    }


def test_a_second_rollback_undoes_the_first(project: Path) -> None:
    for champion, previous in ((3, 2), (2, 3)):
        answer = retain("rollback", "small")
        assert answer.exit_code == 0, answer
        assert aliases(project) == {"challenger": 4, "previous": previous, "champion": champion}
    assert "small version 2 is @champion, version 3 is @previous: a tester" in answer.stdout
    assert "commit it" in answer.stdout
    assert [entry.why for entry in people(project)][2:] == ["rolled back"] * 2


def test_a_promoted_challenger_is_challenger_no_more(project: Path) -> None:
    answer = retain("promote", "small", "--version", "4", "--reason", "the desk wants it")
    assert answer.exit_code == 0, answer
    assert aliases(project) == {"champion": 4, "previous": 2}
    assert tags(project, 4)["moved.from"] == "challenger"
    assert "the desk wants it" in retain("results", "small").stdout  # it is the one in the tree


def test_a_version_that_a_person_passed_over_does_not_come_back_by_itself(project: Path) -> None:
    before = aliases(project)
    with artifacts.downloaded(store.connect(project).get_model_version("small", "3")) as files:
        shutil.copytree(files, project / LSTM, dirs_exist_ok=True)
    decision = register(project)  # it is better than the champion, whose place it had
    assert (decision.version, decision.alias) == ("3", "previous")
    assert decision.sentence.startswith(
        f"small version 3 stays @previous: {WHO} made version 2 @champion on "
    )
    assert "(worse in June, says the desk, at 5 o'clock)" in decision.sentence
    assert "retain promote small --version 3" in decision.sentence
    assert aliases(project) == before
    scale(project, 1.01)
    decision = register(project)  # of other content: it is judged
    assert (decision.version, decision.alias) == ("5", "champion")
    assert aliases(project) == {"champion": 5, "previous": 2, "challenger": 4}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("promote", "small", "--version", "9", "--reason", "x"), "no version 9; there is 1, 2, 3"),
        (("promote", "small", "--version", "2", "--reason", "x"), "2 is @champion already"),
        (("promote", "small", "--version", "3", "--reason", " "), "a reason is needed"),
        (("promote", "other", "--version", "1", "--reason", "x"), "no version of other is regist"),
        (("promote", "small'--", "--version", "1", "--reason", "x"), "no version of small'-- is"),
        (("rollback", "other"), "nothing to roll back to: no version of other is @champion"),
        (("models", "other"), "no version of other is registered"),
    ],
)
def test_what_cannot_be_moved_is_said(
    history: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(history)
    before = aliases(history)
    with pytest.raises(RegistryError, match=said):
        raise retain(*words).exception or AssertionError
    assert aliases(history) == before


def test_who_moves_an_alias_must_be_known(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    run(project, "git", "config", "--unset", "user.email")
    with pytest.raises(RegistryError, match=r'git config user\.name "…"'):
        promotion.rollback(project, "small", "why not")


def test_models_are_listed_for_people_and_for_machines(project: Path) -> None:
    shown = retain("models", "small").stdout.splitlines()
    assert shown[0].split() == [
        *("model", "version", "aliases", "MAE", "MASE", "CRPS", "age", "trained", "on", "verdict")
    ]
    assert shown[1].split()[:3] == ["small", "4", "@challenger"]
    assert "2024-01-01 00:00 to 2024-01-15 00:00" in shown[1]
    rows = json.loads(retain("models", "--json").stdout)
    assert [row["version"] for row in rows] == [4, 3, 2, 1]
    assert rows[2]["aliases"] == ["champion"]
    assert rows[0]["metrics"]["mae"] == pytest.approx(40 * rows[1]["metrics"]["mae"], rel=1e-4)


@pytest.mark.long
def test_an_empty_store_is_filled_again_and_a_second_time_changes_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, answer = state(project), forecast()
    old = {version: tags(project, version) for version in (1, 2, 3, 4)}
    with_store, project = project, tmp_path / "empty"
    shutil.copytree(with_store, project, ignore=shutil.ignore_patterns("mlruns"))
    monkeypatch.chdir(project)

    def kill(*words: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rebuild.runs, "log_evaluation", kill)
        with pytest.raises(KeyboardInterrupt):
            next(rebuild.rehydrate(project, "small"))
    assert version_tags.SINCE in tags(project, 1)
    client = store.connect(project)
    assert rebuild.UNFINISHED in client.get_registered_model("small").tags
    said = list(rebuild.rehydrate(project, "small"))
    assert said[-1].startswith("small: 4 versions; @challenger is version 4, @champion")
    assert state(project) == before
    assert forecast() == answer
    # A version is now of the commit that holds it; no ledger has the champion's figures beside it.
    # The manifest names the card, which names that commit, and no list of the code is in git.
    here = {"git.commit", "git.dirty", "versus", "manifest.sha256"}
    for version, recorded in old.items():
        new = tags(project, version)
        assert {key: new[key] for key in recorded.keys() - here} == {
            key: recorded[key] for key in recorded.keys() - here
        }
        assert run(project, "git", "cat-file", "-t", new["git.commit"]).stdout == "commit\n"

    everything = [tags(project, version) for version in old]
    said = list(rebuild.rehydrate(project, "small"))
    assert len(said) == 1
    assert "4 versions, 4 of the history were there; @challenger is version 4" in said[0]
    assert [tags(project, version) for version in old] == everything
    assert state(project) == before

    # One of a project from before there were ledgers, after one that was killed at its end.
    client.set_registered_model_alias("small", "champion", "1")
    client.delete_registered_model_alias("small", "previous")
    by_gate = [entry.model for entry in ledger.read(project, "small") if entry.by == ledger.GATE]
    Layout(project, "small").ledger.unlink()
    client.set_registered_model_tag("small", rebuild.UNFINISHED, "true")
    list(rebuild.rehydrate(project, "small"))
    made = ledger.read(project, "small")
    assert [entry.model for entry in made] == by_gate
    assert {entry.alias for entry in made} == {"champion", "challenger"}


@pytest.mark.long
def test_a_clone_with_a_remote_and_neither_store_nor_cache_gets_the_registry(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".dvc/cache").rename(tmp_path / "remote")
    run(project, "dvc", "remote", "add", "-q", "-d", "far", "../remote")
    commit(project)
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    folder = tmp_path / "clone"
    md5s = {version: tags(project, version)["model.md5"] for version in (1, 2, 3, 4)}
    monkeypatch.chdir(folder)
    planned = list(rebuild.rehydrate(folder, "small", dry_run=True))
    assert "not in the cache, to fetch: data/prepared/small, models/small/final" in planned[0]
    assert not (folder / "mlruns").exists()
    (tmp_path / "remote/files/md5" / md5s[1][:2] / md5s[1][2:]).unlink()
    said = list(rebuild.rehydrate(folder, "small"))
    assert "skipped: models/small/lstm, md5" in said[0]
    assert "is neither in DVC's cache nor its remote" in said[0]
    assert {row["model_md5"]: row["aliases"] for row in state(folder)} == {
        md5s[2]: ["champion"],
        md5s[3]: ["previous"],
        md5s[4]: ["challenger"],
    }
    assert len(forecast().splitlines()) == 13
    assert run(folder, "git", "status", "--porcelain").stdout == ""


def test_files_of_the_right_md5_and_another_sha256_are_not_registered(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = ledger.read(project, "small")
    first, other = [entry for entry in entries if entry.by == ledger.GATE][:2]
    assert len(first.sha256) == 64
    without = replace(other, sha256="")  # of an earlier version
    ledger.write(project, "small", [replace(first, sha256="0" * 64), without])
    shutil.rmtree(project / "mlruns")
    said = list(rebuild.rehydrate(project, "small"))
    assert "skipped: model " in said[0]
    assert f"the ledger says {'0' * 64}" in said[0]
    assert first.sha256 in said[0]
    assert "1 of 2 registrations have no sha256 in the ledger: md5 alone was" in said[-2]
    assert [row["version"] for row in state(project)] == [1]


def test_models_load_after_the_folder_was_moved(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    before, answer = state(project), forecast()
    folder = tmp_path / "moved" / "a project"
    folder.parent.mkdir()
    project.rename(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlruns/mlflow.db")
    assert forecast() == answer
    assert state(folder) == before
    loaded = mlflow.pyfunc.load_model("models:/small@champion")
    served = predictor.load(folder / LSTM)
    table = served.example(folder / "data/prepared/small")
    with lookup.registered_folder(folder, "models:/small@champion") as files:
        assert loaded.predict(table).equals(predictor.load(files).predict(table))
    register(folder)
    tables = (folder / "mlruns/mlflow.db").read_bytes()
    assert str(project).encode() not in tables.replace(bytes(folder), b"")
