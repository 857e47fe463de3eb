"""Files that a person or a kill damaged: each is named with what brings it back."""

import re
import shutil
from pathlib import Path

import pytest

from retain.errors import DataError, ParamsError, RetainError
from retain.evaluation import choice, results
from retain.project import files, params_file, raw_table


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_damaged_json_is_named_with_the_command_that_writes_it(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "decision.json"
    assert files.read_json(path, "`retain run`") == {}
    path.write_bytes(content)
    with pytest.raises(RetainError, match=r"decision\.json is damaged .*again: `retain run`"):
        files.read_json(path, "`retain run`")
    for read in (choice.judged, results.read_metrics):
        with pytest.raises(RetainError, match=r"decision\.json is damaged"):
            read(path)


@pytest.mark.parametrize("content", ["", "[]", "a: [", "\ud7ff: \0"])
def test_a_damaged_dvc_yaml_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text(content)
    with pytest.raises(ParamsError, match=re.escape("dvc.yaml cannot be read (")):
        params_file.read_yaml(path)


@pytest.mark.parametrize("folder", [False, True])
def test_a_copy_that_was_killed_is_made_again(
    folder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "raw" / "t"
    inner = source / "a" if folder else source
    inner.parent.mkdir(exist_ok=True)
    inner.write_text("whole")
    copy = "copytree" if folder else "copy2"

    def cut(source: Path, place: Path) -> None:
        (place.mkdir() if folder else place.write_text("who"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(raw_table, "_delete", lambda path: None)  # as where the process is killed
        patch.setattr(shutil, copy, cut)
        with pytest.raises(KeyboardInterrupt):
            raw_table.copy(source, target)
    assert not target.exists()
    assert raw_table.copy(source, target)
    assert [path.name for path in target.parent.iterdir()] == ["t"]
    assert not raw_table.copy(source, target)
    inner.write_text("other")
    with pytest.raises(DataError, match="exists already"):
        raw_table.copy(source, target)
