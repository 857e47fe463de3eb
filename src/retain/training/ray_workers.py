"""Train on the workers of a Ray cluster: it places them, and replaces those that are lost.

The workers run the stage's script, as torchrun would start it: the first one writes checkpoints,
outputs and the MLflow run, and all resume from the newest checkpoint when Ray starts them again.
Ray is the extra `retain[ray]`, and is imported where it is asked for alone.
"""

import os
import pkgutil
import platform
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retain.config.schema import Training
from retain.errors import ParamsError, RetainError
from retain.project import fingerprint
from retain.training import portable_cpu
from retain.training.devices import RAY_WORKER
from retain.words import clipped

# A name, not an import: a change of the engine is no reason to train again.
ENGINE = "retain.engine.choice:chosen"
RETRIES = 8  # lost workers or nodes that a training survives
# What a worker needs, too: of DVC's stage, and of MLflow and its store. Ray keeps these with the
# job, so no key of the server or of signatures is among them.
PASSED = ("AWS_", "DVC_", "MLFLOW_")


def wanted(training: Training) -> bool:
    """Return whether this process is to start the workers of a training on Ray.

    Raises:
        ParamsError: no engine has the name that is given.
    """
    if training.world == 1 or os.environ.get(RAY_WORKER):
        return False
    found: str = pkgutil.resolve_name(ENGINE)().name
    return found == "ray"


def train(script: Path, words: Sequence[str], training: Training, output: Path) -> None:
    """Run a stage's script on as many workers as `training` names.

    RAY_ADDRESS names the cluster; without it, one is started on this machine.

    Args:
        script: with a function `main`; it writes `output`.
        words: its arguments.
        output: the model folder.

    Raises:
        ParamsError: Ray is not installed, or `training.devices` is no number.
        RetainError: a worker cannot train, too many were lost, or this machine does not see the
            output.
    """
    if training.world is None:
        raise ParamsError("training.devices is auto: on Ray, give the number of devices of a node")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.train.v2.api.exceptions
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError:
        raise ParamsError("the engine `ray` needs Ray: pip install 'retain[ray]'") from None
    started = not ray.is_initialized()
    if started:
        _start(training)
    on_gpu = _on_gpu(training, ray.cluster_resources())
    storage = Path.cwd() / "scratch" / "ray" / output.parent.name / output.name
    try:
        found = TorchTrainer(
            _work,
            train_loop_config={
                "root": str(Path.cwd()),
                "script": str(script),
                "words": list(words),
                "output": str(output),
            },
            scaling_config=ScalingConfig(
                num_workers=training.world,
                use_gpu=on_gpu,
                resources_per_worker={"CPU": training.threads} | ({"GPU": 1} if on_gpu else {}),
                placement_strategy="SPREAD" if training.num_nodes > 1 else "PACK",
            ),
            run_config=RunConfig(
                name="workers",
                storage_path=str(storage),
                failure_config=FailureConfig(
                    max_failures=RETRIES, controller_failure_limit=RETRIES
                ),
            ),
        ).fit()
    except ray.train.v2.api.exceptions.TrainingFailedError as error:
        raise RetainError(_reason(error)) from None
    finally:
        shutil.rmtree(storage, ignore_errors=True)
        if started:
            ray.shutdown()
    written: dict[str, str] = found.return_value or {}
    if not output.is_dir() or fingerprint.folder_md5(output) != written.get("md5"):
        raise RetainError(
            f"node {written.get('node')} wrote {output.resolve()}, and {platform.node()} does not "
            f"see it: the project must lie on a file system that every node sees"
        )


def _start(training: Training) -> None:
    """Join the cluster that RAY_ADDRESS names, or start one on this machine."""
    import ray

    address = os.environ.get("RAY_ADDRESS")
    passed = {key: value for key, value in os.environ.items() if key.startswith(PASSED)}
    pinned = portable_cpu.settings(training.reproducible)
    plain = {RAY_WORKER: "1", "RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}  # it prints lines twice
    needed = (training.world or 1) * training.threads
    try:
        ray.init(
            # Without the word, Ray looks for another cluster of this machine, or for what a killed
            # one has left.
            address=address or "local",
            # A cluster of its own has a processor for each worker, by name at least.
            num_cpus=None if address else max(needed, os.cpu_count() or 1),
            runtime_env={"env_vars": pinned | passed | plain},
            include_dashboard=False,
            # Without a dashboard, Ray Train warns every second that it cannot ask it.
            logging_config=ray.LoggingConfig(log_level="ERROR"),
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RetainError(f"Ray does not start: {clipped(error, 300)}") from None


def _work(config: dict[str, Any]) -> dict[str, str]:
    """Run the script in a worker's process; return where, and the md5 of what it wrote."""
    root, node = Path(config["root"]), platform.node()
    if not (root / "params.yaml").is_file():
        raise RetainError(
            f"node {node}: no project in {root}; it must lie on a file system that every node "
            f"sees, under the same path (docs/scale-training.md)"
        )
    os.chdir(root)
    os.environ[RAY_WORKER] = "1"
    sys.argv = [config["script"], *config["words"]]
    runpy.run_path(config["script"], run_name="worker")["main"]()
    output = Path(config["output"])
    return {"node": node, "md5": fingerprint.folder_md5(output) if output.is_dir() else ""}


def _on_gpu(training: Training, cluster: dict[str, float]) -> bool:
    if training.reproducible == "portable" or training.accelerator == "cpu":
        return False
    return training.accelerator != "auto" or cluster.get("GPU", 0) >= (training.world or 1)


def _reason(error: Exception) -> str:
    """Return what a worker says that cannot train, else what Ray says."""
    failures = getattr(error, "worker_failures", {})
    for number, failure in sorted(failures.items()):
        cause: BaseException | None = failure
        while cause is not None and not isinstance(cause, RetainError):
            cause = getattr(cause, "_base_exc", None) or getattr(cause, "cause", None)
        if cause is not None:
            return f"worker {number}: {cause}"
    return f"the training on Ray failed: {clipped(error, 1000)}"
