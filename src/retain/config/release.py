"""The installed release of retain, and the release that a project was made with.

A project names its release twice: in the first line of each managed file, and in requirements.lock
with the wheel's hash. Its stages depend on that lock, as those of a checkout depend on src/retain.
So a stage that another release ran would be recorded with the wrong code. A checkout has no such
line.
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
SCHEMA = "params.schema.json"  # the managed file that users have no reason to change
STAMP = re.compile(rf"{MARK} (?P<version>\d[\w.+!]*) (?P<digest>[0-9a-f]{{16}})\b")
PACKAGE = Path(retain.__file__).parent


def version() -> str:
    """Return the version of the installed retain."""
    return retain.__version__


def distribution() -> Distribution | None:
    """Return the metadata of the wheel that this package was installed from.

    None in a checkout, also if it is installed in editable mode.
    """
    for found in distributions(name="retain", path=[str(PACKAGE.parent)]):
        if "retain/__init__.py," in (found.read_text("RECORD") or ""):
            return found
    return None


def content_sha256() -> str:
    """Return the sha256 of the wheel's modules, as its RECORD lists them; empty in a checkout.

    Files that an installer adds (bytecode, scripts) are left out, so the wheel gives the same
    sha256.
    """
    found = distribution()
    lines = (found.read_text("RECORD") or "").splitlines() if found else []
    kept = sorted(line for line in lines if line.startswith("retain/") and ".pyc," not in line)
    return hashlib.sha256("\n".join(kept).encode()).hexdigest() if kept else ""


def origin() -> tuple[str, str]:
    """Return the URL of the wheel's file and its sha256; empty if it came from an index."""
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
    """Raise ParamsError, with the command that helps, if a project is of another release."""
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
