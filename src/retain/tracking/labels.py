"""What a run is called, which runs are of one pipeline, and the data set it was trained on."""

import json
from pathlib import Path
from typing import Any

from retain.config.schema import Problem
from retain.project import fingerprint
from retain.project.layout import Layout

REFIT = "refit@"  # how the name of that stage begins


def run_name(
    root: Path, name: str, experiment: str | None, cell: str = "", refit: bool = False
) -> str:
    """Name a run so that a person tells it from the others in a list.

    Problem and cell, the experiment of DVC if there is one, and the date of the data's last row,
    as `traffic lstm, wide-hero, 2018-09-30`; without a cell it is that of the pipeline.
    """
    last = str(data_facts(root, name).get("last", ""))[:10]
    first = " ".join(filter(None, [name, cell, "refit" * refit]))
    return ", ".join(filter(None, [first, experiment, last]))


def data_facts(root: Path, name: str) -> dict[str, Any]:
    """Return what quality.json says of the prepared data: rows, series, first, last, and more."""
    path = Layout(root, name).prepared / "quality.json"
    facts: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return facts


def data_sentence(root: Path, name: str) -> str:
    """Say how many rows and series the prepared data has, and from when to when; or nothing."""
    facts = data_facts(root, name)
    if not {"rows", "series", "first", "last"} <= facts.keys():
        return ""
    span = f"{facts['first']} to {facts['last']}"
    return f"{facts['rows']:,} rows, {facts['series']:,} series, {span}"


def pipeline_key(root: Path, name: str, problem: Problem, tags: dict[str, str]) -> str:
    """Return what the runs of one pipeline have in common: data, params, code and experiment.

    Args:
        tags: of a run, as `fingerprint.training_tags` gives them.
    """
    code = Layout(root, name).code / "train.txt"
    recipe = {
        "name": name,
        "data": tags["data.md5"],
        "model": problem.model_dump(mode="json")["model"],
        "training": problem.training.model_dump(mode="json"),
        **problem.learned,
        "code": fingerprint.file_md5(code) if code.is_file() else "",
        "experiment": tags.get("DVC_EXP_NAME", ""),
    }
    return f"pipeline-{fingerprint.text_md5(json.dumps(recipe, sort_keys=True))}"


def dataset(root: Path, name: str, problem: Problem, tags: dict[str, str]) -> dict[str, str]:
    """Return the data set of a training as MLflow logs it; its digest is the md5 in dvc.lock."""
    raw = str(getattr(getattr(problem, "data", None), "path", ""))
    prepared = Layout(Path(), name).prepared.as_posix()
    facts = data_facts(root, name)
    profile = {key: facts[key] for key in ("rows", "series", "first", "last") if key in facts}
    return {
        "name": name,
        "digest": tags["data.md5"],
        "source_type": "dvc",
        "source": json.dumps({"uri": prepared, "raw": raw, "raw_md5": tags.get("raw.md5", "")}),
        "profile": json.dumps(profile),
    }
