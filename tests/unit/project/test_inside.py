"""Names in files that others may have written lead out of no folder."""

from pathlib import Path

import pytest

from retain.errors import ModelError
from retain.project import files


@pytest.mark.parametrize("name", ["../other/file", "a/../../other", "/etc/passwd", "link/file"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ModelError, match="outside"):
        files.inside(folder, name)


@pytest.mark.parametrize("name", ["models/lstm/config.json", "a/../b"])
def test_a_path_in_the_folder_is_taken(tmp_path: Path, name: str) -> None:
    assert files.inside(tmp_path, name) == tmp_path / name


def test_a_name_with_a_null_byte_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="null byte"):
        files.inside(tmp_path, "models/\0")
