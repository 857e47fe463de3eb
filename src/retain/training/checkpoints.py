"""Checkpoints that survive a kill at any moment: complete or absent, checked, without pickle.

A file is the SHA-256 of what follows and a safetensors archive: the tensors of a training state,
and the rest of it as JSON in the archive's metadata. It is written under another name, synced and
renamed.
"""

import hashlib
import json
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from safetensors.torch import load, save
from torch.utils import _pytree as pytree

from retain.errors import RetainError

KEPT = 2  # the newest, and the one before it in case the newest is damaged
SUFFIX = ".checkpoint"
DIGEST = hashlib.sha256().digest_size


class DamagedError(ValueError):
    """A checkpoint that does not hold what was written."""


def write(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; a crash leaves the previous file, or none.

    Raises:
        RetainError: the disk is full, or the folder cannot be written to.
        TypeError: the state holds something that is neither a tensor nor JSON.
    """
    leaves, structure = pytree.tree_flatten(state)
    tensors = {
        str(number): leaf.detach().cpu().clone().contiguous()
        for number, leaf in enumerate(leaves)
        if isinstance(leaf, torch.Tensor)
    }
    rest = [None if str(number) in tensors else leaf for number, leaf in enumerate(leaves)]
    tree = json.dumps([pytree.treespec_dumps(structure), rest])
    archive = save(tensors, metadata={"state": tree})
    scratch = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_synced(scratch, hashlib.sha256(archive).digest(), archive)
        scratch.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename too
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()  # it may be what fills up the disk
        raise RetainError(
            f"no checkpoint can be written into {path.parent}: {error.strerror}; free space there "
            f"and start again: the training resumes from the last one"
        ) from None
    for older in _newest_first(path.parent)[KEPT:]:
        older.unlink()


def read(path: Path) -> dict[str, Any]:
    """Read a training state that `write` wrote; raises DamagedError if the file is damaged."""
    content = path.read_bytes()
    digest, archive = content[:DIGEST], content[DIGEST:]
    if hashlib.sha256(archive).digest() != digest:
        raise DamagedError(f"{path} is damaged")
    (size,) = struct.unpack("<Q", archive[:8])
    structure, leaves = json.loads(json.loads(archive[8 : 8 + size])["__metadata__"]["state"])
    for key, tensor in load(archive).items():
        leaves[int(key)] = tensor
    state: dict[str, Any] = pytree.tree_unflatten(leaves, pytree.treespec_loads(structure))
    return state


def newest(folder: Path) -> Path | None:
    """Find the newest checkpoint of a folder that is not damaged; remove those that are."""
    for path in _newest_first(folder):
        try:
            read(path)
        except (DamagedError, OSError):
            print(f"{path.name} is damaged: the checkpoint before it is taken", flush=True)
            path.unlink(missing_ok=True)  # another process may have removed it
        else:
            return path
    return None


def name(step: int) -> str:
    """Return the file name of the checkpoint after `step` steps; names sort as steps do."""
    return f"{step:012d}{SUFFIX}"


def _write_synced(path: Path, *parts: bytes) -> None:
    with path.open("wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"), reverse=True)


class SafetensorsCheckpointIO(CheckpointIO):
    """Read and write Lightning's checkpoints without pickle."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        write(Path(path), checkpoint)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)
