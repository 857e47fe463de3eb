"""`retain trace`: where a model comes from: version, run, commit, stage, params, data."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retain import model_files
from retain.config import loader
from retain.errors import RegistryError
from retain.evaluation import choice
from retain.evaluation.quality_gate import MODEL
from retain.project import fingerprint, raw_table
from retain.project.git import Git
from retain.project.layout import Layout
from retain.registry import artifacts, lookup, manifest, parents, signing, version_tags
from retain.tracking import store
from retain.words import clipped

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

NO_MANIFEST = ("manifest", "none: registered before there were manifests; md5 alone is compared")
SHOWN = ("model.hidden_size", "training.seed", "training.reproducible", "data.horizon")


@dataclass(frozen=True)
class Provenance:
    """What is recorded of a model: of a registered version, or of the one in the working tree."""

    name: str  # of the problem
    label: str
    commit: str
    patch: str  # by which the tree differed from the commit; empty where it did not
    outs: dict[str, str]  # md5 by path of what the stages wrote
    tags: dict[str, str]  # of the run, as `fingerprint.training_tags` gives them
    params: dict[str, str]
    run: "Run | None" = None
    version: "ModelVersion | None" = None
    cell: str = MODEL
    refitted: bool = False  # whether a model was trained on all rows besides

    @contextmanager
    def model(self, root: Path, final: bool = False) -> Iterator[Path]:
        """Yield the folder of the evaluated model, or the `final` one, while the block runs."""
        if self.version is None:
            layout = Layout(root, self.name)
            yield layout.final if final else layout.model(self.cell)
        else:
            with artifacts.downloaded(self.version, final) as folder:
                yield folder

    def metrics(self, root: Path) -> dict[str, float]:
        """Return the model's test metrics, as recorded."""
        if self.version is None:
            return fingerprint.test_metrics(root, self.name, self.cell)
        return version_tags.test_metrics(self.version)

    @property
    def environment(self) -> dict[str, str]:
        """What is recorded of the machine and the libraries of the training."""
        return {key: value for key, value in self.tags.items() if key.startswith("env.")}


def find(root: Path, model: str) -> Provenance:
    """Return what is recorded of `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `NAME`.

    A name alone is the model that the working tree has.

    Raises:
        RegistryError: there is no such model.
        ParamsError: there is no such problem.
    """
    match = lookup.ADDRESS.fullmatch(model)
    if match is not None:
        return _of_version(root, **match.groupdict())
    if "/" in model:
        raise RegistryError(
            f"{clipped(repr(model))} names no model: write models:/NAME@champion, models:/NAME/3, "
            f"or NAME for the one in the working tree"
        )
    return _of_working_tree(root, model)


def _of_working_tree(root: Path, name: str) -> Provenance:
    problem, outs = loader.load_problem(root, name), fingerprint.output_md5s(root, name)
    paths, layout = Layout(Path(), name), Layout(root, name)
    cell = choice.judged(layout.metrics)
    if not {str(paths.model(cell)), str(paths.prepared)} <= outs.keys():
        raise RegistryError(
            f"{name} has no model here yet; make it with `dvc repro train@{name}-{cell}`"
        )
    return Provenance(
        name=name,
        label=f"{name} in the working tree",
        commit=fingerprint.code_state(root).get("git.commit", ""),
        patch=fingerprint.patch(root).get("code.patch", ""),
        outs=outs,
        tags=fingerprint.training_tags(root, name, problem, cell),
        params=fingerprint.flat(problem, cell),
        cell=cell,
        refitted=layout.refitted is not None,
    )


def _of_version(root: Path, name: str, alias: str | None, version: str | None) -> Provenance:
    import mlflow

    client = store.connect(root)
    version = lookup.resolve(client, name, alias, version).version
    registered = client.get_model_version(name, version)  # others lack the aliases
    run, patch = client.get_run(registered.run_id), ""
    if any(file.path == "code.patch" for file in client.list_artifacts(registered.run_id)):
        with store.guarded(root):
            patch = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/code.patch")
    aliases = "".join(f" @{alias}" for alias in sorted(registered.aliases))
    return Provenance(
        name=name,
        label=f"{name} version {version}{aliases}",
        commit=run.data.tags.get("git.commit", ""),
        patch=patch,
        outs=json.loads(registered.tags.get("outs", "{}")),
        tags=run.data.tags,
        params=run.data.params,
        run=run,
        version=registered,
        cell=registered.tags.get("cell", MODEL),
        refitted="final.md5" in registered.tags,
    )


def trace(root: Path, model: Provenance) -> list[tuple[str, str]]:
    """Return each step from a model back to its raw file, with what is known of it."""
    paths, short, tags = Layout(Path(), model.name), fingerprint.short, model.tags
    stage = tags.get("DVC_STAGE") or f"train@{model.name}-{model.cell}"
    scores = [f"{key} {value:.4g}" for key, value in model.metrics(root).items()]
    params = [f"{key} {value}" for key, value in model.params.items() if key in SHOWN]
    machine = [f"{key.removeprefix('env.')} {value}" for key, value in model.environment.items()]
    path = model.params.get("data.path", "")
    lines = {
        "model": f"{model.label}, md5 {short(model.outs.get(str(paths.model(model.cell))))}",
        "test": ", ".join(scores[:6]),
        "run": _run(model),
        "commit": _commit(root, model),
        "stage": f"{stage}: python pipelines/train.py {model.name} {model.cell}",
        "params": f"md5 {short(tags.get('params.md5'))}: {', '.join(params)}",
        "data": f"{paths.prepared}, md5 {short(tags.get('data.md5'))}",
        "raw": _raw(root, path, tags.get("raw.md5", "")),
        "card": raw_table.card(root, path),
        "made on": ", ".join(machine) or "not recorded",
    }
    rows, trust = list(lines.items()), [NO_MANIFEST]
    if model.version is None:
        rows[1:1] = _refitted(root, model, Layout(root, model.name).final)
    elif manifest.TAG in model.version.tags or model.refitted:
        with artifacts.fetched(model.version) as copy:
            trust = list(_trust(copy))
            rows[1:1] = _refitted(root, model, copy.forecasting)
    if md5 := tags.get("parent.md5"):
        rows.insert(1, ("parent", _ancestors(root, model.name, md5)))
    if model.version is not None:
        rows[1:1] = [
            ("verdict", model.version.tags.get("verdict", "none is recorded")),
            *trust,
        ]
    return rows


def _trust(copy: artifacts.Fetched) -> Iterator[tuple[str, str]]:
    """Yield the manifest and the signature of a version, whose model files were compared."""
    if copy.content is None:
        yield NO_MANIFEST
        return
    digest, count = copy.version.tags[manifest.TAG], len(copy.content["files"])
    yield "manifest", f"sha256 {digest}, {count} files; the model's are unchanged"
    signature = artifacts.signature(copy)
    key = signing.key_sha256(signature or b"")
    named = f"names a key of sha256 {key or 'unknown'}; `retain verify` checks it"
    yield "signed", "no" if signature is None else named


def _refitted(root: Path, model: Provenance, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield which model, in `folder`, forecasts, and on which rows both were trained."""
    if not model.refitted:
        return
    md5 = model.outs.get(str(Layout(Path(), model.name).final))
    found = model_files.read_config(folder)["refit"]
    yield "final", f"md5 {fingerprint.short(md5)}: {found['sentence']}"
    if model.version is not None:
        spans = [model.version.tags[tag] for tag in ("data.span", "final.span")]
    else:
        layout = Layout(root, model.name)
        folders = (layout.model(model.cell), layout.final)
        spans = [model_files.load_model(folder).trained_on() for folder in folders]
    yield "rows", f"{spans[0]} (evaluated), {spans[1]} (refitted, forecasts)"


def _ancestors(root: Path, name: str, md5: str) -> str:
    """Return the models that a training started from, one after another."""
    line = []
    for of, version in parents.line_of(root, name, md5):
        label = "an unregistered model" if version is None else f"version {version.version}"
        line.append(f"{label}, md5 {fingerprint.short(of)}")
    return "started from " + "; that from ".join(line)


def parent(root: Path, model: Provenance) -> Provenance | None:
    """Return what is recorded of the model that a training started from.

    None where it started from random weights.

    Raises:
        RegistryError: that model is not registered here.
    """
    md5 = model.tags.get("parent.md5")
    if not md5:
        return None
    version = parents.find_registered(root, model.name, md5)
    if version is None:
        raise RegistryError(
            f"{model.label} started from a model that is not registered here, md5 {md5}"
        )
    return _of_version(root, model.name, None, str(version.version))


def _run(model: Provenance) -> str:
    if model.run is None:
        return "that of the working tree; find it by model.md5 in `make ui`"
    info = model.run.info
    restored = ", written anew from its files" if "restored" in model.tags else ""
    return f"{info.run_name} {info.run_id}, {info.status}{restored}"


def _commit(root: Path, model: Provenance) -> str:
    if not model.commit:
        return "none: the project was not in git"
    git, subject = Git(root), f"{model.commit[:9]}, which this clone does not have"
    if git.find(f"{model.commit}^{{commit}}"):
        subject = git.run("log", "-1", "--format=%h %s", model.commit)
    changed = len(re.findall(r"^diff --git", model.patch, re.MULTILINE))
    if not changed:
        return subject
    where = "the run's code.patch" if model.run is not None else "`git diff HEAD`"
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
        today = fingerprint.path_md5(place)
        state = "unchanged" if today == md5 else f"changed since: today {fingerprint.short(today)}"
    return f"{path}, md5 {fingerprint.short(md5)}, {state}"
