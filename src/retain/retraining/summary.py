"""reports/P/retrain.md: what came of a retraining, for a person who has a minute.

The verdict first, then the new model beside the one before, drift, what changed, and the way back.
A function of dvc.lock, the last commit and the registry: no time, no run.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.errors import IncomparableError
from retain.evaluation import choice
from retain.evaluation.quality_gate import Comparison
from retain.evaluation.report import Table, markdown_table, plain, score
from retain.evaluation.results import DriftFindings
from retain.project import files, fingerprint
from retain.project.layout import Layout
from retain.registry import artifacts, lookup, registry, version_tags
from retain.retraining import changes
from retain.tracking import labels, store
from retain.training import portable_cpu

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STEPS = 48  # at most, in a chart


def is_current(root: Path, name: str) -> bool:
    """Whether the summary is that of the present model and metrics."""
    layout = Layout(root, name)
    text = layout.summary.read_text(encoding="utf-8") if layout.summary.is_file() else ""
    return bool(text) and text.endswith(_last_line(layout))


def is_registered(root: Path, name: str) -> bool:
    """Whether the present model is the one that was registered last in this clone."""
    return lookup.decision(root, name) is not None


def write(root: Path, name: str, problem: Problem) -> str:
    """Write the summary of the present model, which is registered, and return its text."""
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    layout = Layout(root, name)
    decision = lookup.recorded_decision(root, name)
    client = store.connect(root)
    new = client.get_model_version(name, decision["version"])
    before = _version_before(client, new)
    sentence = decision["sentence"]
    if decision["alias"] == "champion" and new.tags.get("gate") == "passed":  # whenever that was
        sentence = f"{name} version {new.version} passed the gate and is @champion"
    blocks = [f"## {name}: version {new.version}", f"**{plain(sentence)}.**"]
    if before is None:
        blocks.append("There was no champion before it.")
    else:
        blocks += _against(layout, problem, new, before)
    blocks += _changed(layout, new, before)
    blocks += ["### The way back", _way_back(name, new, before, decision["alias"])]
    text = "\n\n".join(blocks) + "\n\n" + _last_line(layout)
    files.write_text(layout.summary, text)
    return text


def _last_line(layout: Layout) -> str:
    """Return the line by which a summary is known to be of the present model and metrics."""
    paths = {"Model": _judged(layout), "metrics": layout.metrics}
    if layout.refitted is not None:
        paths["refitted model"] = layout.refitted
    md5s = (f"{name} `{fingerprint.short(_md5(path))}`" for name, path in paths.items())
    return f"{', '.join(md5s)}.\n"


def _md5(path: Path | None) -> str | None:
    return fingerprint.path_md5(path) if path is not None and path.exists() else None


def _judged(layout: Layout) -> Path:
    return layout.model(choice.judged(layout.metrics))


def _version_before(client: "MlflowClient", new: "ModelVersion") -> "ModelVersion | None":
    """Return the version to compare with: the champion, or @previous if the new one is champion."""
    champion = registry.alias_version(client, new.name, "champion")
    if champion is None or champion.version != new.version:
        return champion
    return registry.alias_version(client, new.name, "previous")


def _against(
    layout: Layout, problem: Problem, new: "ModelVersion", before: "ModelVersion"
) -> list[str]:
    """Compare the new model with the one before, and the data with those that one learned from."""
    kind, prepared, blocks = kind_of(problem), layout.prepared, []
    with artifacts.downloaded(before) as folder:
        try:
            comparison = kind.compare.load(problem, prepared, _judged(layout), folder)
            blocks += _compared(comparison, new, before)
        except IncomparableError as error:
            blocks.append(f"Version {before.version} cannot be compared: {plain(str(error))}.")
        if kind.drift is not None:
            expected = version_tags.test_metrics(before)
            blocks += _drift(kind.drift.load(problem, prepared, folder, expected), before)
    return blocks


def _compared(comparison: Comparison, new: "ModelVersion", before: "ModelVersion") -> list[str]:
    names = (f"version {new.version} (new)", f"version {before.version} (before)")
    rows = tuple(
        (name, *(score(scores.get(key)) for key in comparison.measures))
        for name, scores in zip(names, comparison.scores, strict=True)
    )
    titles = ("model", *(key.replace("_", " ") for key in comparison.measures))
    differences = "; ".join(
        f"{metric} {difference}" for metric, difference in comparison.differences.items()
    )
    return [
        "### On today's test windows",
        markdown_table(Table("", titles, rows)),
        plain(f"The new one minus the one before: {differences}."),
        _chart(comparison.by_step, f"version {new.version}", f"version {before.version}"),
    ]


def _chart(by_step: tuple[list[float], list[float]], new: str, before: str) -> str:
    """The error by step ahead as a chart that GitHub and GitLab draw themselves."""
    if len(by_step[0]) < 2:
        return ""
    every = -(-len(by_step[0]) // STEPS)
    ours, theirs = (
        ", ".join(f"{value:.4g}" for value in line[every - 1 :: every]) for line in by_step
    )
    return "\n".join(
        [
            f"MAE by step ahead; blue is {new}, green {before}:",
            "",
            "```mermaid",
            '%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#2563eb, #16a34a"}}}}%%',
            "xychart-beta",
            f'    x-axis "steps ahead" {every} --> {len(by_step[0]) // every * every}',
            '    y-axis "MAE"',
            f"    line [{ours}]",
            f"    line [{theirs}]",
            "```",
        ]
    )


def _drift(findings: DriftFindings, before: "ModelVersion") -> list[str]:
    rows = tuple(
        (
            drift.name,
            drift.measure,
            f"{drift.value:.3g}",
            f"{drift.bound:.3g}" + (" (usual)" if drift.usual else ""),
            "drifted" if drift.passed else "",
        )
        for drift in findings.drifts
    )
    blocks = [f"### Drift since version {before.version} was trained"]
    if rows:
        names = sorted({drift.name for drift in findings.drifts if drift.passed})
        sentence = f"Beyond the bound: {', '.join(names)}" if names else "Nothing drifted"
        blocks.append(plain(f"{sentence}. This is about {findings.newest}."))
        blocks.append(markdown_table(Table("", ("of", "measure", "value", "bound", ""), rows)))
    return blocks + [plain(note) + "." for note in findings.notes]


def _changed(layout: Layout, new: "ModelVersion", old: "ModelVersion | None") -> list[str]:
    """Say what the model was made of that the one of the last commit was not."""
    since = changes.since_commit(layout.root, layout.name)
    lines = [f"- data: {_data(layout, old)}" if since.data else "- data: as before"]
    if until := _refitted_until(new):
        then = (_refitted_until(old) or "not refitted") if old else "no model"
        lines.append(f"- refitted on rows until {until}; before: {then}")
    if since.first:
        return ["### What changed", "\n".join([*lines, "- params and code: all, it is the first"])]
    for key, (before, now) in sorted(since.params.items()):
        lines.append(f"- params: `{key}` from `{_value(before)}` to `{_value(now)}`")
    if since.code:
        names = ", ".join(f"`{name}`" for name in sorted(since.code))
        lines.append(f"- code: {names}")
    return ["### What changed since the last commit", "\n".join(lines)]


def _refitted_until(version: "ModelVersion") -> str:
    """Return the end of the rows of a version's refitted model; empty where it has none."""
    return str(version.tags.get("final.span", "")).rpartition(" to ")[2]


def _data(layout: Layout, old: "ModelVersion | None") -> str:
    """Return rows, series and span of the data: before, if that version has them, and now."""
    before = old.tags.get("data.rows", "") if old is not None else ""
    now = labels.data_sentence(layout.root, layout.name) or "changed"
    return f"{before} → {now}" if before else now


def _value(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _way_back(name: str, new: "ModelVersion", before: "ModelVersion | None", alias: str) -> str:
    if before is None:
        return "Do not merge; without a champion there is nothing to go back to."
    if alias == "champion":
        return (
            f'`retain rollback {name} --reason "…"` makes version {before.version} @champion '
            f"again; commit models/{name}/ledger.csv, which it writes. To take the data back "
            f"too, revert the commit and run `dvc checkout`."
        )
    return (
        f"Nothing to do: version {before.version} is @champion as before. To take version "
        f'{new.version} all the same: `retain promote {name} --version {new.version} --reason "…"`.'
    )
