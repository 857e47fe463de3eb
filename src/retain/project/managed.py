"""The managed files: files of retain's repository that are written into each project.

A file of the repository with a mark in its first line is written into each project, with the
release and a digest in that line; so `retain upgrade` knows which files the user changed. The text
after the line YOURS is the user's. The build packs the same files into the wheel. It runs this
module, which therefore imports no package that must be installed.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from retain.config.release import MARK, PACKAGE, SCHEMA, STAMP, version
from retain.errors import ParamsError

YOURS = "# Below this line is yours"
FIRST_LINE = f"# yaml-language-server: $schema={SCHEMA}\n"  # of params.yaml, for editors
RULE = "`retain upgrade` rewrites this file, unless it was changed"
# Folders of the repository with marked files, and their folder in a wheel.
FOLDERS = ("", "pipelines", ".github/workflows")
PACKED = "template"
# Written once, and then the person's.
INITIAL = (".dvc/config", ".dvc/.gitignore", ".dvc/plots/by_model.json")
# For `--example` alone.
SAMPLE = (
    "params.yaml",
    "data/raw/metro_interstate_traffic_volume.csv.gz",
    "data/raw/metro_interstate_traffic_volume.md",
    "data/raw/novels.md",
    "data/raw/novels/1_conversations.txt.gz",
    "data/raw/novels/2_austen.txt.gz",
    "data/raw/tatoeba_deu_eng.md",
    "data/raw/tatoeba_deu_eng.tsv.gz",
)


def source() -> Path:
    """Return the folder with the files: in the wheel, or the checkout."""
    packed = PACKAGE / PACKED
    return packed if packed.is_dir() else PACKAGE.parents[1]


def pack(checkout: Path, package: Path) -> None:
    """Copy the files of a project into the package that is being built."""
    for name in (*marked(checkout), *INITIAL, *SAMPLE):
        target = package / PACKED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout / name, target)


def texts(lock_line: str = "", folders: Sequence[str] = ()) -> dict[str, str]:
    """Return the managed files of this release, by their path in a project.

    Args:
        lock_line: the entry of retain in requirements.lock: its version and hash.
        folders: of the project's own kinds.
    """
    contents = {}
    for name in marked(source()):
        text = (source() / name).read_text(encoding="utf-8")
        text = split(text)[0]
        if name == "dvc.yaml":  # the code of a project is the version in its lock
            text = watching(text.replace("- src/retain\n", "- requirements.lock\n"), folders)
        if name == "requirements.lock":
            first, _, rest = text.partition("\n")
            text = f"{first}\n{lock_line}{rest}"
        contents[name] = stamped(text)
    contents[SCHEMA] = stamped(schema_text())
    return contents


def watching(text: str, folders: Sequence[str]) -> str:
    """Return dvc.yaml with some folders among the dependencies of the stage `code`."""
    head, first, rest = text.partition(_dependency("pipelines"))
    missing = [line for line in map(_dependency, folders) if first and line not in text]
    return head + first + "".join(missing) + rest


def watch(root: Path, folders: Sequence[str]) -> str:
    """Write into dvc.yaml that the stage `code` depends on the folders of the project's own kinds.

    Returns:
        A sentence about what was done; empty if nothing was missing.

    Raises:
        ParamsError: dvc.yaml does not have that stage as retain writes it.
    """
    from retain.project.files import read_to_edit, write_edited

    path = root / "dvc.yaml"
    before = read_to_edit(path)
    after = watching(before, folders)
    if after != before:
        managed, yours = split(after)
        write_edited(path, stamped(managed) + yours if is_untouched(before) else after)
    check_watched(root, folders)
    added = ", ".join(folder for folder in folders if _dependency(folder) not in before)
    return f"dvc.yaml: the stage `code` depends on {added} now; commit it" if added else ""


def check_watched(root: Path, folders: Sequence[str]) -> None:
    """Raise ParamsError unless the stage `code` in dvc.yaml depends on these folders."""
    text = (root / "dvc.yaml").read_text(encoding="utf-8")
    for folder in folders:
        if _dependency(folder) not in text:
            raise ParamsError(
                f"dvc.yaml: the stage `code` does not depend on {folder}, so that DVC would not "
                f"notice a change there: `retain run` adds the line `{_dependency(folder).strip()}`"
                f" below `- pipelines`; if it cannot, add it yourself"
            )


def _dependency(folder: str) -> str:
    return f"        - {folder}\n"


def schema_text() -> str:
    """Return the JSON Schema of params.yaml, with the mark in its first line."""
    from retain.config.json_schema import params_schema

    text = json.dumps(params_schema(), indent=1, ensure_ascii=False)
    return f'{{"$comment": "{MARK}",\n{text.removeprefix("{").lstrip()}\n'


def initial() -> dict[str, bytes]:
    """Return the files that are written once, by path."""
    return {name: (source() / name).read_bytes() for name in INITIAL}


def sample() -> dict[str, bytes]:
    """Return the files of the example, by path."""
    contents = {name: (source() / name).read_bytes() for name in SAMPLE}
    contents["params.yaml"] = FIRST_LINE.encode() + contents["params.yaml"]
    return contents


def stamped(text: str) -> str:
    """Return a managed file with the release and its digest in the first line."""
    line, _, rest = text.partition("\n")
    before, found, _ = line.partition(MARK)
    assert found, line
    end = '",' if before.startswith("{") else ""
    return f"{before}{MARK} {version()} {digest(text)}: {RULE}{end}\n{rest}"


def is_untouched(text: str) -> bool:
    """Whether a file is unchanged, apart from the text below the line YOURS."""
    stamp = STAMP.search(text.partition("\n")[0])
    return stamp is not None and stamp["digest"] == digest(text)


def split(text: str) -> tuple[str, str]:
    """Split a managed file into retain's part, and the user's part below the line YOURS."""
    line = re.search(rf"^{YOURS}.*\n?", text, re.MULTILINE)
    return (text[: line.end()], text[line.end() :]) if line else (text, "")


def digest(text: str) -> str:
    """Return the digest of retain's part below the first line."""
    rest = split(text.partition("\n")[2])[0]
    return hashlib.sha256(rest.rstrip().encode()).hexdigest()[:16]


def marked(folder: Path) -> list[str]:
    """Return the paths of the repository's files with the mark in their first line."""
    return [name for below in FOLDERS for name in sorted(_with_mark(folder, below))]


def _with_mark(folder: Path, below: str) -> Iterator[str]:
    if not (folder / below).is_dir():
        return
    for path in (folder / below).iterdir():
        # What an earlier upgrade has put beside a changed file is the user's to look at.
        if path.is_file() and path.name != SCHEMA and path.suffix != ".new":
            with path.open("rb") as file:
                if MARK.encode() in file.readline():
                    yield str(path.relative_to(folder))
