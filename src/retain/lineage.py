"""Identity by content: the md5 that DVC gives a file or folder, and the state of the code.

A model is known by the md5 of its folder, the very number that dvc.lock holds, so that a run in the
tracking store, a version in the registry and a line of dvc.lock can be joined without ever writing
a run's id into anything that DVC tracks.
"""

import hashlib
import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

from retain.params import Problem


def file_md5(path: Path) -> str:
    """The md5 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(folder: Path) -> str:
    """The md5 that DVC gives a folder: that of the JSON list of its files and their md5."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = [
        {"md5": file_md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return text_md5(json.dumps(entries, sort_keys=True)) + ".dir"


def text_md5(text: str) -> str:
    """The md5 of a text in UTF-8."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def training_tags(root: Path, problem: Problem, cell: str, prepared: Path) -> dict[str, str]:
    """What a model is made of, as tags of its run: data, params and code."""
    recipe = {
        "cell": cell,
        "model": problem.model_dump(mode="json")["model"],
        "training": problem.training.model_dump(mode="json"),
    }
    data_md5, params_md5 = folder_md5(prepared), text_md5(json.dumps(recipe, sort_keys=True))
    return {
        "data.md5": data_md5,
        "params.md5": params_md5,
        "recipe.md5": text_md5(f"{data_md5} {params_md5} {_code_md5()}"),
        **code_state(root),
    }


def _code_md5() -> str:
    """The md5 of this package and of the libraries whose version changes what training does."""
    package = Path(__file__).parent
    files = sorted(package.rglob("*.py"))
    parts = [f"{path.relative_to(package).as_posix()} {file_md5(path)}" for path in files]
    parts += [f"{name} {version(name)}" for name in ("torch", "pytorch-lightning")]
    return text_md5("\n".join(parts))


def code_state(root: Path) -> dict[str, str]:
    """Commit, whether the tree differs from it, and DVC's stage and experiment, as run tags.

    dvc.lock is left out of the comparison: the pipeline itself is about to write it.
    """
    tags = {key: os.environ[key] for key in ("DVC_STAGE", "DVC_EXP_NAME") if os.environ.get(key)}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        changed = _git(
            root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock"
        )
        tags |= {"git.commit": commit, "git.dirty": str(bool(changed)).lower()}
    return tags


def _git(root: Path, *words: str) -> str:
    """What git answers, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
