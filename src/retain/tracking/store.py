"""The tracking store: SQLite in the project's folder unless MLFLOW_TRACKING_URI names another."""

import logging
import os
import re
import shutil
import signal
import sqlite3
import textwrap
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from retain.errors import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Where MLflow's tables hold the address of a file, and what such an address of ours begins with.
ADDRESSES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
ARTIFACTS = re.compile(r"(file://.*/mlruns/artifacts)/[^/]+")


def folder(root: Path) -> Path:
    """Where the embedded store lies; an experiment that DVC runs elsewhere uses its parent's."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve() / "mlruns"


def uri(root: Path) -> str:
    """The address of the project's store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded(root)


def _embedded(root: Path) -> str:
    return f"sqlite:///{folder(root) / 'mlflow.db'}"


def is_empty(root: Path) -> bool:
    """Whether nothing was ever written to the project's store; does not make it."""
    return uri(root) == _embedded(root) and not (folder(root) / "mlflow.db").exists()


def connect(root: Path) -> "MlflowClient":
    """A client of the project's store, which is made where it does not exist yet.

    Raises:
        RegistryError: the store does not answer.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # Who waits for a server that is away, and how long, is decided here and not in MLflow.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")  # see SECURITY.md
    import mlflow

    for noisy in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it raises it, too
    address = uri(root)
    given = {key: os.environ.get(key) for key in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    for key, value in given.items():  # MLflow sets them, as if the user had: see `uri`
        if value is None:
            os.environ.pop(key, None)
    with answering(root), locked(root):  # two processes that create the tables at once crash
        place = folder(root) / "mlflow.db"
        embedded = (Path.cwd() / address.removeprefix("sqlite:///")).resolve() == place
        if embedded:
            _make_whole(place)
        with undivided(root):
            client = mlflow.MlflowClient()
            client.search_experiments(max_results=1)
            if embedded:
                _find_files(place)
    return client


def _find_files(place: Path) -> None:
    """Have the embedded store look for its files beside itself.

    MLflow writes absolute addresses down, and a project's folder may be moved or copied.
    """
    here = (place.parent / "artifacts").as_uri()
    with closing(sqlite3.connect(place, timeout=20)) as tables, tables:
        known = tables.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        places = {match[1] for (text,) in known if (match := ARTIFACTS.fullmatch(text or ""))}
        for before in places - {here}:
            for table, column in ADDRESSES.items():
                tables.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE substr({column}, 1, ?) = ?",
                    (here, len(before) + 1, len(before) + 1, f"{before}/"),
                )


def _make_whole(place: Path) -> None:
    """Make the embedded store where it is missing; one whose making was cut short never opens."""
    if place.exists():
        return
    import mlflow

    scratch = place.parent / "unfinished"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{scratch / place.name}")
    (scratch / place.name).rename(place)
    shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def answering(root: Path) -> Iterator[None]:
    """Make whatever a store or its client raises, where it does not answer, a RegistryError."""
    try:
        yield
    except Exception as error:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        if not isinstance(error, MlflowException | SQLAlchemyError | sqlite3.Error | OSError):
            raise
        reason = textwrap.shorten(str(error), 200)  # a lost connection is told three times over
        raise RegistryError(f"the tracking store {uri(root)} does not answer: {reason}") from None


@contextmanager
def undivided(root: Path) -> Iterator[None]:
    """Have SIGTERM and Ctrl-C wait until a call to a database is over.

    MLflow rolls back after an Exception only: a transaction that a signal left open would keep the
    end of the run waiting for its lock. A server's calls hold no lock here, and may take long.
    """
    if uri(root).startswith("http") or threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    stops = (signal.SIGINT, signal.SIGTERM)
    kept = {stop: signal.signal(stop, lambda number, _: arrived.append(number)) for stop in stops}
    try:
        yield
    finally:
        for stop, handler in kept.items():
            signal.signal(stop, handler)
        for number in arrived:
            os.kill(os.getpid(), number)


def locked(root: Path) -> FileLock:
    """A lock that all processes of this project share, for what the store must not do twice."""
    folder(root).mkdir(exist_ok=True)
    return FileLock(folder(root) / "store.lock", is_singleton=True)  # may be nested


def experiment_id(client: "MlflowClient", root: Path, name: str) -> str:
    """The id of a problem's experiment, made where it does not exist yet."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        embedded = client.tracking_uri.startswith("sqlite:")
        location = (folder(root) / "artifacts" / name).as_uri() if embedded else None
        with suppress(MlflowException):  # another process was faster
            return str(client.create_experiment(name, artifact_location=location))
        found = client.get_experiment_by_name(name)
    if found.lifecycle_stage == "deleted":
        raise RegistryError(
            f"the experiment {name} was deleted; take it back with "
            f"`mlflow experiments restore -x {found.experiment_id}`"
        )
    return str(found.experiment_id)
