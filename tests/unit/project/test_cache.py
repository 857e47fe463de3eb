"""What comes out of DVC's cache is what its md5 says, or nothing."""

import json
from pathlib import Path

import pytest

from retain.errors import DvcError, ModelError
from retain.project import dvc, fingerprint
from retain.project.cache import Cache

FOLDER = {"weights.safetensors": b"weights", "config.json": b"{}"}


def put(folder: Path, content: bytes, ending: str = "") -> str:
    md5 = fingerprint.text_md5(content.decode())
    path = folder / md5[:2] / f"{md5[2:]}{ending}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return md5 + ending


def path_of(cache: Cache, md5: str) -> Path:
    return cache.folder / md5[:2] / md5[2:]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    (tmp_path / "cache").mkdir()
    monkeypatch.setattr(dvc, "cache_folder", lambda root: root / "cache")
    return Cache(tmp_path)


@pytest.fixture
def md5(cache: Cache) -> str:
    """A folder in the cache."""
    entries = [
        {"md5": put(cache.folder, content), "relpath": name} for name, content in FOLDER.items()
    ]
    return put(cache.folder, json.dumps(entries).encode(), ".dir")


def test_a_folder_is_copied_with_its_files(cache: Cache, md5: str, tmp_path: Path) -> None:
    cache.copy(md5, tmp_path / "model", "a model")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    assert copied == FOLDER


def test_a_file_with_other_content_is_refused(cache: Cache, md5: str, tmp_path: Path) -> None:
    part = fingerprint.text_md5("weights")
    path_of(cache, part).write_bytes(b"a pickle")
    with pytest.raises(ModelError, match=rf"other files than were recorded of a model.*{part[2:]}"):
        cache.copy(md5, tmp_path / "model", "a model")


def test_a_listing_with_other_content_is_refused(cache: Cache, md5: str, tmp_path: Path) -> None:
    path, outside = path_of(cache, md5), fingerprint.text_md5("weights")
    path.write_text(json.dumps([{"md5": outside, "relpath": "../outside"}]))
    with pytest.raises(ModelError, match="nothing of it is read"):
        cache.copy(md5, tmp_path / "model", "a model")
    assert not (tmp_path / "outside").exists()


def test_what_is_not_here_comes_from_the_remote(
    cache: Cache, md5: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, part = fingerprint.text_md5("{}"), fingerprint.text_md5("weights")
    away = {name: path_of(cache, name).read_bytes() for name in (md5, part)}
    for name in away:
        path_of(cache, name).unlink()
    assert not cache.has(md5)
    asked = []

    def pull(root: Path, md5s: list[str]) -> None:
        asked.append(md5s)
        for name in md5s:
            path_of(cache, name).write_bytes(away[name])

    monkeypatch.setattr(dvc, "pull", pull)
    cache.fetch([md5, here])
    assert asked == [[md5], [part]]  # the listing of the folder, and what it lists
    assert cache.has(md5)


def test_why_the_remote_does_not_answer_is_said(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(root: Path, md5s: list[str]) -> None:
        raise DvcError("no remote is set up")

    monkeypatch.setattr(dvc, "pull", refuse)
    cache.fetch(["1" * 32])
    said = r"a model, md5 1{12}, is neither in DVC's cache nor its remote \(no remote is set up\)"
    with pytest.raises(ModelError, match=said):
        cache.copy("1" * 32, tmp_path / "model", "a model")


def test_a_folder_that_is_added_has_the_md5_that_dvc_gives_it(cache: Cache, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "fold-2").mkdir(parents=True)
    for name, content in {**FOLDER, "fold-2/history.csv": b"epoch\n"}.items():
        (model / name).write_bytes(content)
    md5 = cache.add(model)
    assert md5 == fingerprint.folder_md5(model)
    assert cache.has(md5)
    cache.copy(md5, tmp_path / "copy", "a model")
    assert fingerprint.folder_md5(tmp_path / "copy") == md5
