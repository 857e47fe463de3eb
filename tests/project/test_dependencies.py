"""What a stage runs is found, kind by kind; imports run one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from retain.config.kind import KINDS
from retain.project import code_deps

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
STAGES = ("prepare", "train", "evaluate", "register")
PACKAGES = set(KINDS.values())


def reached(stage: str, package: str) -> set[str]:
    """All files that a stage may import for a kind."""
    script = ROOT / "pipelines" / f"{stage}.py"
    files = code_deps.reached(SOURCE, script, package, PACKAGES)
    return {file.relative_to(ROOT).as_posix() for file in files}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stage that reads a room of the kind, a page and what the room imports; two kinds."""
    files = {
        "stage.py": "from retain import params\nkind = params.room(problem, 'task')\n",
        "src/retain/__init__.py": "",
        "src/retain/params.py": "import retain.kinds\ndef room(problem, name): ...\n",
        "src/retain/kinds.py": "",
        "src/retain/page.py": "TEMPLATE = 'page.html'\n",
        "src/retain/page.html": "",
        "src/retain/unused.py": "",
        "src/retain/typed.py": "",
        "src/retain/one/__init__.py": "",
        "src/retain/one/task.py": "from retain import page\nfrom retain.one import deep\n",
        "src/retain/one/deep.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from retain import typed\n"
            "def late():\n    import retain.two.task\n    import retain.one.late\n"
        ),
        "src/retain/one/late.py": "",
        "src/retain/one/figures.py": "",
        "src/retain/two/__init__.py": "",
        "src/retain/two/task.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_stage_reaches_the_rooms_of_its_own_kind_and_what_they_import(project: Path) -> None:
    found = code_deps.reached(
        project / "src", project / "stage.py", "retain.one", {"retain.one", "retain.two"}
    )
    names = [file.relative_to(project).as_posix().removeprefix("src/retain/") for file in found]
    assert names == [
        "__init__.py",
        "one/__init__.py",
        "one/deep.py",
        "one/late.py",
        "one/task.py",
        "page.html",
        "page.py",
        "params.py",
        "stage.py",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_no_stage_of_a_kind_reaches_another_kind(kind: str) -> None:
    for stage in STAGES:
        for other in KINDS.keys() - {kind}:
            assert not any(f"retain/{other}/" in path for path in reached(stage, KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_rooms_of_a_kind_import_is_reached(kind: str) -> None:
    """Compared with what Python has imported once the rooms that `train` reads are there."""
    code = (
        f"import sys, retain.config.schema, {KINDS[kind]}.task\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'retain'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    files = {Path(name).relative_to(SOURCE.resolve()).as_posix() for name in done.stdout.split()}
    assert files - {path.removeprefix("src/") for path in reached("train", KINDS[kind])} == {
        "retain/kinds.py"
    }


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("evaluate", "src/retain/report.html.j2"),
        ("register", "src/retain/pyfunc.py"),  # MLflow runs it
        ("prepare", "src/retain/forecast/params.py"),
        ("train", "pipelines/train.py"),
    ],
)
def test_what_is_read_by_name_is_reached(stage: str, path: str) -> None:
    assert path in reached(stage, "retain.kinds.forecast")


def test_a_change_of_a_figure_trains_nothing() -> None:
    for kind in KINDS:
        assert not any("figures" in path for path in reached("train", KINDS[kind]))


def test_every_stage_depends_on_its_list() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for stage in STAGES:
        deps = stages[stage].get("do", stages[stage])["deps"]
        assert any(dep.startswith("data/code/") and dep.endswith(f"/{stage}.txt") for dep in deps)


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
    by_type_alone |= {"retraining/checks.py", "retraining/summary.py"}
    assert files_importing("mlflow") == users | by_type_alone


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_the_server_runs_no_stage(kind: str) -> None:
    for stage in STAGES:
        found = reached(stage, KINDS[kind])
        assert not any("/server/" in path or path.endswith("/web.py") for path in found)


@pytest.mark.parametrize("kind", KINDS)
def test_prepare_reaches_no_module_that_imports_torch(kind: str) -> None:
    torch_users = {f"src/retain/{name}" for name in files_importing("torch")}
    assert not reached("prepare", KINDS[kind]) & torch_users


def test_a_kind_is_imported_by_no_module_outside_it() -> None:
    files = [*(SOURCE / "retain").glob("*.py"), *(SOURCE / "retain" / "server").glob("*.py")]
    outside = [path for path in files if path.name != "cli.py"]
    for path in outside:
        for package in PACKAGES:
            assert not any(package in name for name in all_imports(path)), path.name


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_imports_no_other(kind: str) -> None:
    for path in (SOURCE / "retain" / kind).glob("*.py"):
        for package in PACKAGES - {KINDS[kind]}:
            assert not any(package in name for name in all_imports(path)), path.name


@pytest.mark.parametrize("stage", ["code", *STAGES])
def test_a_stage_script_fits_on_a_screen(stage: str) -> None:
    assert len((ROOT / "pipelines" / f"{stage}.py").read_text().splitlines()) <= 60
