"""MLflow beside the pipeline: one run for each trained model, found by content.

A run is never referred to by its id in anything that DVC tracks: it carries the md5 of the model it
made, and is written anew from the model's folder where a store does not have it.
"""

import csv
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from retain.config.loader import load
from retain.config.schema import Problem
from retain.errors import RegistryError
from retain.evaluation import choice
from retain.project import files, fingerprint
from retain.project.layout import Layout
from retain.tracking import labels, offline_run, store
from retain.tracking.offline_run import Message, OfflineRun

CURVES = {  # columns of history.csv, and the metrics of a run
    "learning_rate": "train/learning_rate",
    "train_loss": "train/loss",
    "validation_loss": "validation/loss",
}

SIZES = ("parameters", "parameters_of_embedding", "hidden_size")  # scores that no test part decides


@contextmanager
def training_run(
    root: Path,
    name: str,
    problem: Problem,
    cell: str,
    tags: dict[str, str],
    kept: Path,
    stage: str,
) -> Iterator[OfflineRun]:
    """Yield the run of a training, which is FINISHED, FAILED or KILLED at the end of the block.

    Runs whose process died before it could say so are set to KILLED first. Nothing here waits for
    a store that does not answer.

    Args:
        tags: as `fingerprint.training_tags` gives them.
        kept: folder of the training's checkpoints. A key lies beside them, so that a training that
            goes on does so in the run it began.
        stage: the name of the stage of DVC.
    """
    key_file = kept / "run"
    if not key_file.is_file():
        kept.mkdir(parents=True, exist_ok=True)
        files.write_text(key_file, uuid.uuid4().hex)
    key = key_file.read_text(encoding="utf-8")
    message = _new_message(root, key, name, problem, cell, tags, stage)
    message.tags |= {"process": _process(os.getpid())}
    message.status = "RUNNING"
    run = OfflineRun(root, message)
    run.load_pending()
    if run.send():
        with suppress(RegistryError):  # it went away again
            sync(root)
            _end_dead_runs(root, name)
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
        run.end(status)


def find_run(root: Path, name: str, problem: Problem, cell: str, folder: Path) -> OfflineRun:
    """Return the newest run that made the model in `folder`, written anew if there is none.

    Raises:
        RegistryError: the store does not answer.
    """
    sync(root, evaluations=False)
    model_md5 = fingerprint.folder_md5(folder)
    client = store.connect(root)
    finished = client.search_runs(
        [store.experiment_id(client, root, name)],
        f"tags.`model.md5` = '{model_md5}' and attributes.status = 'FINISHED'",
        order_by=["start_time DESC"],
        max_results=1,
    )
    if finished:
        info = finished[0].info
        key = finished[0].data.tags.get("run.key", info.run_id)
        return OfflineRun(root, Message(key, name, info.run_name, info.start_time), info.run_id)
    tags, stage = fingerprint.training_tags(root, name, problem, cell), f"train@{name}-{cell}"
    # On which machine it was trained is not known.
    tags = {key: tag for key, tag in tags.items() if not key.startswith("env.")}
    tags |= {"DVC_STAGE": stage, "model.md5": model_md5, "restored": "true"}
    message = _new_message(root, f"restored-{model_md5}", name, problem, cell, tags, stage)
    message.metrics = _history(folder / "history.csv")
    message.status, message.ended = "FINISHED", message.started
    run = OfflineRun(root, message)
    run.deliver()
    return run


def _new_message(
    root: Path, key: str, name: str, problem: Problem, cell: str, tags: dict[str, str], stage: str
) -> Message:
    """Return what is known of a training before it begins, as a message to the store."""
    experiment = tags.get("DVC_EXP_NAME")
    title = labels.run_name(root, name, experiment, cell, stage.startswith(labels.REFIT))
    message = Message(key, name, title, offline_run.now(), dict(tags))
    message.params = fingerprint.flat(problem, cell)
    message.files = fingerprint.patch(root)
    message.datasets = [labels.dataset(root, name, problem, tags)]
    message.pipeline = labels.pipeline_key(root, name, problem, tags)
    message.pipeline_name = labels.run_name(root, name, experiment)
    return message


def log_evaluation(root: Path, name: str, problem: Problem, cells: list[str]) -> None:
    """Write test scores into the runs of the models that were scored, and all into the pipeline's.

    The run of the pipeline has the report, the scores of the judged model under `test/`, and the
    first error of every model under the name of that error.

    Where the store does not answer, a marker is left for `sync`.
    """
    marker = offline_run.folder(root) / f"{name}.evaluation"
    try:
        _log_evaluation(root, name, problem, cells)
        marker.unlink(missing_ok=True)
    except RegistryError as error:
        marker.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(marker, " ".join([_metrics_md5(root, name), *cells]))
        print(error)
        print(f"pending: the scores of {name}; sent by the next stage, or by `retain sync`")


def _log_evaluation(root: Path, name: str, problem: Problem, cells: list[str]) -> None:
    layout = Layout(root, name)
    judged, now = choice.judged(layout.metrics), offline_run.now()
    for cell in cells:
        run = find_run(root, name, problem, cell, layout.model(cell))
        scores = fingerprint.test_metrics(root, name, cell)
        test = {f"{'model' if k in SIZES else 'test'}/{k}": v for k, v in scores.items()}
        _log_scores(run, test, now)
        run.deliver()
        if cell == judged:
            whole = _pipeline_of(run, problem)
            for error in problem.ERRORS[:1]:
                errors = fingerprint.test_errors(root, name, error)
                test |= {f"{error}/{model}": value for model, value in errors.items()}
            _log_scores(whole, test, now)
            whole.message.status, whole.message.ended = "FINISHED", now
            whole.deliver()
            for entry in fingerprint.EVALUATED:
                if (layout.reports / entry).exists():  # an earlier version wrote fewer
                    whole.upload(layout.reports / entry)


def _log_scores(run: OfflineRun, scores: dict[str, float], stamp: int) -> None:
    """Add scores to a run that does not have the same: an evaluation that was killed runs again.

    Of several scores the store shows the latest.
    """
    known = run.client.get_run(run.run_id).data.metrics
    new = {key: value for key, value in scores.items() if repr(known.get(key)) != repr(value)}
    run.message.log(new, 0, stamp)


def _pipeline_of(run: OfflineRun, problem: Problem) -> OfflineRun:
    """Return the run of the pipeline that a training's run is a part of."""
    root, name = run.root, run.message.experiment
    tags = run.client.get_run(run.run_id).data.tags
    title = labels.run_name(root, name, tags.get("DVC_EXP_NAME"))
    key = labels.pipeline_key(root, name, problem, tags)
    part = Message(key, name, title, run.message.started, tags, pipeline=key, pipeline_name=title)
    run_id = tags.get(offline_run.PARENT)
    if run_id is None:  # of an earlier version
        run_id = offline_run.pipeline_run(run.client, root, part)
        run.client.set_tag(run.run_id, offline_run.PARENT, run_id)
    return OfflineRun(root, Message(key, name, title, run.message.started), run_id)


def sync(root: Path, evaluations: bool = True) -> list[str]:
    """Send what is pending, and return what that was.

    Runs whose process died, on this machine, are set to KILLED.

    Raises:
        RegistryError: the store does not answer.
    """
    sent = []
    for run in offline_run.pending(root):
        run.deliver()
        sent.append(f"{run.message.name} of {run.message.experiment}")
        _end_dead_runs(root, run.message.experiment)
    for marker in offline_run.folder(root).glob("[!.]*.evaluation") if evaluations else []:
        if _send_scores(root, marker):
            sent.append(f"the scores of {marker.stem}")
        marker.unlink(missing_ok=True)
    return sent


def _send_scores(root: Path, marker: Path) -> bool:
    """Send the scores that a marker names, if they and their models are here; return whether so."""
    name = marker.stem
    try:
        md5, *cells = marker.read_text(encoding="utf-8", errors="replace").split() or [""]
    except FileNotFoundError:  # another process has sent them
        return False
    if not md5 or md5 != _metrics_md5(root, name):  # another evaluation follows
        return False
    problem, folders = load(root).get(name), map(Layout(Path(), name).model, cells)
    gone = [f"there is no {folder}" for folder in folders if not (root / folder).is_dir()]
    if problem is None or gone:
        why = f"params.yaml has no problem `{name}`" if problem is None else gone[0]
        print(f"the scores of {name} are not sent: {why}")
        return False
    _log_evaluation(root, name, problem, cells)
    return True


def _metrics_md5(root: Path, name: str) -> str:
    path = Layout(root, name).metrics
    return fingerprint.file_md5(path) if path.is_file() else ""


def _end_dead_runs(root: Path, name: str) -> None:
    """Set the runs to KILLED that this machine started and whose process has ended."""
    client = store.connect(root)
    experiment = store.experiment_id(client, root, name)
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        process = run.data.tags.get("process", "")
        host, _, pid = process.partition(" ")[0].rpartition(":")
        if host == socket.gethostname() and process != _process(int(pid)):
            client.set_terminated(run.info.run_id, "KILLED")


def _process(pid: int) -> str:
    """Return what identifies a process of this machine, also after a restart."""
    try:
        created = f"{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        created = "ended"
    return f"{socket.gethostname()}:{pid} {created}"


def _history(path: Path) -> list[tuple[str, float, int, int]]:
    """Read the curves of a model's history.csv, as a message holds them."""
    metrics = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row["step"]) - 1  # Lightning counts the steps of a curve from 0
            for column, metric in CURVES.items():
                metrics.append((metric, float(row[column]), offline_run.FIRST_STAMP + step, step))
    return metrics


def _system_metrics(run: OfflineRun) -> Any:
    """Start MLflow's thread that samples processor and memory, if there is a run to log to."""
    if run.run_id is None:
        return None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run.run_id)
    monitor.start()
    return monitor
