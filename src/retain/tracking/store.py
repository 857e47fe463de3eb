"""The tracking store: SQLite in the project's folder unless MLFLOW_TRACKING_URI names another."""

import errno
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
from typing import TYPE_CHECKING, Any

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
# A tag of an experiment by which MLflow's pages open with its runs, not with prompts and traces.
KIND, KIND_OF_RUNS = "mlflow.experimentKind", "custom_model_development"
ARTIFACTS = re.compile(r"(file://.*/mlruns/artifacts)/[^/]+")
FULL = (os.strerror(errno.ENOSPC), "database or disk is full")


class StoreError(RegistryError):
    """The tracking store does not answer, or refuses a call; `code` is MLflow's word for why."""

    def __init__(self, address: str, error: Exception):
        self.code: str = getattr(error, "error_code", "")
        self.reason = textwrap.shorten(shown(str(error)), 200)  # some repeat it three times
        super().__init__(f"the tracking store {shown(address)} does not answer: {self.reason}")


def shown(text: str) -> str:
    """Return a text without the user and the password of the addresses in it.

    >>> shown("cannot reach http://ann:secret@store:5000")
    'cannot reach http://store:5000'
    """
    return re.sub(r"://[^/\s]\S*@", "://", text)  # a password may have / and @


def folder(root: Path) -> Path:
    """Return the embedded store's folder; an experiment that DVC runs elsewhere shares it."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve() / "mlruns"


def uri(root: Path) -> str:
    """Return the address of the project's store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded(root)


def _embedded(root: Path) -> str:
    return f"sqlite:///{folder(root) / 'mlflow.db'}"


def is_empty(root: Path) -> bool:
    """Whether nothing was ever written to the project's store; does not make it."""
    return uri(root) == _embedded(root) and not (folder(root) / "mlflow.db").exists()


def connect(root: Path) -> "MlflowClient":
    """Return a client of the project's store, which is made where it does not exist yet.

    Each of the client's calls is guarded: it raises StoreError where the store does not answer.
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
    with locked(root), _as_store_error(root):  # two that create the tables at once crash
        place = folder(root) / "mlflow.db"
        embedded = (Path.cwd() / address.removeprefix("sqlite:///")).resolve() == place
        if embedded:
            _create(place)
        with _signals_deferred(root):
            client = mlflow.MlflowClient()
            client.search_experiments(max_results=1)
            if embedded:
                _relocate_artifacts(place)
    return _GuardedClient(root, client)


def _relocate_artifacts(place: Path) -> None:
    """Make the embedded store look for its files beside itself.

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


def _create(place: Path) -> None:
    """Create the embedded store where it is missing, whole: one that is cut short never opens."""
    if place.exists():
        return
    import mlflow

    scratch = place.parent / "unfinished"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{scratch / place.name}")
    (scratch / place.name).rename(place)
    shutil.rmtree(scratch, ignore_errors=True)


class _GuardedClient:
    """MLflow's client, with each call guarded."""

    def __init__(self, root: Path, client: "MlflowClient"):
        self._root, self._client = root, client

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                with guarded(self._root):
                    return attribute(*args, **kwargs)
            except StoreError as error:
                if error.code != "BAD_REQUEST":
                    raise
            with guarded(self._root):  # PostgreSQL refuses what another machine writes at once
                return attribute(*args, **kwargs)

        return call


@contextmanager
def guarded(root: Path) -> Iterator[None]:
    """Raise StoreError where calls to the store fail, and let signals wait until they are over."""
    with _as_store_error(root), _signals_deferred(root):
        yield


@contextmanager
def _as_store_error(root: Path) -> Iterator[None]:
    """Raise what MLflow and the clients below it raise as a StoreError; a full disk is none."""
    try:
        yield
    except PermissionError as error:  # as where mlruns/ may only be read
        raise StoreError(uri(root), error) from None
    except client_errors() as error:
        if not uri(root).startswith("http"):
            raise_full_disk(error)
        raise StoreError(uri(root), error) from None


def raise_full_disk(error: Exception) -> None:
    """Raise OSError if a full disk is what an error of MLflow is about."""
    cause: BaseException | None = error
    while cause is not None:
        if any(text in str(cause) for text in FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
        cause = cause.__cause__ or cause.__context__


def client_errors() -> tuple[type[Exception], ...]:
    """Return the errors of MLflow and of the clients that it uses."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError
    from urllib3.exceptions import HTTPError

    return MlflowException, SQLAlchemyError, sqlite3.Error, RequestException, HTTPError


@contextmanager
def _signals_deferred(root: Path) -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait until a call to a database is over.

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


def locked(root: Path, name: str = "store") -> FileLock:
    """Return a lock that all processes of this project share, so that nothing is made twice.

    Every command waits for `store`, so it is held for a few calls only; what may take minutes, such
    as an upload, has another name. Who holds both takes `store` last.
    """
    folder(root).mkdir(exist_ok=True)
    return FileLock(folder(root) / f"{name}.lock", is_singleton=True)  # may be nested


def experiment_ids(root: Path) -> dict[str, str]:
    """Return the ids of the experiments, by name; a problem's has its name."""
    found = {} if is_empty(root) else connect(root).search_experiments()
    return {experiment.name: str(experiment.experiment_id) for experiment in found}


def experiment_id(client: "MlflowClient", root: Path, name: str) -> str:
    """Return the id of a problem's experiment, which is made where it does not exist yet."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        embedded = client.tracking_uri.startswith("sqlite:")
        location = (folder(root) / "artifacts" / name).as_uri() if embedded else None
        tags = {KIND: KIND_OF_RUNS}
        with suppress(StoreError):  # another process was faster
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage == "deleted":
        raise RegistryError(
            f"the experiment {name} was deleted; take it back with "
            f"`mlflow experiments restore -x {experiment.experiment_id}`"
        )
    if KIND not in experiment.tags:  # of an earlier version
        client.set_experiment_tag(experiment.experiment_id, KIND, KIND_OF_RUNS)
    return str(experiment.experiment_id)
