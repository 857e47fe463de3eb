"""Write src/retain/tracking/empty_store_VERSION.sql: the tables of an empty store of MLflow.

python tools/empty_store.py

MLflow makes an embedded store by running all its migrations, one after the other, which takes most
of a second of processor time. The text written here makes the same tables at once. It is used with
the MLflow whose version its name has; with another one the migrations run.
"""

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "src" / "retain" / "tracking"


def empty_store() -> str:
    """Return the tables that MLflow's migrations make, as SQL."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "mlflow.db"
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{place}").search_experiments()
        with closing(sqlite3.connect(place)) as tables, tables:
            # MLflow makes the default experiment when it opens a store without one.
            tables.execute("DELETE FROM experiments")
        with closing(sqlite3.connect(place)) as tables:
            lines = "\n".join(tables.iterdump()).splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def main() -> None:
    """Write the file of the installed MLflow in place of that of another version."""
    from importlib.metadata import version

    text = empty_store()
    for old in FOLDER.glob("empty_store_*.sql"):
        old.unlink()
    path = FOLDER / f"empty_store_{version('mlflow')}.sql"
    path.write_text(text, encoding="utf-8")
    print(path.relative_to(FOLDER.parents[2]))


if __name__ == "__main__":
    sys.exit(main())
