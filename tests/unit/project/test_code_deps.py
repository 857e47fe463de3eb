"""The lists that DVC's stages depend on: which modules a stage runs, and what each of them does."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from retain.config import kind as manifests
from retain.config.kind import BUILT_IN, STAGES, AnyKind, Kind, Lazy, find_kind
from retain.project import code_deps

ROOT = Path(__file__).parents[3]


def listed(root: Path, kind: AnyKind, stage: str) -> dict[str, str]:
    """The md5 of each file in a list, by its label."""
    lines = code_deps.code_list(root, kind, stage).splitlines()
    return {label: md5 for md5, label in (line.split("  ") for line in lines) if len(md5) == 32}


def real(kind: str, stage: str) -> dict[str, str]:
    found = find_kind(kind)
    assert found is not None
    return listed(ROOT, found, stage)


PARTS = ("problem", "prepare", "training", "evaluate", "report", "compare", "predictor")


def stub(name: str, package: str) -> AnyKind:
    """A kind whose parts are all attributes of the module `task` of a package."""
    targets = {part: cast("Any", Lazy(f"{package}.task:{part}")) for part in PARTS}
    return Kind(name=name, command="", **targets)


FILES = {
    "pipelines/train.py": "from retain import engine\nfrom retain.config import kind\n",
    "src/retain/__init__.py": "import retain.unused\n",
    "src/retain/config/__init__.py": "",
    "src/retain/config/kind.py": "import retain.unused\n",
    "src/retain/engine.py": "def load(problem): ...\n",
    "src/retain/page.py": "TEMPLATE = 'page.html'\nSCRIPT = 'script.py'\n",
    "src/retain/page.html": "",
    "src/retain/script.py": "",
    "src/retain/unused.py": "",
    "src/retain/typed.py": "",
    "src/retain/one/__init__.py": "import retain.unused\nKIND = 1\n",
    "src/retain/one/task.py": "from retain import page\nfrom retain.one import deep\n",
    "src/retain/one/deep.py": (
        "import typing\n"
        "if typing.TYPE_CHECKING:\n    from retain import typed\n"
        "def late():\n    from . import late\n"
    ),
    "src/retain/one/late.py": "import numpy\n",
    "src/retain/one/figures.py": "",
    "src/retain/two/__init__.py": "",
    "src/retain/two/task.py": "",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stage, a kind with a page and a module that is imported late, and another kind."""
    monkeypatch.setattr(manifests, "BUILT_IN", {"one": "retain.one:KIND", "two": "retain.two:KIND"})
    manifests._entry_points.cache_clear()
    return write(tmp_path / "project", FILES)


@pytest.fixture(autouse=True)
def _forget_kinds() -> Any:
    yield
    manifests._entry_points.cache_clear()


def test_a_stage_reaches_the_parts_of_its_kind_and_what_they_import(project: Path) -> None:
    names = [
        name.removeprefix("retain/") for name in listed(project, stub("one", "retain.one"), "train")
    ]
    assert names == [
        "pipelines/train.py",
        "config/__init__.py",
        "engine.py",
        "one/deep.py",
        "one/late.py",
        "one/task.py",
        "page.html",
        "page.py",
        "script.py",
    ]


def test_the_list_names_the_parts_that_the_stage_runs(project: Path) -> None:
    text = code_deps.code_list(project, stub("one", "retain.one"), "train")
    assert text.startswith("problem  retain.one.task:problem\ntraining  retain.one.task:training\n")


def test_a_kind_of_another_package_is_followed_and_named_by_its_modules(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {
        "acme/__init__.py": "",
        "acme/task.py": "from retain import engine\nfrom .parts import network, Name\nimport re\n",
        "acme/parts/__init__.py": "Name = 'page.html'\n",
        "acme/parts/page.html": "",
        "acme/parts/network.py": "import acme.missing\n",
        "acme/unused.py": "",
    }
    monkeypatch.syspath_prepend(str(write(tmp_path / "site", elsewhere)))
    found = listed(project, stub("acme", "acme"), "train")
    assert [*found] == [
        "acme/__init__.py",
        "acme/parts/__init__.py",
        "acme/parts/network.py",
        "acme/parts/page.html",
        "acme/task.py",
        "pipelines/train.py",
        "retain/config/__init__.py",
        "retain/engine.py",
    ]
    assert "acme" not in sys.modules


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_lists_of_an_installed_retain_are_those_of_its_checkout(
    name: str, tmp_path: Path
) -> None:
    kind = find_kind(name)
    assert kind is not None
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines")
    for stage in STAGES:
        assert code_deps.code_list(tmp_path, kind, stage) == code_deps.code_list(ROOT, kind, stage)


def test_a_kind_in_a_single_module_is_followed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = write(tmp_path / "site", {"acme_alone.py": "from retain import engine\n"})
    monkeypatch.syspath_prepend(str(site))
    targets = {part: cast("Any", Lazy(f"acme_alone:{part}")) for part in PARTS}
    found = listed(project, Kind(name="alone", command="", **targets), "train")
    assert {"acme_alone.py", "retain/engine.py"} <= found.keys()


SAME = {
    "a comment": ("x = 1\n", "x = 1  # one\n"),
    "a docstring": ('def f():\n    """One."""\n    return 1\n', "def f():\n    return 1\n"),
    "only a docstring": ('class E(Exception):\n    """One."""\n', 'class E(Exception):\n    "2"\n'),
    "the layout": ("f(a, b)\n", "f(\n    a,\n    b,\n)\n"),
    "the quotes": ("x = 'a' 'b'\n", 'x = "ab"\n'),
    "what is for types": (
        "x = 1\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas as pd\nx = 1\n",
    ),
    "a text behind a field": ('x: int = 1\n"""One."""\n', "x: int = 1\n"),
}
OTHER = {
    "a value": ("x = 1\n", "x = 2\n"),
    "a default": ("def f(x=1): ...\n", "def f(x=2): ...\n"),
    "a type that pydantic checks": ("x: int = 1\n", "x: float = 1\n"),
    "an import": ("from a import f\n", "from b import f\n"),
    "a decimal": ("x = 1\n", "x = 1.0\n"),
    "an empty text": ("x = ['a']\n", "x = ['a', '']\n"),
    "the other branch": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    x = 1\nelse:\n    x = 2\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    x = 1\nelse:\n    x = 3\n",
    ),
}


@pytest.mark.parametrize("what", SAME)
def test_what_does_nothing_does_not_count(what: str) -> None:
    before, after = SAME[what]
    assert code_deps._parse(before)[0] == code_deps._parse(after)[0]


@pytest.mark.parametrize("what", OTHER)
def test_what_does_something_counts(what: str) -> None:
    before, after = OTHER[what]
    assert code_deps._parse(before)[0] != code_deps._parse(after)[0]


def test_the_md5_is_the_same_under_every_version_of_python() -> None:
    """Written down under 3.11; 3.12 has another field in a class, 3.13 another `ast.dump`."""
    text = "class A:\n    def f(self, x: int, *, y='ü\\n'):\n        return f'{x!r:>{y}}{x:.2f}'\n"
    assert code_deps._parse(text)[0] == "5c43228235b4c59cf4ff8a24062acaf3"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def edited(copy: Path, module: str, before: str, after: str, stage: str = "train") -> bool:
    """Whether a list of the kind `forecast` changes where a module is edited."""
    kind = find_kind("forecast")
    assert kind is not None
    path = copy / "src/retain" / module
    text = path.read_text()
    assert before in text
    first = code_deps.code_list(copy, kind, stage)
    try:
        path.write_text(text.replace(before, after, 1))
        return code_deps.code_list(copy, kind, stage) != first
    finally:
        path.write_text(text)


@pytest.mark.parametrize("module", ["config/schema.py", "errors.py", "evaluation/arrays.py"])
def test_a_comment_or_docstring_trains_nothing_anew(copy: Path, module: str) -> None:
    assert not edited(copy, module, '"""', '"""More. ')
    assert not edited(copy, module, "\nfrom ", "\n# more\nfrom ")
    assert module == "errors.py" or f"retain/{module}" in real("forecast", "train")


def test_another_default_value_trains_anew(copy: Path) -> None:
    assert edited(
        copy, "config/schema.py", "batch_size: int = Field(256", "batch_size: int = Field(128"
    )


def test_a_comment_in_the_server_leaves_a_stopped_training_its_checkpoint(copy: Path) -> None:
    kind = find_kind("forecast")
    assert kind is not None
    before = code_deps.training_md5(copy, kind)
    for path in (copy / "src/retain/serving/http_io.py", copy / "src/retain/training/trainer.py"):
        path.write_text("# a comment\n" + path.read_text())
        assert code_deps.training_md5(copy, kind) == before
    path.write_text(path.read_text() + "MORE = 1\n")
    assert code_deps.training_md5(copy, kind) != before


@pytest.mark.parametrize("kind", BUILT_IN)
def test_no_stage_of_a_kind_reaches_another_kind_or_the_server(kind: str) -> None:
    others = [f"/kinds/{other}/" for other in BUILT_IN if other != kind]
    for stage in STAGES:
        for path in real(kind, stage):
            assert not any(part in path for part in (*others, "/serving/", "endpoint.py")), path


IMPORT = """
import sys
from importlib import import_module

for modules in sys.argv[1:]:
    for name in [name for name in sys.modules if name.split(".")[0] == "retain"]:
        del sys.modules[name]
    for name in modules.split():
        import_module(name)
    print(*(m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "retain"))
"""


@pytest.mark.long
def test_what_python_imports_for_a_training_is_in_its_list() -> None:
    kinds = {name: found for name in BUILT_IN if (found := find_kind(name))}
    modules = [
        " ".join(target.partition(":")[0] for target in kind.targets("train").values())
        for kind in kinds.values()
    ]
    command = [sys.executable, "-c", IMPORT, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for kind, line in zip(kinds, done.stdout.splitlines(), strict=True):
        files = {Path(name).relative_to(ROOT / "src/retain").as_posix() for name in line.split()}
        paths = {path.removeprefix("retain/") for path in real(kind, "train")}
        assert files - paths == {"__init__.py", "config/kind.py", f"kinds/{kind}/__init__.py"}


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        ("evaluate", "retain/evaluation/report.html.j2"),
        ("register", "retain/registry/mlflow_model.py"),  # MLflow runs it
        ("prepare", "retain/kinds/forecast/config.py"),
        ("train", "pipelines/train.py"),
    ],
)
def test_what_is_read_by_name_is_reached(stage: str, path: str) -> None:
    assert path in real("forecast", stage)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_a_change_of_a_figure_trains_nothing(kind: str) -> None:
    assert not [path for path in real(kind, "train") if "figures" in path or "plotting" in path]


@pytest.mark.parametrize("kind", BUILT_IN)
def test_prepare_reaches_no_module_that_imports_torch(kind: str) -> None:
    for path in real(kind, "prepare"):
        folder = ROOT if path.startswith("pipelines/") else ROOT / "src"
        assert "\nimport torch" not in (folder / path).read_text(), path


def test_every_stage_depends_on_its_list() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for stage in STAGES:
        deps = stages[stage].get("do", stages[stage])["deps"]
        assert any(dep.startswith("data/code/") and dep.endswith(f"/{stage}.txt") for dep in deps)
