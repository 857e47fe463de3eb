"""An empty embedded store from a file, which takes a hundredth of the time of MLflow's migrations.

tools/empty_store.py writes the tables of one version of MLflow down. No stage runs this module, so
that a new version of MLflow changes no stage: `retain run` makes the store before the first stage.
"""

import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from retain.tracking import store


def create(root: Path) -> bool:
    """Create the embedded store of a project; return whether this was done.

    It is not where the project has a store, where MLFLOW_TRACKING_URI names another one, and where
    nothing is written down for the installed MLflow: then MLflow makes the tables itself.
    """
    tables = Path(__file__).with_name(f"empty_store_{version('mlflow')}.sql")
    if not tables.is_file() or not store.is_empty(root):
        return False
    with store.locked(root):
        scratch = store.folder(root) / "unfinished"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        with closing(sqlite3.connect(scratch / "mlflow.db")) as made:
            made.executescript(tables.read_text(encoding="utf-8"))
        if store.is_empty(root):  # no other process was faster
            (scratch / "mlflow.db").rename(store.folder(root) / "mlflow.db")
        shutil.rmtree(scratch, ignore_errors=True)
    return True
