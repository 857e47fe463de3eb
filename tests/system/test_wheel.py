"""A project made by the installed wheel, with no checkout on any path: from `init` to `upgrade`."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from .conftest import REPOSITORY

BUILT_FROM = (
    *("Makefile", "MANIFEST.in", "README.md", "LICENSE", "setup.py", "pyproject.toml"),
    *("dvc.yaml", "params.yaml", ".dvcignore", ".gitattributes", ".gitignore", ".gitlab-ci.yml"),
    *(
        ".dvc/config",
        ".dvc/.gitignore",
        ".dvc/plots",
        ".github/workflows",
        "pipelines",
        "data/raw",
        "src",
    ),
    *(path.name for path in REPOSITORY.glob("requirements*.lock")),
)
TINY = {
    "model": {"base": "none", "hidden_size": 4},
    "training": {"max_epochs": 1, "epoch_steps": 4, "seed": 1},
    "evaluation": {"floors": ["seasonal_naive"], "bootstrap": 100, "folds": 1},
    "gate": [{"check": "finite"}],
}


class Machine:
    """A person's machine: wheels in a folder, an environment with one of them, and a project.

    What retain needs comes from this environment; retain itself does not.
    """

    def __init__(self, folder: Path):
        self.folder, self.env = folder, folder / "env"
        self.project = folder / "Energie Übersicht"
        (folder / "home").mkdir()
        (folder / "home" / ".gitconfig").write_text(
            "[user]\n  name = a tester\n  email = tester@example.org\n"
        )
        venv.create(self.env, with_pip=False, symlinks=True)
        (site,) = self.env.glob("lib/python3*/site-packages")
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        (site / "libraries.pth").write_text("\n".join(libraries))

    def build(self, version: str, **edits: tuple[str, str]) -> Path:
        """The wheel of a release, made of a copy of the checkout with one text changed a file."""
        source = self.folder / f"source-{version}"
        for name in BUILT_FROM:
            whole, target = REPOSITORY / name, source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            copy = shutil.copytree if whole.is_dir() else shutil.copy
            copy(whole, target, **({"ignore": ignored} if whole.is_dir() else {}))
        edits |= {"src/retain/__init__.py": ("0.1.0", version)}
        for name, (before, after) in edits.items():
            text = (source / name).read_text()
            assert before in text
            (source / name).write_text(text.replace(before, after, 1))
        wheels = self.folder / "dist"
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels]
        subprocess.run([*map(str, command), str(source)], check=True, capture_output=True)
        (wheel,) = wheels.glob(f"retain-{version}-*.whl")
        return wheel

    def install(self, wheel: Path) -> None:
        """Put a wheel into the environment, in the place of another."""
        command = [sys.executable, "-m", "pip", "--python", str(self.env / "bin/python"), "install"]
        command += ["-q", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def environ(self) -> dict[str, str]:
        away = ("MLFLOW_", "PYTHON", "DVC_", "GIT_", "VIRTUAL_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(away)}
        return kept | {
            "HOME": str(self.folder / "home"),
            "PATH": f"{self.env / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.folder / "site-cache"),
            "DVC_NO_ANALYTICS": "true",
        }

    def run(self, *words: str, code: int = 0, folder: Path | None = None) -> str:
        """What a command prints in the project; fails the test on another exit code."""
        done = subprocess.run(
            words,
            cwd=folder or self.project,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{' '.join(words)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "a state")

    def changed(self) -> list[str]:
        """The paths that differ from the last commit."""
        return [line[3:] for line in self.run("git", "status", "--porcelain").splitlines()]


def sales() -> pd.DataFrame:
    noise, months = np.random.default_rng(1), np.arange(48)
    ds = pd.date_range("2021-01-01", periods=48, freq="MS")
    parts = [
        pd.DataFrame(
            {"month": ds, "shop": shop, "sales": (level + months + noise.normal(0, 3, 48)).round(1)}
        )
        for shop, level in (("Köln", 100), ("Bonn", 40))
    ]
    return pd.concat(parts)


@pytest.mark.long
def test_a_project_of_the_wheel_is_made_run_served_proved_and_upgraded(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    wheel, run, project = machine.build("0.1.0"), machine.run, machine.project
    machine.install(wheel)
    where = run("python", "-c", "import retain; print(retain.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(machine.env)

    run("retain", "init", project.name, folder=tmp_path)
    assert f"--hash=sha256:{sha256(wheel)}\n" in (project / "requirements.lock").read_text()
    assert sha256(project / "wheels" / wheel.name) == sha256(wheel)
    assert not [*project.rglob("*traffic*")]
    assert machine.changed() == []
    assert "has files" in run("retain", "init", project.name, folder=tmp_path, code=2)
    assert "wrong" not in run("retain", "doctor")

    sales().to_csv(tmp_path / "sales.csv", index=False)
    run("retain", "add", "sales", "../sales.csv", "--horizon", "2", "--budget", "0")
    set_params(project, **TINY)
    machine.commit()
    said = run("retain", "run", "sales")
    assert said.count("Running stage") == 8
    assert "report:   reports/sales/report.html" in said
    machine.commit()
    assert "src/retain" not in (project / "dvc.lock").read_text()
    assert "didn't change" in run("python", "-m", "dvc", "repro", "register@sales")
    assert machine.changed() == []

    run("retain", "forecast", "sales", "-o", "forecast.csv")
    forecast = pd.read_csv(project / "forecast.csv")
    assert sorted(forecast["shop"].unique()) == ["Bonn", "Köln"]
    (project / "forecast.csv").unlink()
    assert healthy(machine)
    assert "retain 0.1.0 sha256 " in run("retain", "trace", "sales")
    assert run("retain", "prove", "models:/sales/1").endswith("  identical\n")

    upgraded(machine)


def upgraded(machine: Machine) -> None:
    """A release whose evaluation does something else, beside a file that a person changed."""
    project, run = machine.project, machine.run
    newer = machine.build(
        "0.2.0",
        **{
            "Makefile": ("PORT ?= 5000", "PORT ?= 5001"),
            ".gitattributes": ("*.gz binary", "*.gz  binary"),
            "src/retain/evaluation/report.py": ("\nimport ", "\nMORE = 1\nimport "),
        },
    )
    with (project / ".gitattributes").open("a") as file:
        file.write("*.bin binary\n")
    machine.commit()
    words = ("retain", "upgrade", "--to", "0.2.0", "--wheels", str(newer.parent))
    said = run(*words, "--dry-run")
    assert machine.changed() == []
    for line in ("from retain 0.1.0 to 0.2.0", "  Makefile: would be rewritten"):
        assert line in said
    assert "  evaluate: retain/evaluation/report.py\n" in said
    assert "  train:" not in said

    said = run(*words)
    assert "  .gitattributes: changed here, and stays; the new one is .gitattributes.new" in said
    assert "  evaluate: retain/evaluation/report.py\n" in said
    assert "5001" in (project / "Makefile").read_text()
    assert {"Makefile", "dvc.yaml", ".gitattributes.new"} <= {*machine.changed()}
    assert ".gitattributes" not in machine.changed()
    assert f"--hash=sha256:{sha256(newer)}\n" in (project / "requirements.lock").read_text()
    said = run("retain", "run", code=2)
    assert "is of retain 0.2.0, and 0.1.0 is installed: install what its requirements.lock" in said

    machine.install(newer)
    said = run("retain", "run", "sales")
    stages = {*re.findall(r"Running stage '(\w+)@", said)}
    assert {"code", "evaluate"} <= stages <= {"code", "evaluate", "register"}
    run("git", "restore", ".")
    said = run("retain", "results", code=2)
    assert "is of retain 0.1.0, and 0.2.0 is installed: `retain upgrade` brings" in said


def healthy(machine: Machine) -> bool:
    """Whether `retain serve` answers."""
    process = subprocess.Popen(
        ["retain", "serve", "sales", "--port", "0"],
        cwd=machine.project,
        env=machine.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20) as answer:
            return bool(json.load(answer))
    finally:
        process.terminate()
        process.wait(timeout=40)


def set_params(project: Path, **sections: object) -> None:
    path, yaml = project / "params.yaml", YAML()
    content = yaml.load(path)
    entry = content["problems"]["sales"]
    for name, section in sections.items():
        if isinstance(section, dict):
            entry.setdefault(name, {}).update(section)
        else:
            entry[name] = section
    yaml.dump(content, path)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
