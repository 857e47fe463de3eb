"""Identity by content: the md5 that DVC gives a file or folder, and the state of the code.

A model is known by the md5 of its folder, the very number that dvc.lock holds, so that a run in the
tracking store, a version in the registry and a line of dvc.lock can be joined without ever writing
a run's id into anything that DVC tracks.
"""

import json
import os
import platform
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from retain.project import dvc
from retain.project.files import md5
from retain.project.git import Git
from retain.project.layout import Layout

if TYPE_CHECKING:
    from retain.config.schema import Problem

# Those whose version may change what comes out of a stage.
LIBRARIES = ("torch", "pytorch-lightning", "numpy", "pandas", "pyarrow")

# What of a problem a training does not look at; a preset is in the sections that it fills.
UNTRAINED = {"gate", "kind", "preset", "prove", "refit", "register_cell", "retrain"}
# What of git's files says nothing of what a stage will do: the pipeline writes the lock and the
# ledger itself.
NOT_CODE = (":!dvc.lock", ":!models/*/ledger.csv", ":!models/*/promotions.csv")
# Where a file that git does not know yet decides what a stage does.
CODE = ("src", "pipelines", "dvc.yaml", "params.yaml", "requirements.lock")
# What `evaluate` leaves in reports/P.
EVALUATED = ("metrics.json", "report.html", "report.md", "plots", "figures")


def file_md5(path: Path) -> str:
    """Return the md5 of a file, as DVC gives it."""
    with path.open("rb") as file:
        return md5(file)


def path_md5(path: Path) -> str:
    """Return the md5 of a folder or a file, as DVC gives it."""
    return folder_md5(path) if path.is_dir() else file_md5(path)


def folder_md5(folder: Path) -> str:
    """Return the md5 that DVC gives a folder: of the JSON list of its files and their md5."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = [
        {"md5": file_md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files
    ]
    entries.sort(key=lambda entry: entry["relpath"])
    return text_md5(json.dumps(entries, sort_keys=True)) + ".dir"


def text_md5(text: str) -> str:
    """Return the md5 of a text in UTF-8."""
    return md5(text.encode())


def short(md5: str | None) -> str:
    """Return the first digits of an md5, as a person reads it."""
    return md5[:12] if md5 else "not recorded"


def output_md5s(root: Path, name: str) -> dict[str, str]:
    """Return the md5 of what the stages of a problem left here, by path."""
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


def training_tags(root: Path, name: str, problem: "Problem", cell: str) -> dict[str, str]:
    """Return what a model is made of, as tags of its run: data, params, code and machine."""
    recipe = {
        "cell": cell,
        "model": problem.model_dump(mode="json")["model"],
        "training": problem.training.model_dump(mode="json"),
        "folds": problem.folds,
    }
    data_md5 = folder_md5(Layout(root, name).prepared)
    params_md5 = text_md5(json.dumps(recipe, sort_keys=True))
    return {
        "raw.md5": _raw_md5(root, name, data_md5),
        "data.md5": data_md5,
        "params.md5": params_md5,
        **code_state(root),
        **environment(problem.training.threads),
    }


def flat(problem: "Problem", cell: str) -> dict[str, str]:
    """Return a problem's params by `section.key`, as MLflow's table compares them."""
    params: dict[str, Any] = {"cell": cell}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        else:
            params[prefix] = value if isinstance(value, str) else json.dumps(value)

    for section, content in problem.model_dump(mode="json", exclude=UNTRAINED).items():
        walk(section, content)
    # A column's name may hold what MLflow's keys may not.
    return {re.sub(r"[^\w\-. :/]", "_", key): value for key, value in params.items()}


def _raw_md5(root: Path, name: str, data_md5: str) -> str:
    """Return the md5 of what `prepare` read; empty where dvc.lock has that of other data."""
    stage = dvc.locked(dvc.read_lock(root), f"prepare@{name}")
    if any(out["md5"] == data_md5 for out in stage.get("outs", ())):
        raw = stage["params"]["params.yaml"][f"problems.{name}.data"]["path"]
        return next((str(dep["md5"]) for dep in stage["deps"] if dep["path"] == raw), "")
    return ""


def code_state(root: Path) -> dict[str, str]:
    """Return commit, whether the tree differs from it, and DVC's stage and experiment, as tags."""
    tags = {key: os.environ[key] for key in ("DVC_STAGE", "DVC_EXP_NAME") if os.environ.get(key)}
    commit = Git(root).find("HEAD")
    if commit:
        tags |= {"git.commit": commit, "git.dirty": str(bool(patch(root))).lower()}
    return tags


def patch(root: Path) -> dict[str, str]:
    """Return what makes the tree of the last commit: `code.patch`, or nothing where it is clean."""
    if Git(root).find("HEAD") is None:
        return {}
    with TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        git = Git(root, GIT_INDEX_FILE=str(index))
        used = root / Git(root).run("rev-parse", "--git-path", "index")
        if used.is_file():
            shutil.copy2(used, index)  # with its time, by which git knows what may have changed
        # Code that git does not track yet is in the patch as if it were added.
        names = git.run("ls-files", "--others", "--exclude-standard", "-z", "--", *CODE)
        if names:
            git.run("add", "--intent-to-add", "--", *names.strip("\0").split("\0"))
        usual = ("--src-prefix=a/", "--dst-prefix=b/")  # whatever the user's git would write
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
    """Return what else may decide over the last bits of a model, as tags: machine, libraries."""
    from importlib.metadata import version

    tags = {f"env.{name}": version(name) for name in LIBRARIES}
    return tags | {
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
