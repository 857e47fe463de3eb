"""`retain init`: a new project in a folder, with its first commit."""

import contextlib
import hashlib
import re
import shlex
import shutil
from pathlib import Path
from urllib.parse import unquote, urlparse

from retain.config import release
from retain.errors import GitError, NoRepositoryError, ParamsError
from retain.project import files, managed
from retain.project.git import Git
from retain.words import several

# Of retain itself in requirements.lock.
LINE = re.compile(
    r"^retain==(?P<version>\S+) \\\n    --hash=sha256:(?P<sha256>\w+)\n", re.MULTILINE
)
README = """\
# {name}

Made with retain: `params.yaml` says what is learned of which table, `make` what there is to do.

```sh
make setup                                  # .venv, with the versions of requirements.lock
. .venv/bin/activate
retain add sales sales.csv --horizon 28     # a problem of your own table
retain run sales                            # train, score, judge and register; then the results
retain forecast sales -o forecast.csv
```
"""


def make(folder: Path, example: bool, wheel: Path | None) -> tuple[str, list[str]]:
    """Write a project.

    Args:
        folder: new, or empty.
        example: with the sample problems and their tables.
        wheel: the file that retain was installed from; by default the one that the installer
            recorded.

    Returns:
        What was made, in a sentence; and warnings, such as that nothing is committed.

    Raises:
        ParamsError: the folder has files, which are never overwritten, or the wheel is missing.
    """
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if folder.exists() and (there != [".git"] if there else not folder.is_dir()):
        reason = f"has files ({several(there)})" if there else "is a file"
        raise ParamsError(f"{folder} {reason}: nothing is overwritten; name a new folder")
    line, kept = lock_line(wheel)
    content = managed.initial() | {name: t.encode() for name, t in managed.texts(line).items()}
    content["README.md"] = README.format(name=folder.resolve().name).encode()
    content["params.yaml"] = f"{managed.FIRST_LINE}problems: {{}}\n".encode()
    content |= managed.sample() if example else {}
    if example:  # the sample's model is declared below the line after which users add theirs
        declared = (managed.source() / "dvc.yaml").read_text(encoding="utf-8")
        content["dvc.yaml"] += managed.split(declared)[1].encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(folder / name, text)
    if kept is not None:
        (folder / "wheels").mkdir()
        shutil.copy(kept, folder / "wheels")
    made = f"made {folder} with retain {release.version()}: {', '.join(sorted(_top(content)))}"
    return made, _commit(folder)


def lock_line(wheel: Path | None = None) -> tuple[str, Path | None]:
    """Return the entry of retain in requirements.lock, and the wheel's file if it is local.

    Raises:
        ParamsError: the wheel's hash is not known, or the wheel is of another version.
    """
    if wheel is None:
        address, sha256 = release.origin()
        url = urlparse(address)
        path = Path(unquote(url.path)) if url.scheme == "file" else None
        if path is not None and path.is_file() and _sha256(path) == sha256:
            return _line(sha256), path
        if sha256:
            return _line(sha256), None
        if release.distribution() is None:
            return "# retain itself runs from a checkout, which no lock can name\n", None
        raise ParamsError(
            "the installer did not note the hash of retain's wheel, as it does for a file: "
            f"download it (`pip download --no-deps retain=={release.version()}`) and name it "
            f"with --wheel"
        )
    if not wheel.is_file() or not wheel.name.startswith(f"retain-{release.version()}-"):
        raise ParamsError(f"--wheel {wheel} is no wheel of retain {release.version()}")
    return _line(_sha256(wheel)), wheel


def _line(sha256: str) -> str:
    return f"retain=={release.version()} \\\n    --hash=sha256:{sha256}\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _top(names: "dict[str, bytes]") -> set[str]:
    return {name.partition("/")[0] for name in names if not name.startswith(".")}


def _commit(folder: Path) -> list[str]:
    """Create a repository with the project as its first commit; return warnings."""
    git = Git(folder)
    with contextlib.suppress(NoRepositoryError):
        top = Path(git.run("rev-parse", "--show-toplevel"))
        if top.resolve() != folder.resolve():
            return [
                f"it is inside the repository {top}: commit it there; workflows run only at "
                "the top of a repository"
            ]
    try:
        git.run("init", "-q", "-b", "main")
        git.run("add", "-A")
        git.run("commit", "-q", "-m", f"A project of retain {release.version()}")
    except NoRepositoryError as error:
        return [f"{error}: without git no model can be made anew; install it, then `git init`"]
    except GitError as error:
        if git.config("user.name") and git.config("user.email"):
            return [f"nothing is committed yet: {error}"]
        return [
            "git does not know who you are, so nothing is committed yet: "
            "git config --global user.name '…' && git config --global user.email '…', "
            f"then git -C {shlex.quote(str(folder))} commit -m 'A project of retain'"
        ]
    return []
