"""Where a model comes from, and that it is the same when it is made anew from that."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from retain.errors import ProofError, RegistryError
from retain.evaluation import choice
from retain.project import fingerprint
from retain.registry import provenance, reproduce
from retain.registry.provenance import Provenance
from retain.registry.reproduce import Compared, Proof

from .conftest import commit, run, work_in_copy


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished project at another place, with its registry."""
    return work_in_copy(finished, tmp_path / "project", monkeypatch)


@pytest.mark.long
def test_a_model_with_folds_of_a_changed_tree_is_made_anew_with_its_patch_and_without_a_trace(
    clone: Callable[[], Path],
) -> None:
    folder = clone()
    text = (folder / "params.yaml").read_text()
    text = text.replace("hidden_size: 8", "hidden_size: 6")
    (folder / "params.yaml").write_text(text.replace("bootstrap: 200", "folds: 2"))
    run(folder, "dvc", "repro")
    assert (folder / "models/small/lstm/fold-2/weights.safetensors").is_file()
    before = run(folder, "git", "status", "--porcelain").stdout
    done = run(folder, "retain", "prove", "models:/small@champion")
    lines = done.stdout[done.stdout.index("small version 1 @champion, made anew") :].splitlines()
    stages = [line.split()[0] for line in lines[1:-2]]
    trained = {f"train@small-{cell}" for cell in ("lstm", "rnn", "gru")}  # gru: left out, says so
    assert {"prepare@small", *trained, "evaluate@small", "refit@small"} == set(stages)
    assert all("identical" in line for line in lines[1:-2])
    assert lines[-2:] == ["  machine and libraries: the same", "  identical"]
    assert run(folder, "git", "status", "--porcelain").stdout == before
    assert not (folder / "scratch" / "prove-small").exists()

    traced = run(folder, "retain", "trace", "models:/small/1").stdout.splitlines()
    said = {line[:8].strip(): line[9:] for line in traced}
    assert said["model"].startswith("small version 1 @champion, md5 ")
    assert said["run"].startswith("small lstm, 2024-01-20 ")
    until = ("to 2024-01-15 00:00 (evaluated)", "to 2024-01-21 00:00 (refitted, forecasts)")
    assert all(part in said["rows"] for part in until)
    assert said["commit"].endswith("a state, and 1 files changed beside it (the run's code.patch)")
    assert "model.hidden_size 6" in said["params"]
    md5 = fingerprint.file_md5(folder / "data/raw/small.csv")[:12]
    assert said["raw"] == f"data/raw/small.csv, md5 {md5}, unchanged"
    assert len(traced) < 20


@pytest.mark.long
def test_another_model_in_the_working_tree_is_told_from_the_one_that_is_made_anew(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    weights = project / "models/small/lstm/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # the sign or the exponent of one weight
    weights.write_bytes(content)
    done = run(project, "retain", "prove", "small", code=None)
    assert done.returncode == 3  # its metrics are those of the report, which nobody changed
    (line,) = [line for line in done.stdout.splitlines() if "models/small/lstm" in line]
    assert "train@small-lstm" in line
    assert "different" in line
    assert "different within the tolerance" in done.stdout


def test_the_largest_difference_of_a_weight_may_be_in_a_later_fold(tmp_path: Path) -> None:
    for name, weight in (("one", 1.0), ("other", 1.5)):
        for fold, value in ((1, 2.0), (2, weight)):
            place = choice.fold_folder(tmp_path / name, fold)
            place.mkdir()
            save_file({"w": np.full(3, value)}, place / "weights.safetensors")
    one, other = tmp_path / "one", tmp_path / "other"
    assert reproduce._largest_difference(one, one) == 0
    assert reproduce._largest_difference(one, other) == 0.5
    (other / "fold-2/weights.safetensors").unlink()
    (other / "fold-2").rmdir()
    assert reproduce._largest_difference(one, other) == float("inf")


@pytest.mark.parametrize(
    ("recorded", "metrics", "code"), [("1", 0.5, 0), ("2", 0.009, 3), ("2", 0.02, 1)]
)
def test_the_exit_code_says_how_near_it_came(recorded: str, metrics: float, code: int) -> None:
    compared = [Compared("train@p-lstm", "models/p/lstm", recorded, "1")]
    found = Proof(compared, 1e-6, metrics, 0.01, [])
    assert found.code == code
    assert found.lines()[-1] == reproduce.VERDICTS[code]


def test_raw_data_comes_from_the_cache_of_dvc(project: Path, tmp_path: Path) -> None:
    run(project, "git", "rm", "-q", "--cached", "data/raw/small.csv")
    run(project, "dvc", "add", "-q", "data/raw/small.csv")
    commit(project)
    tree = tmp_path / "tree"
    run(tmp_path, "git", "clone", "-q", str(project), str(tree))
    assert not (tree / "data/raw/small.csv").exists()
    reproduce._fetch(project, tree, "data/raw/small.csv")
    assert (tree / "data/raw/small.csv").read_bytes() == (
        project / "data/raw/small.csv"
    ).read_bytes()


def test_what_cannot_be_made_anew_is_said(project: Path) -> None:
    model = provenance.find(project, "small")
    for changes, said in (
        ({"commit": ""}, "was trained outside git"),
        ({"commit": "1" * 40}, "which this clone does not have"),
        ({"outs": {}}, "was not recorded"),
    ):
        with pytest.raises(ProofError, match=said):
            reproduce.prove(project, Provenance(**vars(model) | changes))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("models:/small@best", "no version of small is @best"),
        ("models:/small/99", "small has no version 99; there is 1"),
        ("models:small", "small"),
        ("runs:/1/model", "names no model: write models:/NAME@champion"),
    ],
)
def test_a_model_that_there_is_not_is_named(project: Path, model: str, said: str) -> None:
    with pytest.raises(Exception, match=said) as caught:
        provenance.find(project, model)
    assert isinstance(caught.value, RegistryError) or "no problem" in str(caught.value)
