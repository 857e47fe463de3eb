"""DVC's cache, which names a file by its md5, and a folder by the md5 of its listing."""

import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from retain.errors import DvcError, ModelError
from retain.project import dvc, files, fingerprint
from retain.project.fingerprint import file_md5, short


class Cache:
    """The cache of a project; a file is copied from it only if its md5 is right."""

    def __init__(self, root: Path):
        self.root, self.folder = root, dvc.cache_folder(root)
        self._refusal = ""

    def has(self, md5: str) -> bool:
        """Whether a file, or a folder with all its files, is in the cache."""
        return all(self._path(part).is_file() for part in (md5, *self._listing(md5).values()))

    def fetch(self, md5s: Collection[str]) -> None:
        """Download missing files from the default remote, if it answers.

        By md5, from the current remote: `dvc fetch` would use the remote of each commit.
        """
        try:
            self._pull(md5s)
            self._pull(part for md5 in md5s for part in self._listing(md5).values())
        except (DvcError, OSError) as error:  # no remote, or it does not answer
            self._refusal = f" ({error})"

    def copy(self, md5: str, target: Path, label: str) -> None:
        """Copy a file or folder, which a message calls `label`, to `target`.

        Raises:
            ModelError: it is not in the cache, or its md5 is wrong.
        """
        if not self.has(md5):
            where = f"neither in DVC's cache nor its remote{self._refusal}"
            raise ModelError(f"{label}, md5 {short(md5)}, is {where}")
        path = self._path(md5)
        found = file_md5(path)
        if found != md5.removesuffix(".dir"):
            raise ModelError(
                f"DVC's cache has other files than were recorded of {label}: the md5 of {path} is "
                f"{found}; nothing of it is read. Remove that file, and `dvc fetch` brings it again"
            )
        if md5.endswith(".dir"):
            for name, part in self._listing(md5).items():
                self.copy(part, files.inside(target, name), label)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def add(self, folder: Path) -> str:
        """Copy a folder into the cache, as `dvc add` does, and return its md5."""
        entries = fingerprint.listing(folder)
        text = json.dumps(entries, sort_keys=True)
        md5 = fingerprint.text_md5(text) + ".dir"
        for entry in entries:
            self._write(entry["md5"], (folder / entry["relpath"]).read_bytes())
        self._write(md5, text.encode())
        return md5

    def _write(self, md5: str, content: bytes) -> None:
        path = self._path(md5)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content)

    def _pull(self, md5s: Iterable[str]) -> None:
        dvc.pull(self.root, [md5 for md5 in md5s if not self._path(md5).is_file()])

    def _path(self, md5: str) -> Path:
        return self.folder / md5[:2] / md5[2:]

    def _listing(self, md5: str) -> dict[str, str]:
        """Return the md5 of each file of a folder; empty for a file or a damaged listing."""
        path = self._path(md5)
        if not (md5.endswith(".dir") and path.is_file()):
            return {}
        entries = json.loads(path.read_bytes()) if f"{file_md5(path)}.dir" == md5 else []
        return {entry["relpath"]: entry["md5"] for entry in entries}
