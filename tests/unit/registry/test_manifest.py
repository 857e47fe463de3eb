"""A manifest that someone wrote, with a tag that fits it, is a sentence and is not read."""

import json
from typing import Any

import pytest

from retain.errors import RegistryError
from retain.registry import manifest

WHOLE: dict[str, Any] = {
    "format": 1,
    "name": "sales",
    "folders": {"model": "artifacts/lstm"},
    "files": {"artifacts/lstm/config.json": "0"},
    "prepared": {"y.npy": "1"},
    "params": "2",
    "code": {},
    "dvc.lock": "3",
    "requirements.lock": "",
    "retain": {"version": "0.1.0", "modules": "", "wheel": ""},
}


def read(content: bytes) -> dict[str, Any]:
    return manifest.read(content, manifest.sha256(content), "sales version 1")


def test_a_whole_manifest_is_read() -> None:
    assert read(json.dumps(WHOLE).encode()) == WHOLE
    with pytest.raises(RegistryError, match="has format 2; this version of retain reads 1"):
        read(json.dumps(WHOLE | {"format": 2}).encode())


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"[" * 100_000, b"\xff\xfe{}", b'{"format": ' + b"9" * 5000 + b"}"],
    ids=["nothing", "null", "a list", "deep", "not UTF-8", "a long number"],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(RegistryError, match="of sales version 1 is no manifest, although"):
        read(content)


@pytest.mark.parametrize("value", [None, [], 1, {"model": None}])
@pytest.mark.parametrize("key", sorted(WHOLE))
def test_a_manifest_with_another_type_in_it_is_refused(key: str, value: Any) -> None:
    if (key, value) == ("format", 1):
        return
    with pytest.raises(RegistryError, match="is no manifest, although"):
        read(json.dumps(WHOLE | {key: value}).encode())


@pytest.mark.parametrize("key", sorted(WHOLE))
def test_a_manifest_that_lacks_a_key_is_refused(key: str) -> None:
    with pytest.raises(RegistryError, match="is no manifest, although"):
        read(json.dumps({name: WHOLE[name] for name in WHOLE if name != key}).encode())


def test_a_model_is_known_by_its_files_wherever_its_folder_lies() -> None:
    moved = WHOLE | {
        "folders": {"model": "artifacts/gru"},
        "files": {"artifacts/gru/config.json": "0", "artifacts/README.md": "9"},
    }
    assert manifest.content_of_version(moved) == manifest.content_of_version(WHOLE)
    for other in ({"files": {"artifacts/lstm/config.json": "8"}}, {"prepared": {}}):
        assert manifest.content_of_version(WHOLE | other) != manifest.content_of_version(WHOLE)
