"""The store that is written down is the one that MLflow's migrations make, and only a first one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from retain.tracking import empty_store, store


def tables(root: Path) -> list[list[list[str]]]:
    """The tables of a store, and what is in those that MLflow fills for itself.

    The order of a table's constraints is another one in every process.
    """
    with closing(sqlite3.connect(store.folder(root) / "mlflow.db")) as made:
        rows = made.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        rows += made.execute("SELECT * FROM alembic_version").fetchall()
        rows += made.execute("SELECT * FROM workspaces").fetchall()
    texts = [[" ".join(str(value).split()).removesuffix(" )") for value in row] for row in rows]
    return [[sorted(text.split(", ")) for text in row] for row in texts]


def project(folder: Path) -> Path:
    (folder / "mlruns").mkdir(parents=True)
    return folder


@pytest.mark.long
def test_the_tables_that_are_written_down_are_those_that_mlflow_makes(tmp_path: Path) -> None:
    """Else: python tools/empty_store.py."""
    written, migrated = project(tmp_path / "written"), project(tmp_path / "migrated")
    assert empty_store.create(written)
    store._create(store.folder(migrated) / "mlflow.db")
    assert tables(written) == tables(migrated)
    assert [each.name for each in store.connect(written).search_experiments()] == ["Default"]
    assert sorted(path.name for path in store.folder(written).iterdir()) == [
        "mlflow.db",
        "store.lock",
    ]


def test_a_store_that_is_there_or_elsewhere_is_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        assert not empty_store.create(root)
    with monkeypatch.context() as other:
        other.setattr(empty_store, "version", lambda _: "0.1")
        assert not empty_store.create(root)
    assert [*store.folder(root).iterdir()] == []
    (store.folder(root) / "mlflow.db").write_text("of the user")
    assert not empty_store.create(root)
    assert (store.folder(root) / "mlflow.db").read_text() == "of the user"
