"""`retain prove`: make a model anew from what is recorded of it, and compare.

The commit that a model was trained at, with the patch where the tree was not clean, is checked out
into a scratch clone, the raw file is taken from git or from DVC's cache, and the stages run again
there: with the code of the clone where it is a checkout, else with the wheel that was recorded.
Nothing of this touches the working tree, its cache or the tracking store.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retain.config.schema import Prove
from retain.errors import DvcError, ProofError
from retain.evaluation import choice
from retain.project import dvc, files, fingerprint
from retain.project.git import Git
from retain.project.layout import Layout
from retain.registry import parents
from retain.registry.provenance import Provenance

IDENTICAL, DIFFERENT, NEAR = 0, 1, 3  # exit codes
TORCH = re.compile(r"^torch==.*\n(?:[ \t].*\n)*", re.MULTILINE)
VERDICTS = {
    IDENTICAL: "identical",
    NEAR: "different within the tolerance",
    DIFFERENT: "different",
}


@dataclass(frozen=True)
class Compared:
    """One output of a stage, then and now; without md5 where it was not there."""

    stage: str
    path: str
    recorded: str | None
    rebuilt: str | None

    @property
    def identical(self) -> bool:
        """Whether it has the same bytes."""
        return self.recorded == self.rebuilt

    def __str__(self) -> str:
        then, now = (
            fingerprint.short(md5) if md5 else "missing" for md5 in (self.recorded, self.rebuilt)
        )
        how = f"identical  {now}" if self.identical else f"different  {then}, made anew {now}"
        return f"{self.stage:<24} {self.path:<32} {how}"


@dataclass(frozen=True)
class Proof:
    """How a model made anew compares with the recorded one."""

    compared: list[Compared]
    weights: float  # the largest difference of a weight
    metrics: float  # the largest relative difference of a test metric
    tolerance: float
    environment: list[str]  # what differs, in words

    @property
    def code(self) -> int:
        """The exit code: identical, different within the tolerance, or different."""
        if all(output.identical for output in self.compared):
            return IDENTICAL
        return NEAR if self.metrics <= self.tolerance else DIFFERENT

    def lines(self) -> list[str]:
        """Return what a person reads: stage by stage, then what explains a difference."""
        lines = [str(output) for output in self.compared]
        if self.code != IDENTICAL:
            lines.append(
                f"largest difference of a weight {self.weights:.3g}, of a test metric "
                f"{self.metrics:.3g} of its value (tolerance {self.tolerance:g})"
            )
        lines.append(f"machine and libraries: {'; '.join(self.environment) or 'the same'}")
        lines.append(VERDICTS[self.code])
        return lines


def prove(root: Path, model: Provenance, fresh: bool = False, wheels: Path | None = None) -> Proof:
    """Run the stages up to `evaluate`, and `refit` if it ran, again, and compare what they write.

    Args:
        fresh: in an environment made of the commit's requirements.lock, instead of this one.
        wheels: a folder that may have files of the lock, besides those of the project.

    Raises:
        ProofError: the model cannot be made anew: its commit or its data is gone, it was trained
            with another wheel of retain, or a stage fails.
        GitError: git cannot check its commit out, or apply its patch.
    """
    if not model.commit:
        raise ProofError(f"{model.label} was trained outside git: no commit is recorded")
    if not model.outs:
        raise ProofError(f"{model.label}: what its stages left was not recorded with it")
    with files.folder(root, f"prove-{model.name}") as scratch:
        tree = _check_out(root, model, scratch / "tree")
        tolerance = _tolerance(tree, model.name)
        _fetch(root, tree, model.params.get("data.path", ""))
        parents.bring(root, tree, model.name, _entry(tree, model.name).get("training") or {})
        folders = [*filter(None, [wheels]), root / "wheels", tree / "wheels"]
        python = _fresh_python(tree, folders) if fresh else Path(sys.executable)
        today = _environment(tree, python, model.environment.get("env.threads", "1"))
        _check_release(tree, model, today, fresh)
        stages = [f"evaluate@{model.name}"]
        if str(Layout(Path(), model.name).final) in model.outs:
            stages.append(f"refit@{model.name}")
        _repro(tree, stages, python)
        rebuilt = fingerprint.output_md5s(tree, model.name)
        layout, weights = Layout(tree, model.name), 0.0
        for final in (False, True) if model.refitted else (False,):
            with model.model(root, final) as recorded:
                anew = layout.final if final else layout.model(model.cell)
                weights = max(weights, _largest_difference(recorded, anew))
        return Proof(
            compared=[
                Compared(_stage(path), path, model.outs.get(path), rebuilt.get(path))
                for path in dict.fromkeys([*model.outs, *rebuilt])
            ],
            weights=weights,
            metrics=_relative_difference(
                model.metrics(root), fingerprint.test_metrics(tree, model.name, model.cell)
            ),
            tolerance=tolerance,
            environment=_differences(model.environment, today),
        )


def _stage(path: str) -> str:
    """Return the stage that writes a path."""
    match path.split("/"):
        case ["data", "prepared", name]:
            return f"prepare@{name}"
        case ["models", name, "final"]:
            return f"refit@{name}"
        case ["models", name, cell]:
            return f"train@{name}-{cell}"
        case [_, name, *_]:
            return f"evaluate@{name}"
    return "?"


def _check_out(root: Path, model: Provenance, target: Path) -> Path:
    """Make `target` the repository as the model was trained in it; return the project's folder."""
    git = Git(root)
    clone = git.clone(target)
    if clone.find(f"{model.commit}^{{commit}}") is None:
        raise ProofError(
            f"{model.label} was trained at commit {model.commit}, which this clone does not "
            f"have: git fetch it"
        )
    clone.check_out(model.commit, model.patch)
    return target / git.run("rev-parse", "--show-prefix")


def _fetch(root: Path, tree: Path, path: str) -> None:
    """Bring the raw data, if git has not, from the cache of this clone."""
    if not path or "://" in path or (tree / path).exists():
        return
    cache = dvc.cache_folder(root).parents[1]  # files/md5 in what may be a remote
    # From the clone in the project, since DVC writes no letter above ASCII into its config.
    place = os.path.relpath(cache.resolve(), tree.resolve())
    try:
        dvc.run(tree, "remote", "add", "-q", "--local", "proof", place)
        dvc.run(tree, "pull", "-q", "-r", "proof", path)
    except DvcError as error:
        raise ProofError(
            f"{path} is neither in git nor in DVC's cache as it was: track it with "
            f"`dvc add {path}`, or `dvc fetch` it\n{error}"
        ) from None


def _tolerance(tree: Path, name: str) -> float:
    """Return `prove.tolerance` of a problem."""
    return float((_entry(tree, name).get("prove") or {}).get("tolerance", Prove().tolerance))


def _entry(tree: Path, name: str) -> dict[str, Any]:
    """Return the entry of a problem, without what another release may word otherwise."""
    from ruamel.yaml import YAML

    problems = YAML(typ="safe").load(tree / "params.yaml").get("problems") or {}
    if name not in problems:
        raise ProofError(f"params.yaml had no problem `{name}` at that commit")
    entry: dict[str, Any] = problems[name]
    return entry


def _fresh_python(tree: Path, wheels: Sequence[Path]) -> Path:
    """Make an environment of the locked versions of the commit, and return its interpreter.

    torch's build is chosen as `make setup` does it.
    """
    python = tree.resolve() / ".venv" / "bin" / "python"
    links = [f"--find-links={folder.resolve()}" for folder in wheels if folder.is_dir()]
    install = (str(python), "-m", "pip", "install", "-q", *links)
    _run(tree, sys.executable, "-m", "venv", ".venv")
    if not (tree / "requirements-cuda.lock").is_file():  # a lock without hashes, for both builds
        _run(tree, *install, "-r", "requirements.lock")
        return python
    lock = (tree / "requirements.lock").read_text(encoding="utf-8")
    torch = TORCH.search(lock)
    assert torch is not None
    for name, text in (("torch", torch[0]), ("rest", lock.replace(torch[0], ""))):
        (tree / ".venv" / f"{name}.lock").write_text(text, encoding="utf-8")
    try:
        _run(tree, *install, "--no-deps", "-r", ".venv/torch.lock")
    except ProofError:
        _run(tree, *install, "--no-deps", "-r", "requirements-cuda.lock")
    _run(tree, *install, "--no-deps", "-r", ".venv/rest.lock")
    return python


def _run(tree: Path, *command: str, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProofError(f"`{' '.join(command[:4])} …` failed: {done.stderr.strip()}")
    return done.stdout.strip()


def _check_release(tree: Path, model: Provenance, today: dict[str, str], fresh: bool) -> None:
    """Raise ProofError where a project's model was trained with another wheel than would run."""
    then, now = model.environment.get("env.retain", ""), today["env.retain"]
    if (tree / "src" / "retain").is_dir() or then in ("", now):
        return
    if fresh:
        raise ProofError(f"the lock of that commit gives retain {now}; recorded is {then}")
    raise ProofError(
        f"it was trained with retain {then}, and {now} is installed: `retain prove --fresh` "
        f"installs what the commit locks first"
    )


def _environment(tree: Path, python: Path, threads: str) -> dict[str, str]:
    """Return `fingerprint.environment` under the interpreter that runs the stages."""
    code = "import json, retain.project.fingerprint as f; print(json.dumps(f.environment({})))"
    own = (tree / "src" / "retain").is_dir() or python == Path(sys.executable)
    paths = {"PYTHONPATH": str(Path(fingerprint.__file__).parents[2])} if own else {}
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    said = _run(tree, str(python), "-c", code.format(int(threads)), env=kept | paths)
    tags: dict[str, str] = json.loads(said)
    return tags


def _repro(tree: Path, stages: list[str], python: Path) -> None:
    """Run some stages and all before them, with the code of the tree and a tracking store there."""
    of_here = ("MLFLOW_", "DVC_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(of_here)}
    variables = kept | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tree.resolve() / "src"),
        "DVC_SITE_CACHE_DIR": str(tree.resolve() / ".dvc" / "site"),
        "DVC_NO_ANALYTICS": "true",
    }
    if dvc.repro(tree, stages, python, variables) != 0:
        raise ProofError(f"`dvc repro --force {' '.join(stages)}` failed at that commit: see above")


def _largest_difference(recorded: Path, rebuilt: Path) -> float:
    """Return the largest difference of a weight in any fold; infinite where others are there."""
    from safetensors.numpy import load_file

    one, other = (
        {
            (number, key): weight
            for number, folder in enumerate(choice.fold_folders(model))
            for key, weight in load_file(folder / "weights.safetensors").items()
        }
        for model in (recorded, rebuilt)
    )
    if {k: v.shape for k, v in one.items()} != {k: v.shape for k, v in other.items()}:
        return float("inf")
    return max(float(abs(one[key] - other[key]).max(initial=0.0)) for key in one)


def _relative_difference(recorded: dict[str, float], rebuilt: dict[str, float]) -> float:
    both = recorded.keys() & rebuilt.keys()
    if not both:
        return float("inf")
    return max(abs(recorded[key] - rebuilt[key]) / max(abs(recorded[key]), 1e-12) for key in both)


def _differences(then: dict[str, str], now: dict[str, str]) -> list[str]:
    return [
        f"{key.removeprefix('env.')} {then.get(key, 'unknown')}, now {now.get(key, 'unknown')}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]
