"""MLflow as a journal beside the pipeline: one run for each trained model, found by content.

The store is SQLite in the project's folder unless MLFLOW_TRACKING_URI names another. A run is never
referred to by its id in anything that DVC tracks: it carries the md5 of the model it made, and is
written anew from the model's folder where a store does not have it.
"""

import csv
import json
import logging
import os
import re
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock

from retain import lineage
from retain.errors import RegistryError
from retain.params import Problem

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_CALL = 1000  # what a tracking server takes in one call
FIRST_STAMP = 1_000_000_000_000  # ms; metrics written after the fact are stamped by their step,
# so that writing them a second time changes nothing


@dataclass(frozen=True)
class Run:
    """An open run of the tracking store."""

    client: "MlflowClient"
    run_id: str

    @property
    def uri(self) -> str:
        """The address of the store."""
        return str(self.client.tracking_uri)

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags."""
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, value)


def store_folder(root: Path) -> Path:
    """Where the embedded store lies; an experiment that DVC runs elsewhere uses its parent's."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve() / "mlruns"


def connect(root: Path) -> "MlflowClient":
    """A client of the project's store, which is made where it does not exist yet.

    Raises:
        RegistryError: the store does not answer.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # not minutes of silence
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    import mlflow
    from mlflow.exceptions import MlflowException

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    folder = store_folder(root)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = mlflow.MlflowClient()
    try:
        with locked(root):  # two processes that create the tables at once crash
            client.search_experiments(max_results=1)
    except (MlflowException, sqlite3.Error, OSError) as error:
        raise RegistryError(f"the tracking store {uri} does not answer: {error}") from None
    return client


def locked(root: Path) -> FileLock:
    """A lock that all processes of this project share, for what the store must not do twice."""
    folder = store_folder(root)
    folder.mkdir(exist_ok=True)
    return FileLock(folder / "store.lock")


def experiment_id(client: "MlflowClient", root: Path, name: str) -> str:
    """The id of a problem's experiment, made where it does not exist yet."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        embedded = client.tracking_uri.startswith("sqlite:")
        location = (store_folder(root) / "artifacts" / name).as_uri() if embedded else None
        with suppress(MlflowException):  # another process was faster
            return str(client.create_experiment(name, artifact_location=location))
        found = client.get_experiment_by_name(name)
    return str(found.experiment_id)


@contextmanager
def training_run(
    root: Path, name: str, problem: Problem, cell: str, tags: dict[str, str], resumes: bool = False
) -> Iterator[Run]:
    """A run that says, at the end, how it ended: FINISHED, FAILED or KILLED.

    A run whose process died without a word is set to KILLED first.

    Args:
        tags: as `lineage.training_tags` gives them.
        resumes: go on in the run of the training that did not end, if it had the same recipe.
    """
    client = connect(root)
    experiment = experiment_id(client, root, name)
    _end_dead_runs(client, experiment)
    tags = tags | {"process": _process(os.getpid())}
    stopped = resumes and _newest_run(
        client,
        experiment,
        f"tags.`recipe.md5` = '{tags['recipe.md5']}' and attributes.status != 'FINISHED' "
        f"and attributes.status != 'RUNNING'",
    )
    if stopped:
        run = stopped
        client.update_run(run.run_id, status="RUNNING")
        run.tag(tags)
    else:
        run = _start(client, experiment, f"train@{name}-{cell}", tags)
        _log_params(run, problem, cell)
    monitor = _system_metrics(run) if problem.training.system_metrics else None
    status = "KILLED"
    try:
        yield run
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        if monitor is not None:
            monitor.finish()
        client.set_terminated(run.run_id, status)


def find_run(root: Path, name: str, problem: Problem, cell: str, folder: Path) -> Run:
    """The newest run that made the model in `folder`, written anew if the store has none."""
    client = connect(root)
    experiment = experiment_id(client, root, name)
    model_md5 = lineage.folder_md5(folder)
    query = f"tags.`model.md5` = '{model_md5}' and attributes.status = 'FINISHED'"
    found = _newest_run(client, experiment, query)
    if found:
        return found
    tags = lineage.training_tags(root, problem, cell, root / "data" / "prepared" / name)
    tags |= {"DVC_STAGE": f"train@{name}-{cell}", "model.md5": model_md5, "restored": "true"}
    run = _start(client, experiment, f"train@{name}-{cell}", tags)
    _log_params(run, problem, cell)
    _log_history(run, folder / "history.csv")
    client.set_terminated(run.run_id, "FINISHED")
    return run


def log_evaluation(
    root: Path,
    name: str,
    problem: Problem,
    folders: dict[str, Path],
    metrics: dict[str, Any],
    reports: Path,
) -> None:
    """Write test scores and the report into the runs of the models that were scored."""
    for cell, folder in folders.items():
        run = find_run(root, name, problem, cell, folder)
        scores = metrics["models"][cell].items()
        finite = {f"test/{key}": value for key, value in scores if value is not None}
        now = int(time.time() * 1000)  # of several scores the store shows the latest
        log_metrics(run, finite, step=0, stamp=now)
        run.client.log_artifacts(run.run_id, str(reports))


def log_metrics(
    run: Run, metrics: Mapping[str, float], step: int, stamp: int | None = None
) -> None:
    """Write metrics of one step; without a stamp (ms), the same metrics twice are there once."""
    from mlflow.entities import Metric

    at = FIRST_STAMP + step if stamp is None else stamp
    rows = [Metric(key, float(value), at, step) for key, value in metrics.items()]
    run.client.log_batch(run.run_id, metrics=rows)


def _start(client: "MlflowClient", experiment: str, name: str, tags: dict[str, str]) -> Run:
    return Run(client, client.create_run(experiment, run_name=name, tags=tags).info.run_id)


def _newest_run(client: "MlflowClient", experiment: str, query: str) -> Run | None:
    found = client.search_runs([experiment], query, order_by=["start_time DESC"], max_results=1)
    return Run(client, found[0].info.run_id) if found else None


def _end_dead_runs(client: "MlflowClient", experiment: str) -> None:
    """Set the runs to KILLED that this machine started and whose process is no more."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        started = run.data.tags.get("process", "")
        host, _, pid = started.partition(" ")[0].rpartition(":")
        if host == socket.gethostname() and started != _process(int(pid)):
            client.set_terminated(run.info.run_id, "KILLED")


def _process(pid: int) -> str:
    """What tells a process of this machine from all others, those before a restart too."""
    try:
        began = f"{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        began = "ended"
    return f"{socket.gethostname()}:{pid} {began}"


def _log_params(run: Run, problem: Problem, cell: str) -> None:
    """A problem's sections as `section.key`, which is how MLflow's table compares them."""
    from mlflow.entities import Param

    flat: dict[str, Any] = {"cell": cell}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        else:
            flat[prefix] = value if isinstance(value, str) else json.dumps(value)

    for section, content in problem.model_dump(mode="json", exclude={"gate", "kind"}).items():
        walk(section, content)
    # A column's name may hold what MLflow's keys may not.
    params = [Param(re.sub(r"[^\w\-. :/]", "_", key), value) for key, value in flat.items()]
    run.client.log_batch(run.run_id, params=params)


def _log_history(run: Run, path: Path) -> None:
    from mlflow.entities import Metric

    metrics = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            for key, metric in (
                ("learning_rate", "learning_rate"),
                ("train_loss", "train/loss"),
                ("validation_loss", "val/loss"),
            ):
                # Lightning counts the steps of a curve from 0.
                metrics.append(Metric(metric, float(row[key]), FIRST_STAMP + step, step - 1))
    for begin in range(0, len(metrics), METRICS_PER_CALL):
        run.client.log_batch(run.run_id, metrics=metrics[begin : begin + METRICS_PER_CALL])


def _system_metrics(run: Run) -> Any:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run.run_id)
    monitor.start()
    return monitor
