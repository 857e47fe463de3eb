"""Outputs appear whole or not at all, and the same content has the same bytes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from retain.errors import RetainError
from retain.project import files
from retain.project.layout import Layout


def leave(root: Path, message: str = "half written") -> None:
    """A stage that fails while it writes."""
    with files.folder(root, "train-sales") as scratch:
        (scratch / "weights").write_text(message)
        raise ValueError(message)


def test_a_scratch_folder_is_empty_and_goes_away(tmp_path: Path) -> None:
    with files.folder(tmp_path, "train-sales") as scratch:
        assert scratch == tmp_path / "scratch" / "train-sales"
        assert list(scratch.iterdir()) == []
        (scratch / "weights").write_text("-")
    assert not scratch.exists()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    old = tmp_path / "scratch" / "train-sales" / "old"
    old.mkdir(parents=True)
    with files.folder(tmp_path, "train-sales") as scratch:
        assert list(scratch.iterdir()) == []


def test_a_stage_that_fails_leaves_nothing_and_touches_nothing(tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    (target / "weights").write_text("good")
    with pytest.raises(ValueError, match="half written"):
        leave(tmp_path)
    assert not (tmp_path / "scratch" / "train-sales").exists()
    assert (target / "weights").read_text() == "good"
    with files.folder(tmp_path, "train-sales"):  # the lock is free again
        pass


def test_a_published_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "models" / "sales" / "lstm"
    for content, names in (("one", ["a", "b"]), ("two", ["a"])):
        with files.folder(tmp_path, "train-sales") as scratch:
            for name in names:
                (scratch / name).write_text(content)
            files.publish(scratch, target)
        assert sorted(path.name for path in target.iterdir()) == names
        assert (target / "a").read_text() == content


def test_entries_are_published_beside_those_of_other_stages(tmp_path: Path) -> None:
    target = tmp_path / "reports"
    (target / "plots").mkdir(parents=True)
    (target / "plots" / "old.csv").write_text("-")
    (target / "verdict.json").write_text("of another stage")
    with files.folder(tmp_path, "evaluate-sales") as scratch:
        (scratch / "plots").mkdir()
        (scratch / "plots" / "new.csv").write_text("-")
        (scratch / "metrics.json").write_text("{}")
        files.publish_each(scratch, target)
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert found == ["metrics.json", "plots/new.csv", "verdict.json"]


def test_a_file_that_is_replaced_keeps_its_mode_unless_it_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for before, after in ((0o600, 0o600), (0o664, 0o664), (0o444, 0o644)):
        path.touch()
        path.chmod(before)
        files.write_text(path, "new")
        assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (after, "new")
        path.unlink()


def test_a_link_stays_unless_it_is_one_into_the_cache(tmp_path: Path) -> None:
    cached = tmp_path / ".dvc/cache/files/md5/d4/1d8cd98f00b204e9800998ecf8427e"
    cached.parent.mkdir(parents=True)
    for target, stays in ((tmp_path / "real.csv", True), (cached, False)):
        target.write_text("old")
        link = tmp_path / f"{target.name}.link"
        link.symlink_to(target)
        files.write_text(link, "new")
        assert (link.is_symlink(), link.read_text()) == (stays, "new")
        assert target.read_text() == ("new" if stays else "old")


@pytest.mark.parametrize(
    ("before", "seen"), [("a\r\nb\r\n", "a\nb\n"), ("a\nb\r\n", "a\nb\r\n"), ("a\rb\n", "a\rb\n")]
)
def test_what_is_edited_keeps_its_line_ends(before: str, seen: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(before.encode())
    text = files.read_to_edit(path)
    assert text == seen
    files.write_edited(path, text)
    assert path.read_bytes().decode() == before


REFUSED = "another process runs train-sales in this folder; wait, or end it"


def test_a_second_writer_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    with files.folder(tmp_path, "train-sales") as scratch:
        (scratch / "weights").write_text("mine")
        with pytest.raises(RetainError) as error, files.folder(tmp_path, "train-sales"):
            pass
        assert str(error.value) == REFUSED
        assert (scratch / "weights").read_text() == "mine"
        with files.folder(tmp_path, "train-other"):  # other stages may run
            pass


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom retain import errors\nfrom retain.project import files\n"
        "def main():\n"
        "    with files.folder(Path(), 'train-sales'): pass\n"
        "errors.run(main)"
    )
    command = [sys.executable, "-c", code]
    with files.folder(tmp_path, "train-sales"):
        done = subprocess.run(
            command, cwd=tmp_path, check=False, capture_output=True, text=True, env=os.environ
        )
    assert (done.returncode, done.stderr) == (2, f"error: {REFUSED}\n")


def test_json_has_six_significant_digits_and_null_for_what_is_no_number() -> None:
    content = {
        "mae": 1 / 3,
        "large": 123456789.0,
        "small": 1.23456789e-9,
        "whole": 12345678901,
        "wrong": [float("nan"), float("inf"), -float("inf")],
        "pair": (1.0, None, True),
        "place": "Zürich",
    }
    assert files.to_json(content) == (
        "{\n"
        '  "mae": 0.333333,\n'
        '  "large": 123457000.0,\n'
        '  "small": 1.23457e-09,\n'
        '  "whole": 12345678901,\n'
        '  "wrong": [\n    null,\n    null,\n    null\n  ],\n'
        '  "pair": [\n    1.0,\n    null,\n    true\n  ],\n'
        '  "place": "Zürich"\n'
        "}\n"
    )


def test_json_does_not_show_the_last_bits_of_a_sum() -> None:
    assert files.to_json(0.1 + 0.2) == files.to_json(0.3)


def test_a_model_that_is_not_trained_leaves_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    layout = Layout(tmp_path, "small")
    files.leave_out(tmp_path, "refit-small", layout.final, "kind text has no refit")
    (left,) = layout.final.iterdir()
    assert (left.name, left.read_text()) == (files.LEFT_OUT, "kind text has no refit\n")
    assert layout.refitted is None
    (layout.final / "config.json").write_text("{}")
    assert layout.refitted == layout.final
