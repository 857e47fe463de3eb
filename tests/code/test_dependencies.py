"""dvc.yaml names every module that a stage imports, and imports run one way."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from retain.params import KINDS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
STAGES = ("prepare", "train", "evaluate", "register")


def module_file(name: str) -> Path | None:
    base = SOURCE.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imports(path: Path) -> set[str]:
    """The modules of this project that a file imports; `room(…, "x")` imports each kind's x."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("room", "room_of") and isinstance(node.args[-1], ast.Constant):
                found |= {f"{package}.{node.args[-1].value}" for package in KINDS.values()}
    if path.name == "params.py" and path.parent.name == "retain":
        found |= {f"{package}.params" for package in KINDS.values()}  # by name, when parsing
    with_parents = {".".join(name.split(".")[:n]) for name in found for n in range(1, 9)}
    return {name for name in with_parents if name.startswith("retain") and module_file(name)}


def reached(path: Path) -> set[str]:
    """All files that running `path` may import, as dvc.yaml writes them."""
    todo, seen = [path], set()
    while todo:
        current = todo.pop()
        if current not in seen:
            seen.add(current)
            todo += [file for name in imports(current) if (file := module_file(name))]
    return {file.relative_to(ROOT).as_posix() for file in seen}


def declared(stage: str) -> set[str]:
    content = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"][stage]
    return {dep for dep in content.get("do", content)["deps"] if dep.endswith((".py", ".j2"))}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_it_imports(stage: str) -> None:
    needed = reached(ROOT / "pipelines" / f"{stage}.py")
    if "src/retain/report.py" in needed:
        needed.add("src/retain/report.html.j2")
    if "src/retain/registry.py" in needed:
        needed.add("src/retain/pyfunc.py")  # MLflow runs it
    assert declared(stage) == needed


def all_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    return names | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


def files_importing(library: str) -> set[str]:
    return {
        path.relative_to(SOURCE / "retain").as_posix()
        for path in (SOURCE / "retain").rglob("*.py")
        if any(name.split(".")[0] == library for name in all_imports(path))
    }


def test_only_training_imports_lightning() -> None:
    assert files_importing("pytorch_lightning") == {"training.py"}


def test_only_the_store_the_registry_and_the_served_model_import_mlflow() -> None:
    users = {"store.py", "journal.py", "tracking.py", "registry.py", "origins.py", "pyfunc.py"}
    by_type_alone = {"promotion.py", "rehydration.py", "versions.py", "server/live.py"}
    assert files_importing("mlflow") == users | by_type_alone


def test_prepare_reaches_no_module_that_imports_torch() -> None:
    torch_users = {f"src/retain/{name}" for name in files_importing("torch")}
    assert not reached(ROOT / "pipelines" / "prepare.py") & torch_users


def test_a_kind_is_imported_by_no_module_outside_it() -> None:
    outside = [path for path in (SOURCE / "retain").glob("*.py") if path.name != "cli.py"]
    for path in outside:
        assert not any("forecast" in name for name in all_imports(path)), path.name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_script_fits_on_a_screen(stage: str) -> None:
    assert len((ROOT / "pipelines" / f"{stage}.py").read_text().splitlines()) <= 60
