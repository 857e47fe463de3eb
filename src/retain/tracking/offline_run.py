"""A run that is kept on disk until the tracking store has received it.

A training must not stop because a server does not answer, and its metrics must not be lost. What
was not sent is kept in a file under `mlruns/pending/` and sent again after growing pauses. Sending
the same twice changes nothing: a run is found by its key, and a metric's time stamp follows from
its step.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from retain.errors import RegistryError
from retain.project import files as outputs
from retain.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient

PER_CALL = 1000  # metrics that a tracking server takes in one call
PARENT = "mlflow.parentRunId"  # the tag by which MLflow shows one run below another
ON_BOTH = ("data.md5", "raw.md5", "git.commit", "git.dirty", "DVC_EXP_NAME")  # tags of a pipeline
FIRST_STAMP = 1_000_000_000_000  # ms; the stamp of step 0
LONGEST_PAUSE = 60.0  # s between two tries
PATIENCE = 30.0  # s that the end of a run waits for a store that has answered before


@dataclass
class Message:
    """What is still to be sent of one run, which its key, experiment and name identify."""

    key: str
    experiment: str
    name: str
    started: int  # ms
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)  # value, ms, step
    files: dict[str, str] = field(default_factory=dict)
    datasets: list[dict[str, str]] = field(default_factory=list)  # as `labels.dataset` gives them
    pipeline: str = ""  # key of the run that this one is a part of
    pipeline_name: str = ""
    status: str | None = None
    ended: int | None = None  # ms

    def log(self, metrics: Mapping[str, float], step: int, stamp: int) -> None:
        """Add metrics of one step."""
        self.metrics += [(key, float(value), stamp, step) for key, value in metrics.items()]

    def clear(self) -> None:
        """Remove what was sent."""
        for part in (self.tags, self.params, self.metrics, self.files, self.datasets):
            part.clear()
        self.status = self.ended = None


class OfflineRun:
    """A run of the tracking store, whether the store answers or not."""

    def __init__(self, root: Path, message: Message, run_id: str | None = None):
        self.root, self.message, self.run_id = root, message, run_id
        self.path = folder(root) / f"{message.key}.json"
        self._next_try = self._pause = 0.0
        self._reason: str | None = None

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of the store; RegistryError where it does not answer."""
        return store.connect(self.root)

    def load_pending(self) -> None:
        """Add what a killed process could not send of this run."""
        earlier = _read(self.path)
        if earlier is not None:
            self.message.started = earlier.started
            self.message.metrics = earlier.metrics + self.message.metrics

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self.message.tags |= tags
        self.send()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write metrics of one step; the same metrics twice are there once."""
        self.message.log(metrics, step, FIRST_STAMP + step)
        self.send()

    def upload(self, path: Path) -> None:
        """Give the run a file or folder; RegistryError where the store does not answer."""
        if path.is_dir():
            self.client.log_artifacts(self.run_id, str(path), path.name)
        else:
            self.client.log_artifact(self.run_id, str(path))

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED; print where it is if it cannot be sent."""
        self.message.status, self.message.ended = status, now()
        deadline = time.monotonic() + PATIENCE
        self._next_try = 0.0
        # A killed process has no time to wait, and a store that never answered is not waited for.
        while not self.send() and status != "KILLED" and self.run_id is not None:
            if time.monotonic() + self._pause > deadline:
                break
            time.sleep(self._pause)
        if self._reason is not None:
            where = f"{self.message.name}, in {os.path.relpath(self.path, self.root)}"
            print(f"pending: {where}; sent by the next stage, or by `retain sync`")

    def send(self) -> bool:
        """Send what is pending, unless the last try was just now; return whether nothing is left.

        A store that does not answer is reported once, and the message is saved.
        """
        if time.monotonic() >= self._next_try:
            try:
                self.deliver()
            except RegistryError as error:
                if self._reason is None:
                    print(f"{error}\nthe stage continues; {self.message.name} is kept on disk")
                self._reason = str(error)
                self._pause = min(max(1.0, 2 * self._pause), LONGEST_PAUSE)
                self._next_try = time.monotonic() + self._pause
            else:
                self._reason, self._pause = None, 0.0
                return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        outputs.write_text(self.path, json.dumps(asdict(self.message), ensure_ascii=False))
        return False

    def deliver(self) -> None:
        """Send what is pending at once; RegistryError where the store does not answer."""
        self.run_id = self.run_id or _find_or_create(self.client, self.root, self.message)
        _send(self.client, self.run_id, self.message)
        self.message.clear()
        self.path.unlink(missing_ok=True)


def now() -> int:
    """Return the milliseconds since 1970, as MLflow counts them."""
    return int(time.time() * 1000)


def pending(root: Path) -> Iterator[OfflineRun]:
    """Yield the runs that were not sent in full; another process may send some meanwhile."""
    for path in sorted(folder(root).glob("[!.]*.json")):
        message = _read(path)
        if message is not None:
            yield OfflineRun(root, message)


def folder(root: Path) -> Path:
    """Return the folder of what is pending."""
    return store.folder(root) / "pending"


def _read(path: Path) -> Message | None:
    """Return what a file holds, if it is there; put it aside, and say so, where it is damaged."""
    try:
        content = json.loads(path.read_bytes())
        message = Message(**content | {"metrics": [tuple(m) for m in content["metrics"]]})
        if f"{message.key}.json" == path.name:
            return message
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    with suppress(FileNotFoundError):  # another process has put it aside
        damaged = path.replace(path.with_suffix(".damaged"))
        print(f"{path} is damaged: it is kept as {damaged.name}, and what it held is not sent")
    return None


def _find_or_create(client: "MlflowClient", root: Path, message: Message) -> str:
    experiment = store.experiment_id(client, root, message.experiment)
    runs = client.search_runs([experiment], f"tags.`run.key` = '{message.key}'", max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    tags = message.tags | {"run.key": message.key}
    if message.pipeline:
        tags[PARENT] = pipeline_run(client, root, message)
    run = client.create_run(
        experiment, start_time=message.started, tags=tags, run_name=message.name
    )
    return str(run.info.run_id)


def pipeline_run(client: "MlflowClient", root: Path, part: Message) -> str:
    """Return the id of the run of the pipeline that a run is a part of; made where it is missing.

    It is no process of its own, so it is FINISHED from the start.
    """
    tags = {key: part.tags[key] for key in ON_BOTH if key in part.tags}
    whole = Message(part.pipeline, part.experiment, part.pipeline_name, part.started, tags)
    whole.datasets, whole.status, whole.ended = part.datasets, "FINISHED", part.started
    with store.locked(root):  # two stages may begin at once
        run_id = _find_or_create(client, root, whole)
        _send(client, run_id, whole)
    return run_id


def _send(client: "MlflowClient", run_id: str, message: Message) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    tags = [RunTag(key, value) for key, value in message.tags.items()]
    params = [Param(key, value) for key, value in message.params.items()]
    if tags or params:
        client.log_batch(run_id, params=params, tags=tags)
    metrics = [Metric(*metric) for metric in message.metrics]
    for begin in range(0, len(metrics), PER_CALL):
        client.log_batch(run_id, metrics=metrics[begin : begin + PER_CALL])
    if message.datasets:
        context = [InputTag("mlflow.data.context", "training")]
        inputs = [DatasetInput(Dataset(**dataset), context) for dataset in message.datasets]
        client.log_inputs(run_id, datasets=inputs)
    for name, text in message.files.items():
        client.log_text(run_id, text, name)
    if message.status == "RUNNING":
        client.update_run(run_id, status="RUNNING")
    elif message.status is not None:
        client.set_terminated(run_id, message.status, message.ended)
