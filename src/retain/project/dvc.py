"""What DVC keeps of a project: entries of dvc.lock, and files in its cache by their md5."""

import json
import re
import shutil
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retain.errors import ModelError
from retain.project import fingerprint


def lock_entry(lock: str, stage: str) -> dict[str, Any]:
    """Return the entry of a stage in the text of a dvc.lock, empty where there is none.

    Its block is cut out of the text, since to parse a whole dvc.lock takes a third of a second, and
    a history has many.
    """
    block = re.search(rf"^  {re.escape(stage)}:\n((?:    .*\n?)*)", lock, re.MULTILINE)
    try:
        return YAML(typ="safe").load(textwrap.dedent(block[1])) or {} if block else {}
    except YAMLError:
        return {}  # as where a merge was committed half done


class Cache:
    """The cache of a project; nothing is copied out of it that is not what its md5 says."""

    def __init__(self, root: Path):
        from dvc.repo import Repo

        self.root, self.reason = root, ""
        with Repo(str(root)) as repo:
            self.folder = Path(repo.cache.local.path)

    def has(self, md5: str) -> bool:
        """Whether a file, or a folder with all its files, is here."""
        return all(self._path(part).is_file() for part in (md5, *self._listing(md5).values()))

    def fetch(self, md5s: Iterable[str]) -> None:
        """Bring what is not here from the default remote, if that answers.

        By md5, from the remote of today: `dvc fetch` asks of each commit for the remote it names.
        """
        from dvc.exceptions import DvcException
        from dvc.output import HashInfo
        from dvc.repo import Repo

        missing = [HashInfo("md5", md5) for md5 in md5s if not self.has(md5)]
        try:
            if missing:
                with Repo(str(self.root)) as repo:
                    repo.cloud.pull(missing)
        except (DvcException, OSError) as error:  # no remote, or it does not answer
            self.reason = f": {' '.join(str(error).split())}"

    def copy(self, md5: str, target: Path, label: str) -> None:
        """Copy a file or folder, which a message calls `label`, to `target`.

        Raises:
            ModelError: it is not here, or is not what its md5 says.
        """
        if not self.has(md5):
            short = fingerprint.short(md5)
            raise ModelError(
                f"{label}, md5 {short}, is neither in DVC's cache nor its remote{self.reason}"
            )
        path = self._path(md5)
        found = fingerprint.file_md5(path)
        if found != md5.removesuffix(".dir"):
            raise ModelError(
                f"DVC's cache has other files than were recorded of {label}: the md5 of {path} is "
                f"{found}; nothing of it is read. Remove that file, and `dvc fetch` brings it again"
            )
        if md5.endswith(".dir"):
            for name, part in self._listing(md5).items():
                self.copy(part, target / name, label)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def _path(self, md5: str) -> Path:
        return self.folder / md5[:2] / md5[2:]

    def _listing(self, md5: str) -> dict[str, str]:
        """Return the md5 of each file of a folder; of a file, and of a damaged listing, nothing."""
        path = self._path(md5)
        if not (md5.endswith(".dir") and path.is_file()):
            return {}
        if fingerprint.file_md5(path) + ".dir" != md5:
            return {}
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}
