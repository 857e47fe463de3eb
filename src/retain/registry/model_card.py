"""The model card of a version: a page in Markdown, with the metadata of Hugging Face's cards.

What the model is for, its data, its figures beside those of other models, its limits, and how to
make it anew (Mitchell et al. 2019, Model Cards for Model Reporting). The keys of the head are those
of https://huggingface.co/docs/hub/model-cards; a hub reads them, and so does `huggingface_hub`.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from retain import __version__
from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.evaluation.quality_gate import CheckResult
from retain.evaluation.report import MARKDOWN, Table, markdown_table, score
from retain.evaluation.results import Metrics, of_note
from retain.project import fingerprint, raw_table
from retain.words import clipped

NAME = "README.md"  # of the file, as a hub expects it
LONGEST = 4_999  # characters and a mark of the cut: MLflow's tables have room for 5,000


def write(
    root: Path,
    name: str,
    problem: Problem,
    metrics: Metrics,
    checks: Sequence[CheckResult],
    tags: Mapping[str, str],
) -> str:
    """Return the card of a model that is about to be registered.

    Args:
        metrics: the content of metrics.json.
        checks: what the gate found in them.
        tags: of the version, as `version_tags.of_model` gives them, with those of its run.
    """
    path = raw_table.path_of(problem)
    keys = list(of_note(metrics["models"][tags["cell"]]))
    blocks = [
        f"# {name}",
        f"{problem.purpose} The network's cell is `{tags['cell']}`; retain {__version__} made it.",
        "## What it is for",
        f"It answers `{kind_of(problem).command} {name}` and `retain serve {name}`. It is not "
        "meant for data of another origin: nothing was measured on them.",
        "## Data",
        _bullets(_data(root, path, tags)),
        "## How good it is",
        "On the test part, which no training has seen:",
        markdown_table(_figures(problem, metrics, keys, tags["cell"])),
        "Full tables, intervals and figures: `report.html` of the pipeline's run.",
        "## Checks of the quality gate",
        _bullets(
            f"{'passed' if check.passed else 'failed'}: {check.check}: {check.sentence}"
            for check in checks
        ),
        "## Limits",
        _bullets(_limits(tags, checks)),
        "## How to make it anew",
        _reproduction(name, tags),
    ]
    head = _head(name, problem, metrics, keys, path, tags)
    return f"---\n{head}---\n\n" + "\n\n".join(blocks) + "\n"


def description(card: str) -> str:
    """Return a card as MLflow shows it: the metadata last, as code; a long one is cut."""
    _, head, page = card.split("---\n", 2)
    return clipped(f"{page.lstrip()}\n## Metadata\n\n```yaml\n{head}```\n", LONGEST)


def of_all_versions(problem: Problem) -> str:
    """Return what MLflow shows of a registered model: what it is for, what its aliases are."""
    text = (
        f"{problem.purpose} Each version has a model card. `@champion` is the version that "
        f"answers, `@challenger` the newest that did not become champion, and `@previous` the "
        f"champion before."
    )
    return clipped(text, LONGEST)


def _head(
    name: str,
    problem: Problem,
    metrics: Metrics,
    keys: Sequence[str],
    path: str,
    tags: Mapping[str, str],
) -> str:
    """Return the metadata as YAML: `model-index` has the test figures."""
    scores = metrics["models"][tags["cell"]]
    revision = tags.get("raw.md5") or tags.get("data.md5", "")
    values = [(key, scores[key]) for key in keys if math.isfinite(scores[key])]
    found = {
        "task": {"type": problem.TASK},
        "dataset": {"name": name, "type": path, "revision": revision, "split": "test"},
        "metrics": [{"type": key, "value": float(f"{value:.6g}")} for key, value in values],
    }
    content: dict[str, Any] = {
        "library_name": "retain",
        "pipeline_tag": problem.TASK,
        "tags": ["retain", problem.kind, tags["cell"]],
        "datasets": [path],
        "metrics": list(keys),
        "model-index": [{"name": name, "results": [found]}],
    }
    text = io.StringIO()
    YAML().dump(content, text)
    return text.getvalue()


def _data(root: Path, path: str, tags: Mapping[str, str]) -> Iterable[str]:
    yield f"raw: `{path}`, md5 `{tags.get('raw.md5') or 'not recorded'}`"
    yield f"described in: {raw_table.card(root, path)}"
    if "data.rows" in tags:
        yield f"prepared: {tags['data.rows']}; md5 `{tags.get('data.md5', 'not recorded')}`"
    yield f"the evaluated model, which the figures are of, was trained on {tags['data.span']}"
    if "final.span" in tags:
        yield f"the refitted model, which answers, was trained on {tags['final.span']}"


def _figures(problem: Problem, metrics: Metrics, keys: Sequence[str], cell: str) -> Table:
    """Return the scores of the model, of the other cells and of what the gate compares it with."""
    wanted = [cell, *problem.training.cells]
    wanted += [getattr(check, "baseline", "") for check in problem.gate]
    models = [model for model in dict.fromkeys(wanted) if model in metrics["models"]]
    rows = tuple(
        (model, *(score(metrics["models"][model].get(key)) for key in keys)) for model in models
    )
    return Table("", ("model", *keys), rows)


def _limits(tags: Mapping[str, str], checks: Sequence[CheckResult]) -> Iterable[str]:
    failed = [check.check for check in checks if not check.passed]
    if failed:
        yield f"it did not pass the gate: {', '.join(failed)}"
    yield "the figures hold for this table and this test part, and for one seed of the training"
    yield "what the data do not show, such as events that never happened before, it cannot know"
    if "final.span" in tags:
        yield "the refitted model has seen the test part, so it has no honest figures of its own"
    yield "it ages: `retain models` says how old it is, and `make retrain` looks at drift"


def _reproduction(name: str, tags: Mapping[str, str]) -> str:
    commit = tags.get("git.commit", "")
    if not commit:
        return "It was trained outside git, so it cannot be made anew from a commit."
    patch = " The tree had changes; the run's `code.patch` has them." * (
        tags.get("git.dirty") == "true"
    )
    md5s = [f"model `{tags['model.md5']}`"]
    md5s += [f"refitted model `{tags['final.md5']}`"] if "final.md5" in tags else []
    params = fingerprint.short(tags.get("params.md5"))
    return (
        f"`retain prove models:/{name}/VERSION` does it in a scratch clone and compares every "
        f"output. By hand: `git checkout {commit[:12]}`, `dvc pull`, `dvc repro register@{name}`."
        f"{patch} Expected md5: {', '.join(md5s)}; params `{params}`."
    )


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_escaped(line)}" for line in lines)


def _escaped(line: str) -> str:
    """Escape what is not between backticks."""
    return "`".join(
        part if number % 2 else MARKDOWN.sub(r"\\\1", part)
        for number, part in enumerate(line.split("`"))
    )
