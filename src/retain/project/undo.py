"""Restore files if a change fails halfway."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retain.project.files import write_bytes


@contextmanager
def on_failure(*paths: Path) -> Iterator[None]:
    """Restore files to their current content if the block fails; remove new ones.

    Folders created for them are removed, too. A path that is a folder must not exist yet.
    """
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    made = {folder for path in paths for folder in path.parents if not folder.exists()}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is not None:
                write_bytes(path, content)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for folder in sorted(made, reverse=True):  # the inner ones first
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise
