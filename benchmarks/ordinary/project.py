"""retain on one table as a user has it: `retain add`, then the stages, in a project of its own."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks import commands
from benchmarks.ordinary import sources
from benchmarks.ordinary.sources import Source
from retain.kinds.forecast.config import Problem

ROOT = Path(__file__).parents[2]
SETTINGS = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")


def create(folder: Path) -> None:
    """Make a project without a problem of the checkout's code; what was there is removed."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / ".dvc").mkdir(parents=True)
    for name in SETTINGS:
        shutil.copy(ROOT / name, folder / name)
    for name in ("src", "pipelines"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    stages = (folder / "dvc.yaml").read_text(encoding="utf-8").partition("\nartifacts:")[0]
    (folder / "dvc.yaml").write_text(stages, encoding="utf-8")
    (folder / "params.yaml").write_text("problems:\n", encoding="utf-8")


def run(folder: Path, *words: str) -> float:
    """Run a command in a project; return its CPU seconds, with those of its children."""
    return commands.run(folder, words)[0]


def add(folder: Path, source: Source) -> float:
    """Make the project, add the table and prepare it; return the CPU seconds of `retain add`.

    The table is copied, so that no name of the benchmark's convention gets into the project.
    """
    create(folder)
    target = folder / "data" / "raw" / f"{source.name}{sources.ending(source.path)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source.path, target)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "--all")
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
    run(folder, "git", *who, "commit", "--quiet", "--message", "A project")
    place, horizon = target.relative_to(folder).as_posix(), str(source.horizon)
    seconds = run(folder, "retain", "add", source.name, place, "--horizon", horizon)
    for stage in ("code", "prepare"):
        run(folder, "python", f"pipelines/{stage}.py", source.name)
    return seconds


def train(
    folder: Path, source: Source, preset: str | None, seed: int, cells: Sequence[str]
) -> dict[str, Any]:
    """Train and evaluate; return metrics.json, scores by series, and CPU seconds by stage.

    Args:
        preset: None leaves the settings that `add` chose.
    """
    name = source.name
    yaml, params = YAML(), folder / "params.yaml"
    content = yaml.load(params)
    entry = content["problems"][name]
    for section, values in Problem.preset_sections(preset, entry).items():
        entry[section] |= values
    entry["training"] |= {"seed": seed, "cells": list(cells)}
    yaml.dump(content, params)
    seconds = {}
    for cell in ("lstm", "rnn", "gru"):  # `evaluate` looks for a folder of each
        seconds[cell] = run(folder, "python", "pipelines/train.py", name, cell)
    seconds["evaluate"] = run(folder, "python", "pipelines/evaluate.py", name)
    reports = folder / "reports" / name
    return {
        "metrics": json.loads((reports / "metrics.json").read_text(encoding="utf-8")),
        "by_series": (reports / "plots" / "error_by_series.csv").read_text(encoding="utf-8"),
        "seconds": seconds,
    }


def entry(folder: Path, name: str) -> dict[str, Any]:
    """Return a problem's entry of params.yaml."""
    content = YAML(typ="safe").load(folder / "params.yaml")
    found: dict[str, Any] = content["problems"][name]
    return found
