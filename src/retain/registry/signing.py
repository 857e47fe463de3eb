"""Signatures of registered versions, with OpenSSF's model-signing and an elliptic key.

The signature (a Sigstore bundle, `model.sig`) lies beside the model and covers the files of its
folders and the manifest, which has the sha256 of all others. model-signing is imported only where a
signature is made or checked; it brings half a second of imports.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from retain.errors import ParamsError, RegistryError
from retain.registry import manifest
from retain.words import clipped

REQUIRED = "RETAIN_REQUIRE_SIGNATURE"  # a file with the public key whose signature is required
PASSWORD = "RETAIN_KEY_PASSWORD"  # noqa: S105  # the variable with the password of a private key
LONGEST_KEY = 100_000  # bytes of a file
INSTALL = "signatures need the packages of the extra `sign`: pip install model-signing pyopenssl"


def required_key() -> Path | None:
    """Return the file of the public key whose signature is required, if one is.

    Raises:
        ParamsError: the variable is empty, as if its value had been forgotten.
    """
    given = os.environ.get(REQUIRED)
    if given is None:
        return None
    if not given.strip():
        raise ParamsError(
            f"{REQUIRED} is empty: set it to the file of a public key, or unset it if no signature "
            f"is required"
        )
    return Path(given)


def sign(place: Path, key: Path) -> bytes:
    """Return the signature of a copy of a version.

    Args:
        place: the copy: the model folders below `artifacts`, and the manifest.
        key: file of the private key, in PEM, on the curve P-256, P-384 or P-521.

    Raises:
        ParamsError: the key cannot be used, or model-signing is not installed.
    """
    config = _library("signing").Config()
    password = os.environ.get(PASSWORD)
    with _usable(key, "private"):
        # The library passes the password on to cryptography, which takes bytes.
        secret: Any = password.encode() if password else None
        config.use_elliptic_key_signer(private_key=key, password=secret)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / manifest.SIGNATURE
        config.set_hashing_config(_hashing()).sign(place, path)
        return path.read_bytes()


def check(
    place: Path,
    signature: bytes | None,
    key: Path,
    name: str,
    number: str,
    content: Mapping[str, Any] | None,
) -> None:
    """Check the signature of a copy of a version.

    Args:
        place: the copy, as `sign` takes it.
        signature: the bytes that `sign` returned; None if the version has none.
        key: file of the public key, in PEM.
        name, number: of the version.
        content: of the manifest, which names the model that was signed.

    Raises:
        RegistryError: there is no manifest or no signature, it is of another key or of other
            files, or it was made for a model of another name.
        ParamsError: the key cannot be used, or model-signing is not installed.
    """
    label = f"{name} version {number}"
    again = f"sign it with `retain sign {name} --version {number} --key FILE`"
    verifying = _library("verifying").Config()
    with _usable(key, "public"):
        verifying.use_elliptic_key_verifier(public_key=key)
    if content is None:
        raise RegistryError(
            f"{label} was registered without a manifest, which a signature needs, and one of the "
            f"key {key} is required: train it anew, or rebuild the registry with `retain rehydrate`"
        )
    if signature is None:
        raise RegistryError(f"{label} is not signed, and the key {key} is required: {again}")
    if not key_sha256(signature):
        raise RegistryError(f"the signature of {label} is damaged: {again}")
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / manifest.SIGNATURE
        path.write_bytes(signature)
        try:
            verifying.set_hashing_config(_hashing()).verify(place, path)
        except Exception as error:  # whatever a damaged file makes the library raise
            reason = _reason(error) or "it is not one of this key for these files"
            raise RegistryError(
                f"the signature of {label} is not valid for the key {key} ({reason}); nothing of "
                f"the model is used. If its files are right, {again}"
            ) from None
    if content["name"] != name:
        raise RegistryError(f"{label} has files that were signed as a version of {content['name']}")


def _reason(error: Exception) -> str:
    """Return what the library says, without the bytes of the digests."""
    if "validation error" in str(error):
        return "it is no signature: a part of it is missing or damaged"
    text = " ".join(str(error).split()).partition(": Expected")[0].replace("\\'", "'")
    return re.sub(r"^Signature mismatch: \W+", "", text)[:300]


def key_sha256(signature: bytes) -> str:
    """Return the sha256 of the public key that a signature names; empty for a damaged one."""
    try:
        key = json.loads(signature)["verificationMaterial"]["publicKey"]
        return str(key.get("hint") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def _library(module: str) -> Any:
    """Import a module of model-signing.

    Raises:
        ParamsError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise ParamsError(f"{INSTALL} ({error})") from None


def _hashing() -> Any:
    """Return how files are hashed: each one, also those that git would ignore, and no links."""
    config = _library("hashing").Config()
    return config.set_ignored_paths(paths=(), ignore_git_paths=False)


@contextmanager
def _usable(key: Path, kind: str) -> Iterator[None]:
    """Raise ParamsError where a key cannot be read."""
    try:
        if key.stat().st_size > LONGEST_KEY or not key.is_file():  # a pipe would be waited for
            raise ValueError("no file, or a large one")
        yield
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or clipped(error, 200)
        raise ParamsError(
            f"{key} is no {kind} key that can be used ({reason}): an elliptic key in PEM is made "
            f"by `openssl ecparam -name prime256v1 -genkey -noout -out key.pem`, and its public "
            f"part by `openssl ec -in key.pem -pubout -out key.pub`; the password of a private "
            f"one is read from {PASSWORD}"
        ) from None
