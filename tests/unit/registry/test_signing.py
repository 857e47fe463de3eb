"""A signature holds for these files and this key, and each fault of it has its own sentence."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retain.errors import ParamsError, RegistryError
from retain.registry import manifest, signing

CONTENT = {"name": "sales"}


def make_key(folder: Path, name: str, password: str = "") -> tuple[Path, Path]:
    """Write a pair of keys, as docs/trust.md shows it; return the private and the public one."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private))
    openssl("ec", "-in", str(private), "-pubout", "-out", str(public))
    if password:
        words = ("-in", str(private), "-aes256", "-passout", f"pass:{password}")
        openssl("ec", *words, "-out", str(private))
    return private, public


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], capture_output=True, check=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of a version."""
    folder = tmp_path / "sales"
    (folder / "artifacts/lstm").mkdir(parents=True)
    (folder / "artifacts/lstm/weights.safetensors").write_bytes(bytes(1000))
    (folder / manifest.NAME).write_text(json.dumps(CONTENT))
    return folder


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return make_key(tmp_path, "key")


def check(place: Path, signature: bytes | None, key: Path, name: str = "sales") -> None:
    signing.check(place, signature, key, name, "3", CONTENT)


def test_a_signature_is_valid_for_its_files_and_its_key(
    place: Path, keys: tuple[Path, Path]
) -> None:
    signature = signing.sign(place, keys[0])
    check(place, signature, keys[1])
    payload = json.loads(signature)
    assert payload["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    assert signing.key_sha256(signature) == manifest.sha256(keys[1])


def change_weights(place: Path) -> None:
    path = place / "artifacts/lstm/weights.safetensors"
    path.write_bytes(bytes(999) + b"\x01")


def add_file(place: Path) -> None:
    (place / ".gitattributes").write_text("# model-signing ignores it by default")


def change_manifest(place: Path) -> None:
    (place / manifest.NAME).write_text(json.dumps(CONTENT | {"name": "prices"}))


def remove_file(place: Path) -> None:
    (place / "artifacts/lstm/weights.safetensors").unlink()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (change_weights, r"key\.pub \(Hash mismatch for 'artifacts/lstm/weights\.safetensors'"),
        (add_file, r"key\.pub \(Extra files .*\.gitattributes"),
        (change_manifest, r"key\.pub \(Hash mismatch for 'manifest\.json'"),
        (remove_file, r"key\.pub \(Missing files .*weights\.safetensors"),
    ],
)
def test_changed_files_are_refused(
    place: Path, keys: tuple[Path, Path], tamper: Callable[[Path], None], said: str
) -> None:
    signature = signing.sign(place, keys[0])
    tamper(place)
    with pytest.raises(RegistryError, match=said):
        check(place, signature, keys[1])


def test_another_key_is_refused(place: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    signature, other = signing.sign(place, keys[0]), make_key(tmp_path, "other")[1]
    with pytest.raises(RegistryError, match=r"version 3 is not valid for the key .*other\.pub"):
        check(place, signature, other)
    forged = signature.replace(
        signing.key_sha256(signature).encode(), manifest.sha256(other).encode()
    )
    with pytest.raises(RegistryError, match="it is not one of this key for these files"):
        check(place, forged, other)


def test_a_damaged_or_missing_signature_is_refused(place: Path, keys: tuple[Path, Path]) -> None:
    signature = signing.sign(place, keys[0])
    content = json.loads(signature)
    first = content["dsseEnvelope"]["signatures"][0]
    first["sig"] = first["sig"][:20] + ("A" if first["sig"][20] != "A" else "B") + first["sig"][21:]
    nameless = json.loads(signature)
    del nameless["verificationMaterial"]["publicKey"]["hint"]
    for damaged, said in (
        (json.dumps(content).encode(), "is not valid for the key"),
        (signature[:-40], "the signature of sales version 3 is damaged: sign it with"),
        (b"[]", "is damaged"),
        (json.dumps(nameless).encode(), "is damaged"),
        (None, "sales version 3 is not signed, and the key .* is required: sign it with"),
    ):
        with pytest.raises(RegistryError, match=said):
            check(place, damaged, keys[1])


def test_the_files_of_one_model_are_no_version_of_another(
    place: Path, keys: tuple[Path, Path]
) -> None:
    signature = signing.sign(place, keys[0])
    with pytest.raises(RegistryError, match=r"prices version 3 has files .* a version of sales"):
        check(place, signature, keys[1], "prices")


def test_a_version_without_a_manifest_cannot_be_required_to_be_signed(
    place: Path, keys: tuple[Path, Path]
) -> None:
    with pytest.raises(RegistryError, match="was registered without a manifest"):
        signing.check(place, b"", keys[1], "sales", "3", None)


def test_a_key_that_cannot_be_used_is_named(
    place: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("no key")
    for key in (tmp_path / "missing", tmp_path / "text", tmp_path, keys[1]):
        with pytest.raises(ParamsError, match=r"no private key that can be used .*openssl ecparam"):
            signing.sign(place, key)
    signature = signing.sign(place, keys[0])
    for key in (tmp_path / "missing", tmp_path / "text", keys[0]):
        with pytest.raises(ParamsError, match="no public key that can be used"):
            check(place, signature, key)
    locked, public = make_key(tmp_path, "locked", "secret")
    with pytest.raises(ParamsError, match=signing.PASSWORD):
        signing.sign(place, locked)
    monkeypatch.setenv(signing.PASSWORD, "secret")
    check(place, signing.sign(place, locked), public)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda p: p.symlink_to("/dev/zero")])
def test_what_is_no_file_is_not_read_as_a_key(
    place: Path, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "odd")
    with pytest.raises(ParamsError, match="odd is no public key that can be used"):
        check(place, None, tmp_path / "odd")
    with pytest.raises(ParamsError, match="odd is no private key that can be used"):
        signing.sign(place, tmp_path / "odd")


def test_a_deep_signature_names_no_key() -> None:
    assert signing.key_sha256(b"[" * 100_000) == ""


def test_without_the_library_a_sentence_says_how_to_install_it(
    place: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("model_signing", "model_signing.signing"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ParamsError, match="extra `sign`: pip install model-signing"):
        signing.sign(place, keys[0])


def test_a_requirement_without_a_file_does_not_count_as_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(signing.REQUIRED, raising=False)
    assert signing.required_key() is None
    monkeypatch.setenv(signing.REQUIRED, "key.pub")
    assert signing.required_key() == Path("key.pub")
    for empty in ("", " "):
        monkeypatch.setenv(signing.REQUIRED, empty)
        with pytest.raises(ParamsError, match="RETAIN_REQUIRE_SIGNATURE is empty"):
            signing.required_key()
