"""Identity by content: the md5 is the one that DVC would write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from retain.config.loader import parse
from retain.project import fingerprint
from retain.project.fingerprint import code_state, file_md5, folder_md5, training_tags

FILES = {
    "weights.safetensors": b"\x00\x01\x02",
    "config.json": b"{}\r\n",
    "a/b.csv": b"x,y\n",
    "a-b": b"",
    "a.txt": b"after a/ in one order, before it in another",
    "späť/ü.txt": "ü".encode(),
    "Z": b"capitals first",
}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC and git see no settings but those of the test."""
    for name in ("DVC_STAGE", "DVC_EXP_NAME", "DVC_ROOT", "GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.mark.usefixtures("quiet")
def test_the_md5_of_a_folder_and_of_a_file_is_that_of_dvc(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    folder = write(root / "model", FILES)
    write(root, {"raw.csv": b"ds,y\n"})
    for words in (["init", "--no-scm", "-q"], ["add", "-q", "model", "raw.csv"]):
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, check=True)

    def written(name: str) -> str:
        return str(YAML(typ="safe").load(root / f"{name}.dvc")["outs"][0]["md5"])

    assert folder_md5(folder) == written("model")
    assert file_md5(root / "raw.csv") == written("raw.csv")


def test_the_md5_of_a_folder_is_of_names_and_bytes_alone(tmp_path: Path) -> None:
    one, two = (
        write(tmp_path / "one", FILES),
        write(tmp_path / "two", dict(reversed(FILES.items()))),
    )
    os.utime(two / "Z", (0, 0))
    (two / "empty").mkdir()
    assert folder_md5(one) == folder_md5(two)
    (two / "Z").rename(two / "z")
    assert folder_md5(one) != folder_md5(two)
    (two / "z").rename(two / "Z")
    (two / "Z").write_bytes(b"Capitals first")
    assert folder_md5(one) != folder_md5(two)


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, quiet: None) -> Path:
    root = write(tmp_path / "repo", {"params.yaml": b"a: 1\n", "dvc.lock": b"b: 1\n"})
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_commit_and_a_clean_tree(repository: Path) -> None:
    state = code_state(repository)
    assert state["git.dirty"] == "false"
    assert len(state["git.commit"]) == 40
    assert state.keys() == {"git.commit", "git.dirty"}


def test_a_changed_file_makes_the_tree_dirty(repository: Path) -> None:
    (repository / "params.yaml").write_text("a: 2\n")
    assert code_state(repository)["git.dirty"] == "true"


def test_what_the_pipeline_writes_itself_does_not(repository: Path) -> None:
    (repository / "dvc.lock").write_text("b: 2\n")
    (repository / "untracked").write_text("-")
    assert code_state(repository)["git.dirty"] == "false"


def test_without_a_repository_there_is_no_commit(tmp_path: Path, quiet: None) -> None:
    assert code_state(tmp_path) == {}


def test_without_git_there_is_no_commit(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_state(repository) == {}


def test_stage_and_experiment_are_those_that_dvc_names(
    tmp_path: Path, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@sales-lstm")
    monkeypatch.setenv("DVC_EXP_NAME", "")
    assert code_state(tmp_path) == {"DVC_STAGE": "train@sales-lstm"}


def test_a_model_is_made_of_data_params_and_cell(tmp_path: Path, quiet: None) -> None:
    def tags(cell: str = "lstm", **sections: dict[str, object]) -> dict[str, str]:
        data = {"path": "t.csv", "horizon": 1, "context_length": 1}
        problem = parse(
            "sales", {"kind": "forecast", "preset": "fast", "data": data, "gate": [], **sections}
        )
        return training_tags(tmp_path, "sales", problem, cell)

    prepared = write(tmp_path / "data/prepared/sales", {"values.npy": b"1"})
    before = tags()
    assert before["data.md5"] == fingerprint.folder_md5(prepared)
    assert tags() == before
    assert tags("rnn")["params.md5"] != before["params.md5"]
    assert tags(training={"seed": 2})["params.md5"] != before["params.md5"]
    assert tags(model={"dropout": 0.1})["params.md5"] != before["params.md5"]
    assert tags(evaluation={"folds": 2})["params.md5"] != before["params.md5"]
    # how many train together makes another model, on how many nodes they run does not
    assert tags(training={"num_nodes": 2})["params.md5"] != before["params.md5"]
    assert tags(training={"num_nodes": 2}) == tags(training={"devices": 2})
    of_auto = tags(training={"devices": "auto"})
    assert tags(training={"devices": "auto", "num_nodes": 2})["params.md5"] != of_auto["params.md5"]
    # how the test windows are scored makes no other model
    assert tags(evaluation={"bootstrap": 100}) == before
    (prepared / "values.npy").write_bytes(b"2")
    assert tags()["data.md5"] != before["data.md5"]
    assert tags()["params.md5"] == before["params.md5"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("place", [".", "projects/one"])
def test_a_patch_makes_the_tree_with_its_new_modules(
    tmp_path: Path, place: str, encoding: str
) -> None:
    def git(folder: Path, *words: str, given: str | None = None) -> None:
        who = ("-c", "user.name=a tester", "-c", "user.email=tester@example.org")
        subprocess.run(["git", *who, *words], cwd=folder, check=True, text=True, input=given)

    top = tmp_path / "repository"
    table = "größe,Ort\n1,Köln\n"
    root = write(top / place, {"src/known.py": b"a = 1\n", "t.csv": table.encode("latin-1")})
    git(top, "init", "-q")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "a state")
    assert fingerprint.patch(root) == {}
    git(tmp_path, "clone", "-q", str(top), str(tmp_path / "clone"))
    new = {
        "src/new.py": "ü = 2\n".encode(),
        "src/data.bin": b"\x00\x01",
        "src/known.py": b"a = 3\n",
    }
    if encoding != "utf-8":
        new |= {"t.csv": f"{table}2,Zürich\n".encode(encoding)}
    write(root, new | {"big.csv": b"not of the code\n"})
    assert code_state(root)["git.dirty"] == "true"
    clone = tmp_path / "clone"
    git(clone, "apply", "-", given=fingerprint.patch(root)["code.patch"])
    assert {name: (clone / place / name).read_bytes() for name in new} == new
    assert not (clone / place / "big.csv").exists()
