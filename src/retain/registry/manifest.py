"""The sha256 manifest of a registered version: what the model is, and what it was made of.

DVC and the registry's tags know files by md5, for which two files of the same md5 can be made. The
manifest lies beside the model; a tag of the version has the manifest's own sha256. It depends on
data, params, code and installed packages alone: it has no time, no run and no version number.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retain.config import plugins, release
from retain.config.schema import Problem
from retain.errors import RegistryError
from retain.project import dvc, files
from retain.project.layout import Layout

NAME = "manifest.json"
SBOM = "sbom.json"
SIGNATURE = "model.sig"
ARTIFACTS = "artifacts"  # the folder of the model folders and the card
TAG = "manifest.sha256"  # of the version
FORMAT = 1
# Files of a version that the manifest cannot name: itself, and what has ids, times or a signature.
UNLISTED = (NAME, SIGNATURE, "MLmodel", "registered_model_meta")
CODE = re.compile(r"[0-9a-f]{32}  (.+)")  # a line of data/code/P/STAGE.txt


def sha256(content: bytes | Path) -> str:
    """Return the sha256 of bytes or of a file."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_folder(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file below a folder, by relative path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def build(
    root: Path, name: str, problem: Problem, stored: Path, folders: Mapping[str, str]
) -> dict[str, Any]:
    """Return the manifest of a model that is about to be registered.

    Args:
        stored: a copy of the files of the version.
        folders: where the folders `model` and `final` lie in it.
    """
    listed = {path: digest for path, digest in of_folder(stored).items() if path not in UNLISTED}
    requirements = root / "requirements.lock"
    return {
        "format": FORMAT,
        "name": name,
        "folders": dict(sorted(folders.items())),
        "files": listed,
        "prepared": of_folder(Layout(root, name).prepared),
        "params": sha256(_canonical(problem.model_dump(mode="json"))),
        "code": _code(root, name),
        "dvc.lock": sha256(_canonical(_locked(root, name))),
        "requirements.lock": sha256(requirements) if requirements.is_file() else "",
        "retain": {
            "version": release.version(),
            "modules": release.content_sha256(),  # empty in a checkout, whose code is above
            "wheel": release.origin()[1],
        },
    }


def content_sha256(folders: Mapping[str, Mapping[str, str]], prepared: Mapping[str, str]) -> str:
    """Return one sha256 of what a model is, wherever it is registered: its files, and its data.

    Args:
        folders: the sha256 of each file of the folders `model` and `final`, by relative path.
        prepared: the same of `data/prepared/NAME`.
    """
    return sha256(_canonical({"folders": folders, "prepared": prepared}))


def content_of_tree(root: Path, name: str, cell: str) -> str:
    """Return the `content_sha256` of the model in a working tree, of which `cell` is judged."""
    layout = Layout(root, name)
    folders = {"model": of_folder(layout.model(cell))}
    if layout.refitted is not None:
        folders["final"] = of_folder(layout.refitted)
    return content_sha256(folders, of_folder(layout.prepared))


def content_of_version(content: Mapping[str, Any]) -> str:
    """Return the `content_sha256` of a registered version, by its manifest."""
    folders = {
        key: {
            path.removeprefix(f"{folder}/"): digest
            for path, digest in content["files"].items()
            if path.startswith(f"{folder}/")
        }
        for key, folder in content["folders"].items()
    }
    return content_sha256(folders, content["prepared"])


def encode(content: Mapping[str, Any]) -> bytes:
    """Return the bytes of a manifest."""
    return files.to_json(content).encode()


def read(content: bytes, recorded: str, label: str) -> dict[str, Any]:
    """Return a manifest, if its sha256 is the recorded one.

    Args:
        recorded: the version's tag.
        label: what a message calls the version.

    Raises:
        RegistryError: it is another one, or of a later format, or no manifest at all.
    """
    if (found := sha256(content)) != recorded:
        raise RegistryError(
            f"{NAME} of {label} is not the one that was registered: its sha256 is {found}, and the "
            f"version's tag {TAG} says {recorded}; nothing of it is used"
        )
    damaged = (
        f"{NAME} of {label} is no manifest, although its sha256 is the one of the version's tag "
        f"{TAG}: someone wrote both, and nothing of it is used"
    )
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        raise RegistryError(damaged) from None
    match read:
        case {"format": int(number)} if number > FORMAT:
            raise RegistryError(
                f"{NAME} of {label} has format {number}; this version of retain reads {FORMAT}: "
                f"install the one that registered it"
            )
        case {"format": int(), "name": str(), "folders": {"model": str()}} if _is_whole(read):
            return dict(read)
    raise RegistryError(damaged)


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Whether a manifest has every key, with texts alone in it."""
    inner = [content.get(key) for key in ("folders", "files", "prepared", "code", "retain")]
    texts = [content.get(key) for key in ("params", "dvc.lock", "requirements.lock")]
    for each in inner:
        if not isinstance(each, dict):
            return False
        texts += each.values()
    return {"version", "modules", "wheel"} <= {*content["retain"]} and all(
        isinstance(text, str) for text in texts
    )


def check(content: Mapping[str, Any], place: Path, below: str, label: str) -> None:
    """Compare the files in a copy of a version with its manifest.

    Args:
        place: the copy.
        below: the folder or file of it that is compared; empty for all files.

    Raises:
        RegistryError: a file was changed, added or removed.
    """

    def select(listed: Mapping[str, str]) -> dict[str, str]:
        start = f"{below}/" if below else ""
        return {
            path: digest
            for path, digest in listed.items()
            if path not in UNLISTED and f"{path}/".startswith(start)
        }

    recorded, found = select(content["files"]), select(of_folder(place))
    for path in sorted(recorded.keys() | found.keys()):
        if found.get(path) != recorded.get(path):
            what = "is missing" if path not in found else "was changed"
            what = what if path in recorded else "was added"
            raise RegistryError(
                f"{path} of {label} {what} since it was registered: its sha256 is not the one in "
                f"{NAME}; nothing of it is used. Take it from a copy of the store, or move the "
                f"store away and build it anew from DVC's cache with `retain rehydrate`"
            )


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode()


def _locked(root: Path, name: str) -> dict[str, Any]:
    """Return the entries of dvc.lock of all stages of a problem, but for `register`."""
    lock = dvc.read_lock(root)
    stages = [stage for stage in dvc.stages_of(lock, name) if stage != f"register@{name}"]
    return {stage: dvc.locked(lock, stage) for stage in stages}


def _code(root: Path, name: str) -> dict[str, str]:
    """Return the sha256 of the lists of the stages' code, and of each file that they name.

    Empty for a version that `retain rehydrate` registers, since no list is in git.
    """
    places = [root / "src", root, release.PACKAGE.parent, *(root / f for f in plugins.folders())]
    found: dict[str, str] = {}
    labels: set[str] = set()
    for path in Layout(root, name).code.glob("*.txt"):
        found[path.relative_to(root).as_posix()] = sha256(path)
        labels.update(CODE.findall(path.read_text(encoding="utf-8")))
    for label in labels:
        file = next((place / label for place in places if (place / label).is_file()), None)
        if file is not None:
            found[label] = sha256(file)
    return dict(sorted(found.items()))
