"""Which retain runs here, and which one a project was made with.

A project names its retain twice: in the first line of each managed file, and in requirements.lock
with the wheel's hash. Its stages depend on that lock as those of a checkout do on src/retain, so a
stage that another retain ran would be recorded as what it is not. A checkout has no such line.
"""

import hashlib
import json
import re
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import retain
from retain.errors import ParamsError

MARK = "Managed by retain"
SCHEMA = "params.schema.json"  # of the managed files the one that nobody has a reason to change
STAMP = re.compile(rf"{MARK} (?P<version>\d[\w.+!]*) (?P<digest>[0-9a-f]{{16}})\b")
PACKAGE = Path(retain.__file__).parent


def version() -> str:
    """Return the version of the retain that runs."""
    return retain.__version__


def distribution() -> Distribution | None:
    """Return what is recorded of the wheel that this package was installed from; None if of none.

    A checkout has none, though it may be installed for editing.
    """
    for found in distributions(name="retain", path=[str(PACKAGE.parent)]):
        if "retain/__init__.py," in (found.read_text("RECORD") or ""):
            return found
    return None


def content_sha256() -> str:
    """Return the sha256 of the wheel's modules, as its RECORD lists them; empty in a checkout.

    The list in the wheel is the same; what an installer adds (bytecode, scripts) is not counted.
    """
    found = distribution()
    lines = (found.read_text("RECORD") or "").splitlines() if found else []
    kept = sorted(line for line in lines if line.startswith("retain/") and ".pyc," not in line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest() if kept else ""


def origin() -> tuple[str, str]:
    """Return the address of the wheel's file and its sha256; empty where an index gave it."""
    found = distribution()
    recorded: dict[str, Any] = json.loads((found and found.read_text("direct_url.json")) or "{}")
    archive = recorded.get("archive_info", {})
    sha256 = archive.get("hashes", {}).get("sha256", "")
    return (recorded["url"], sha256) if sha256 else ("", "")


def of_project(root: Path) -> str:
    """Return the version that a project's files were made with; empty in a checkout."""
    try:
        with (root / SCHEMA).open(encoding="utf-8") as file:
            stamp = STAMP.search(file.readline())
    except (OSError, UnicodeDecodeError):
        return ""
    return stamp["version"] if stamp else ""


def newer(one: str, other: str) -> bool:
    """Whether version `one` comes after `other`."""
    from packaging.version import Version

    return Version(one) > Version(other)


def check(root: Path) -> None:
    """Raise ParamsError, with the command that helps, where a project is of another retain."""
    project, here = of_project(root), version()
    if project in ("", here):
        return
    if newer(project, here):
        raise ParamsError(
            f"this project is of retain {project}, and {here} is installed: install what its "
            f"requirements.lock names with `make setup`"
        )
    raise ParamsError(
        f"this project is of retain {project}, and {here} is installed: `retain upgrade` brings "
        f"the project to {here}, `make setup` installs {project} again"
    )
