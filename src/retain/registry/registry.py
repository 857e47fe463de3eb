"""The model registry: a model is registered once per content, and aliases say which one is used.

`@champion` is the model to forecast with, `@challenger` the newest that did not get there,
`@previous` the champion before. The gate of params moves them, and a person may (`promotion.py`).
"""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from retain.config.kind import kind_of
from retain.config.schema import ChampionCheck, Problem
from retain.errors import IncomparableError, RegistryError
from retain.evaluation.quality_gate import MODEL, CheckResult, interval, judgement
from retain.evaluation.results import Metrics
from retain.model_files import load_model
from retain.project import fingerprint
from retain.tracking import runs, store
from retain.tracking.offline_run import OfflineRun
from retain.tracking.store import StoreError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# What a server needs to run a registered model, at the versions it was trained with.
RUNTIME = (
    "mlflow",
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "ruamel.yaml",
    "safetensors",
    "holidays",
)


# What a person decided last of a model's aliases, a tag of the registered model.
MOVED = "moved"

EXPERIMENT = (
    "an experiment promotes nothing; take it over with `dvc exp apply`, then run "
    "`dvc repro -f -s register@{name}`"
)


@dataclass(frozen=True)
class Decision:
    """Where a model came to stand, and why; not for DVC, since it hangs on the registry's state."""

    model_md5: str
    version: str
    alias: str
    sentence: str
    checks: list[dict[str, Any]] = field(default_factory=list)


def register(
    root: Path, name: str, problem: Problem, metrics: Metrics, checks: list[CheckResult]
) -> Decision:
    """Register a problem's trained model, unless it is, and give it the alias that it earned.

    Args:
        name: the problem, which is also the name of the registered model.
        checks: the gate's results on the model's own figures.
    """
    folder = root / "models" / name / MODEL
    run = runs.find_run(root, name, problem, MODEL, folder)
    with store.locked(root):
        version = _version(run, root, name, folder, metrics)
        champion = alias_version(run.client, name, "champion")
        own = champion is not None and champion.version == version.version
        if kept := _kept(run.client, name, version, champion):
            return Decision(fingerprint.folder_md5(folder), str(version.version), *kept)
        if champion is not None and not own:
            checks = [*checks, *_against_champion(root, name, problem, folder, champion)]
        if not own and os.environ.get("DVC_EXP_NAME"):
            checks = [*checks, CheckResult("committed", False, EXPERIMENT.format(name=name), {})]
        failed = [check for check in checks if not check.passed]
        alias = "champion" if own or not failed else "challenger"
        set_alias(run.client, name, version, alias, champion)
        sentence = _sentence(name, version, own, failed)
        tags = {f"gate.{check.check}": check.sentence for check in checks}
        tags["gate"] = f"failed: {', '.join(each.check for each in failed)}" if failed else "passed"
        for key, value in (tags | {"verdict": sentence}).items():
            run.client.set_model_version_tag(name, version.version, key, value)
    said = [vars(check) for check in checks]
    return Decision(fingerprint.folder_md5(folder), str(version.version), alias, sentence, said)


def add(root: Path, name: str, problem: Problem, metrics: Metrics) -> "ModelVersion":
    """Register a problem's trained model, unless it is, and judge nothing."""
    folder = root / "models" / name / MODEL
    run = runs.find_run(root, name, problem, MODEL, folder)
    with store.locked(root):
        return _version(run, root, name, folder, metrics)


def _kept(
    client: "MlflowClient", name: str, version: "ModelVersion", champion: "ModelVersion | None"
) -> tuple[str, str] | None:
    """Alias and reason of a version that a person has passed over, as long as that stands.

    The stage `register` runs again for many reasons. A person who chose the champion knew all
    versions that there were, so none of them takes the place back by itself.
    """
    moved = json.loads(client.get_registered_model(name).tags.get(MOVED, "{}"))
    if champion is None or moved.get("champion") != str(champion.version):
        return None
    number = int(version.version)
    if number == int(champion.version) or number > int(moved["newest"]):
        return None
    aliases = client.get_model_version(name, version.version).aliases
    alias = next((a for a in ("challenger", "previous") if a in aliases), "")
    return alias, (
        f"{name} version {number} stays {f'@{alias}' if alias else 'without an alias'}: "
        f"{moved['by']} made version {moved['champion']} @champion on {moved['at'][:10]} "
        f"({moved['why']}); a model of other content is judged, and this one is promoted by "
        f'`retain promote {name} --version {number} --reason "…"`'
    )


def _sentence(name: str, version: "ModelVersion", own: bool, failed: list[CheckResult]) -> str:
    label = f"{name} version {version.version}"
    reasons = "; ".join(f"{check.check}: {check.sentence}" for check in failed)
    if own:
        return f"{label} is @champion already" + (f", but fails the gate: {reasons}" * bool(failed))
    if failed:
        return f"{label} is @challenger, not @champion: {reasons}"
    return f"{label} passed the gate and is @champion"


def _against_champion(
    root: Path, name: str, problem: Problem, folder: Path, champion: "ModelVersion"
) -> Iterator[CheckResult]:
    """The gate's checks of the kind `champion`: both models on the same test windows."""
    prepared = root / "data" / "prepared" / name
    for check in problem.gate:
        if not isinstance(check, ChampionCheck):
            continue
        label = f"better than champion version {champion.version}"
        try:
            with downloaded(champion) as theirs:
                both = kind_of(problem).compare.load(problem, prepared, folder, theirs)
        except (IncomparableError, RegistryError) as error:
            yield CheckResult(label, True, f"the champion cannot be compared: {error}", {})
            continue
        change, level = both.differences[check.metric], both.scores[1][check.metric]
        margin = check.margin * level
        passed = change.high < -margin
        said = (
            f"{check.metric.upper()} {judgement(change.low, change.high)} on today's test windows "
            f"({change.value:+.4g}, 95 % interval {interval(change.low, change.high)}; "
            f"it must lie below {-margin or 0:.4g})"
        )
        yield CheckResult(label, passed, said, vars(change))


def _version(
    run: OfflineRun, root: Path, name: str, folder: Path, metrics: Metrics
) -> "ModelVersion":
    """The version that holds the model in `folder`: the one there is, or a new one."""
    model_md5 = fingerprint.folder_md5(folder)
    found = find_by_md5(run.client, name, model_md5)
    if found is not None:
        return found
    served = load_model(folder)
    source, model_id = _log_model(run, root, name, folder, served)
    try:
        run.client.create_registered_model(name)
    except StoreError as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"model.md5": model_md5, "outs": json.dumps(fingerprint.output_md5s(root, name))}
    tags["data.span"] = served.trained_on()
    for key, value in metrics["models"][MODEL].items():
        if isinstance(value, int | float) and math.isfinite(value):
            tags[f"test.{key}"] = f"{value:.6g}"
    own = run.client.get_run(run.run_id).data.tags
    lineage_tags = ("data.md5", "params.md5", "git.commit", "git.dirty", "DVC_EXP_NAME")
    tags |= {key: own[key] for key in lineage_tags if key in own}
    made = run.client.create_model_version(name, source, run.run_id, tags, model_id=model_id)
    # The lock holds on this machine only; of two that found no version, the lower number stays.
    first = find_by_md5(run.client, name, model_md5) or made
    if first.version != made.version:
        run.client.delete_model_version(name, made.version)
    return first


def find_by_md5(client: "MlflowClient", name: str, model_md5: str) -> "ModelVersion | None":
    """The version that holds the model of this md5, if there is one."""
    found = client.search_model_versions(f"name = '{name}' and tags.`model.md5` = '{model_md5}'")
    return min(found, key=lambda version: int(version.version), default=None)


def _log_model(
    run: OfflineRun, root: Path, name: str, folder: Path, served: Any
) -> tuple[str, str]:
    """Log the model into its run, as code and data without pickle: its address and its id."""
    import mlflow
    from mlflow.models import infer_signature

    example = served.example(root / "data" / "prepared" / name)
    # Of the inputs it says nothing: MLflow would then drop unknown columns in silence and word
    # errors itself. The model checks its table and names row, column and remedy.
    signature = infer_signature(model_output=served.predict(example))
    package = Path(__file__).parents[1]
    with store.guarded(root), mlflow.start_run(run_id=run.run_id):
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(package / "registry" / "mlflow_model.py"),
            artifacts={"model": str(folder)},
            code_paths=[str(package)],
            signature=signature,
            metadata={"columns": served.input_columns()},
            model_config={"model_md5": fingerprint.folder_md5(folder)},  # mlflow_model.py checks it
            input_example=example,
            pip_requirements=[
                # A local build's mark (+cpu) means nothing to a package index.
                f"{package}=={installed(package).partition('+')[0]}"
                for package in RUNTIME
            ],
        )
    return str(info.model_uri), str(info.model_id)


def set_alias(
    client: "MlflowClient",
    name: str,
    version: "ModelVersion",
    alias: str,
    champion: "ModelVersion | None",
) -> None:
    """Set an alias; a new champion makes the one before `@previous`."""
    if alias == "champion" and champion is not None and champion.version != version.version:
        client.set_registered_model_alias(name, "previous", champion.version)
    client.set_registered_model_alias(name, alias, version.version)
    challenger = alias_version(client, name, "challenger")
    if alias == "champion" and challenger is not None and challenger.version == version.version:
        client.delete_registered_model_alias(name, "challenger")


def alias_version(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """The version that an alias stands for, if there is one."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except StoreError as error:
        if error.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None  # no such model, no such alias
        raise


@contextmanager
def champion_folder(root: Path, name: str) -> Iterator[Path]:
    """The model folder of a problem's champion, while the block runs.

    Raises:
        RegistryError: there is no champion.
    """
    with downloaded(champion(store.connect(root), name)) as folder:
        yield folder


def champion(client: "MlflowClient", name: str) -> "ModelVersion":
    """The version of a model that is the champion.

    Raises:
        RegistryError: none is.
    """
    found = alias_version(client, name, "champion")
    if found is None:
        raise RegistryError(
            f"no version of `{name}` is @champion: train and register one with "
            f"`dvc repro register@{name}`, and look at reports/{name}/verdict.json if one failed"
        )
    return found


def test_metrics(version: "ModelVersion") -> dict[str, float]:
    """The test metrics that were registered with a version."""
    tags = version.tags.items()
    return {key.removeprefix("test."): float(v) for key, v in tags if key.startswith("test.")}


@contextmanager
def downloaded(version: "ModelVersion") -> Iterator[Path]:
    """Yield the model folder of a registered version, which is removed at the end of the block.

    Raises:
        RegistryError: the store no longer has its files, or has others than were registered.
    """
    import mlflow

    with TemporaryDirectory() as scratch:
        with _readable(version) as uri:
            flavor = mlflow.models.get_model_info(uri).flavors["python_function"]
            path = f"{uri}/{flavor['artifacts']['model']['path']}"
            model = Path(mlflow.artifacts.download_artifacts(path, dst_path=scratch))
        recorded, md5 = version.tags.get("model.md5"), fingerprint.folder_md5(model)
        if md5 != recorded:
            raise RegistryError(
                f"the files of {version.name} version {version.version} are not those that were "
                f"registered: their md5 is {md5}, and the version's tag model.md5 says "
                f"{recorded}; nothing of them is read. Move the tracking store away and build it "
                f"anew from DVC's cache: `retain rehydrate {version.name}`"
            )
        yield model


def example(version: "ModelVersion") -> "pd.DataFrame":
    """Return the example of a request that was registered with a version."""
    import mlflow
    import pandas as pd

    with TemporaryDirectory() as scratch:
        with _readable(version) as uri:
            path = f"{uri}/input_example.json"
            local = Path(mlflow.artifacts.download_artifacts(path, dst_path=scratch))
        content = json.loads(local.read_text(encoding="utf-8"))
    return pd.DataFrame(content["data"], columns=content["columns"])


@contextmanager
def _readable(version: "ModelVersion") -> Iterator[str]:
    """Yield the address of a version; RegistryError where its files cannot be read."""
    try:
        yield f"models:/{version.name}/{version.version}"
    except store.client_errors() as error:
        store.raise_full_disk(error)
        raise RegistryError(
            f"the files of {version.name} version {version.version} cannot be read from "
            f"{version.source}: {error}"
        ) from None
