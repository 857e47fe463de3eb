"""Identify files by content: DVC's md5 of a file or folder, and the state of the code.

A model is identified by the md5 of its folder, as in dvc.lock. So a run in the tracking store, a
version in the registry and a line of dvc.lock can be joined, and no file that DVC tracks contains a
run's id.
"""

import json
import os
import platform
import re
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from retain.config import plugins, release
from retain.project import dvc
from retain.project.files import md5
from retain.project.git import Git
from retain.project.layout import Layout

if TYPE_CHECKING:
    from retain.config.schema import Problem, Training

# Libraries whose version may change the outputs of a stage.
LIBRARIES = ("torch", "pytorch-lightning", "numpy", "pandas", "pyarrow", "tokenizers", "sacrebleu")

# Keys of a problem that a training does not read; a preset's values are in the other sections.
UNTRAINED = {"gate", "kind", "preset", "prove", "refit", "register_cell", "retrain", "tune"}
# Files in git that do not change what a stage does: the pipeline writes the lock and the ledger.
NOT_CODE = (":!dvc.lock", ":!models/*/ledger.csv")
# Paths where an untracked file changes what a stage does.
CODE = ("src", "pipelines", "dvc.yaml", "params.yaml", "requirements.lock")
# What `evaluate` writes into reports/P.
EVALUATED = ("metrics.json", "scores.json", "report.html", "report.md", "plots", "figures")


def file_md5(path: Path) -> str:
    """Return the md5 of a file, as in DVC."""
    with path.open("rb") as file:
        return md5(file)


def path_md5(path: Path) -> str:
    """Return the md5 of a folder or a file, as in DVC."""
    return folder_md5(path) if path.is_dir() else file_md5(path)


def folder_md5(folder: Path) -> str:
    """Return DVC's md5 of a folder: that of the JSON list of its files and their md5."""
    return text_md5(json.dumps(listing(folder), sort_keys=True)) + ".dir"


def listing(folder: Path) -> list[dict[str, str]]:
    """Return the files of a folder as DVC lists them: md5 and relpath, by relpath."""
    files = (path for path in folder.rglob("*") if path.is_file())
    entries = [
        {"md5": file_md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files
    ]
    return sorted(entries, key=lambda entry: entry["relpath"])


def text_md5(text: str) -> str:
    """Return the md5 of a text in UTF-8."""
    return md5(text.encode())


def short(md5: str | None) -> str:
    """Return the first digits of an md5, for display."""
    return md5[:12] if md5 else "not recorded"


def output_md5s(root: Path, name: str) -> dict[str, str]:
    """Return the md5 of the outputs of a problem's stages, by path."""
    layout = Layout(root, name)
    models, reports = sorted(layout.models.glob("*/")), (layout.reports / e for e in EVALUATED)
    paths = [path for path in (layout.prepared, *models, *reports) if path.exists()]
    return {path.relative_to(root).as_posix(): path_md5(path) for path in paths}


def test_metrics(root: Path, name: str, cell: str) -> dict[str, float]:
    """Return the finite test metrics of a model, from the report in the working tree."""
    path = Layout(root, name).metrics
    if not path.is_file():
        return {}
    scores = json.loads(path.read_text(encoding="utf-8"))["models"][cell].items()
    return {key: float(value) for key, value in scores if value is not None}


def test_errors(root: Path, name: str, error: str) -> dict[str, float]:
    """Return one finite test score of each model, from the report in the working tree."""
    models = json.loads(Layout(root, name).metrics.read_text(encoding="utf-8"))["models"]
    return {model: s[error] for model, s in models.items() if s.get(error) is not None}


def training_tags(root: Path, name: str, problem: "Problem", cell: str) -> dict[str, str]:
    """Return the inputs of a model as tags of its run: data, params, code and machine."""
    recipe = {
        "cell": cell,
        "model": problem.model_dump(mode="json")["model"],
        # A model that starts from the champion has the champion's recipe. How many processes train
        # together matters, not on how many nodes they run.
        "training": problem.training.model_dump(
            mode="json", exclude={"parent", "warm_start", "num_nodes"}
        )
        | {"devices": _processes(problem.training)},
        **problem.learned,
    }
    parent = problem.training.parents.get(cell)
    data_md5 = folder_md5(Layout(root, name).prepared)
    params_md5 = text_md5(json.dumps(recipe, sort_keys=True))
    return {
        "raw.md5": _raw_md5(root, name, data_md5),
        "data.md5": data_md5,
        "params.md5": params_md5,
        **({"parent.md5": parent} if parent else {}),
        **code_state(root),
        **environment(problem.training.threads),
    }


def _processes(training: "Training") -> int | str:
    """Return how many processes train together; of `auto`, what that depends on."""
    if training.world is not None:
        return training.world
    return "auto" if training.num_nodes == 1 else f"auto on {training.num_nodes} nodes"


def flat(problem: "Problem", cell: str) -> dict[str, str]:
    """Return a problem's params by `section.key`, for MLflow's table."""
    params: dict[str, Any] = {"cell": cell}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        else:
            params[prefix] = value if isinstance(value, str) else json.dumps(value)

    for section, content in problem.model_dump(mode="json", exclude=UNTRAINED).items():
        walk(section, content)
    # A column's name may have characters that MLflow's keys may not have.
    return {re.sub(r"[^\w\-. :/]", "_", key): value for key, value in params.items()}


def _raw_md5(root: Path, name: str, data_md5: str) -> str:
    """Return the md5 of the input of `prepare`; empty if dvc.lock has that of other data."""
    stage = dvc.locked(dvc.read_lock(root), f"prepare@{name}")
    if any(out["md5"] == data_md5 for out in stage.get("outs", ())):
        raw = stage["params"]["params.yaml"][f"problems.{name}.data"]["path"]
        return next((str(dep["md5"]) for dep in stage["deps"] if dep["path"] == raw), "")
    return ""


def code_state(root: Path) -> dict[str, str]:
    """Return commit, whether there are changes, and DVC's stage and experiment, as tags."""
    tags = {key: os.environ[key] for key in ("DVC_STAGE", "DVC_EXP_NAME") if os.environ.get(key)}
    commit = Git(root).find("HEAD")
    if commit:
        tags |= {"git.commit": commit, "git.dirty": str(bool(patch(root))).lower()}
    return tags


def patch(root: Path) -> dict[str, str]:
    """Return the uncommitted changes as `code.patch`; empty if there are none."""
    if Git(root).find("HEAD") is None:
        return {}
    with TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        git = Git(root, GIT_INDEX_FILE=str(index))
        used = root / Git(root).run("rev-parse", "--git-path", "index")
        if used.is_file():
            shutil.copy2(used, index)  # with its time stamp, which git uses to find changes
        # Untracked code is in the patch as if it were added.
        names = git.run(
            "ls-files", "--others", "--exclude-standard", "-z", "--", *CODE, *plugins.folders()
        )
        if names:
            git.run("add", "--intent-to-add", "--", *names.strip("\0").split("\0"))
        usual = ("--src-prefix=a/", "--dst-prefix=b/")  # whatever the user's git configuration says
        options = ("--binary", "--no-ext-diff", "--no-color", *usual)
        words = ("diff", *options, "HEAD", "--", ".", *NOT_CODE)
        try:
            text = git.run(*words)
        except UnicodeDecodeError:  # a text in another encoding: then all of it in base 85
            attributes = Path(folder) / "attributes"
            attributes.write_text("* -diff\n", encoding="utf-8")
            every = f"core.attributesFile={attributes}"
            text = Git(root, "-c", every, GIT_INDEX_FILE=str(index)).run(*words)
    return {"code.patch": text + "\n"} if text else {}


def environment(threads: int) -> dict[str, str]:
    """Return what else may change the last bits of a model, as tags: machine and libraries.

    For retain itself, the version and, with a wheel, the sha256 of its modules; in a checkout git
    has the code. A library that is not installed, as an older lock lacks some, has no tag.
    """
    from importlib.metadata import PackageNotFoundError, version

    tags: dict[str, str] = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            tags[f"env.{name}"] = version(name)
    modules = release.content_sha256()
    return tags | {
        "env.retain": release.version() + (f" sha256 {modules}" if modules else ""),
        "env.python": platform.python_version(),
        "env.cpu": _processor(),
        "env.threads": str(threads),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
