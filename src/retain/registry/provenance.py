"""Where a model comes from: version, run, commit, stage, params, data."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retain.config import loader
from retain.errors import RegistryError
from retain.evaluation.quality_gate import MODEL
from retain.project import fingerprint
from retain.project.git import Git
from retain.registry import artifacts, registry
from retain.tracking import store
from retain.tracking.store import StoreError

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>\w+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Origin:
    """What is recorded of a model: of a registered version, or of the one in the working tree."""

    name: str  # of the problem
    label: str
    commit: str
    patch: str  # by which the tree differed from the commit; empty where it did not
    outs: dict[str, str]  # md5 by path of what the stages left
    tags: dict[str, str]  # of the run; see `lineage.training_tags`
    params: dict[str, str] = field(default_factory=dict)
    run: "Run | None" = None
    version: "ModelVersion | None" = None

    @contextmanager
    def model(self, root: Path) -> Iterator[Path]:
        """The model's folder, while the block runs."""
        if self.version is None:
            yield root / "models" / self.name / MODEL
        else:
            with artifacts.downloaded(self.version) as folder:
                yield folder

    def metrics(self, root: Path) -> dict[str, float]:
        """The model's test metrics, as recorded."""
        if self.version is None:
            return fingerprint.test_metrics(root, self.name, MODEL)
        return registry.test_metrics(self.version)


def find(root: Path, model: str) -> Origin:
    """What is recorded of `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `NAME`.

    A name alone is the model that the working tree has.

    Raises:
        RegistryError: there is no such model.
        ParamsError: there is no such problem.
    """
    match = ADDRESS.fullmatch(model)
    if match is None:
        if "/" in model:
            raise RegistryError(
                f"{model!r} names no model: write models:/NAME@champion, models:/NAME/3, or NAME "
                f"for the one in the working tree"
            )
        return _of_the_tree(root, model)
    return _of_version(root, _version(root, **match.groupdict()))


def _of_the_tree(root: Path, name: str) -> Origin:
    problem = loader.load_problem(root, name)
    if (
        not {f"models/{name}/{MODEL}", f"data/prepared/{name}"}
        <= fingerprint.output_md5s(root, name).keys()
    ):
        raise RegistryError(
            f"{name} has no model here yet; make it with `dvc repro {_stage(name)}`"
        )
    return Origin(
        name=name,
        label=f"{name} in the working tree",
        commit=fingerprint.code_state(root).get("git.commit", ""),
        patch=fingerprint.patch(root).get("code.patch", ""),
        outs=fingerprint.output_md5s(root, name),
        tags=fingerprint.training_tags(root, name, problem, MODEL),
        params=fingerprint.flat(problem, MODEL),
    )


def _of_version(root: Path, version: "ModelVersion") -> Origin:
    import mlflow

    client = store.connect(root)
    run = client.get_run(version.run_id)
    patch = ""
    if any(file.path == "code.patch" for file in client.list_artifacts(version.run_id)):
        with store.guarded(root):
            patch = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/code.patch")
    aliases = "".join(f" @{alias}" for alias in sorted(version.aliases))
    return Origin(
        name=version.name,
        label=f"{version.name} version {version.version}{aliases}",
        commit=run.data.tags.get("git.commit", ""),
        patch=patch,
        outs=json.loads(version.tags.get("outs", "{}")),
        tags=run.data.tags,
        params=run.data.params,
        run=run,
        version=version,
    )


def _version(root: Path, name: str, alias: str | None, version: str | None) -> "ModelVersion":
    client = store.connect(root)
    if alias is not None:
        version_of_alias = registry.alias_version(client, name, alias)
        if version_of_alias is None:
            raise RegistryError(f"no version of {name} is @{alias}")
        version = str(version_of_alias.version)
    try:  # the answer by alias lacks the aliases
        return client.get_model_version(name, version)
    except StoreError as error:
        raise RegistryError(f"models:/{name}/{version}: {error.reason}") from None


def trace(root: Path, origin: Origin) -> list[tuple[str, str]]:
    """One screen: each step from a model back to its raw file, and what is known of it."""
    stage = origin.tags.get("DVC_STAGE") or _stage(origin.name)
    path = origin.params.get("data.path", "")
    md5 = fingerprint.short(origin.outs.get(f"models/{origin.name}/{MODEL}"))
    lines = [("model", f"{origin.label}, md5 {md5}")]
    if origin.version is not None:
        lines.append(("verdict", origin.version.tags.get("verdict", "none is recorded")))
    scores = [f"{key} {value:.4g}" for key, value in origin.metrics(root).items()]
    lines.append(("test", ", ".join(scores[:6])))
    lines.append(("run", _run(origin)))
    lines.append(("commit", _commit(root, origin)))
    lines.append(("stage", f"{stage}: python pipelines/train.py {origin.name} {MODEL}"))
    md5 = fingerprint.short(origin.tags.get("params.md5"))
    few = [f"{key} {value}" for key, value in origin.params.items() if key in SHOWN]
    lines.append(("params", f"md5 {md5}: {', '.join(few)}"))
    data = fingerprint.short(origin.tags.get("data.md5"))
    lines.append(("data", f"data/prepared/{origin.name}, md5 {data}"))
    lines.append(("raw", _raw(root, path, origin.tags.get("raw.md5", ""))))
    lines.append(("card", _card(root, path)))
    made = [f"{key.removeprefix('env.')} {value}" for key, value in environment(origin).items()]
    lines.append(("made on", ", ".join(made) or "not recorded"))
    return lines


SHOWN = ("preset", "model.hidden_size", "training.seed", "training.reproducible", "data.horizon")


def environment(origin: Origin) -> dict[str, str]:
    """What is recorded of the machine and the libraries that trained a model."""
    return {key: value for key, value in origin.tags.items() if key.startswith("env.")}


def _run(origin: Origin) -> str:
    if origin.run is None:
        return "that of the working tree; find it by model.md5 in `make ui`"
    info = origin.run.info
    restored = ", written anew from its files" if "restored" in origin.tags else ""
    return f"{info.run_name} {info.run_id}, {info.status}{restored}"


def _commit(root: Path, origin: Origin) -> str:
    if not origin.commit:
        return "none: the project was not in git"
    git, subject = Git(root), f"{origin.commit[:9]}, which this clone does not have"
    if git.find(f"{origin.commit}^{{commit}}"):
        subject = git.run("log", "-1", "--format=%h %s", origin.commit)
    changed = len(re.findall(r"^diff --git", origin.patch, re.MULTILINE))
    if not changed:
        return subject
    where = "the run's code.patch" if origin.run is not None else "`git diff HEAD`"
    return f"{subject}, and {changed} files changed beside it ({where})"


def _raw(root: Path, path: str, md5: str) -> str:
    if not path:
        return "not recorded"
    place = root / path
    if not place.exists():
        state = "not here; `dvc pull` it, or look where it came from"
    elif not md5:
        state = "as it is today; its md5 was not recorded"
    else:
        today = fingerprint.folder_md5(place) if place.is_dir() else fingerprint.file_md5(place)
        state = "unchanged" if today == md5 else f"changed since: today {fingerprint.short(today)}"
    return f"{path}, md5 {fingerprint.short(md5)}, {state}"


def _card(root: Path, path: str) -> str:
    """The text that describes the raw file: its neighbour with the ending .md, or a README."""
    place = Path(path)
    stem = place.name.partition(".")[0]
    for card in (place.with_name(f"{stem}.md"), place / "README.md", place.parent / "README.md"):
        if (root / card).is_file():
            return str(card)
    return f"none; write one as {place.with_name(stem + '.md')}"


def _stage(name: str) -> str:
    return f"train@{name}-{MODEL}"
