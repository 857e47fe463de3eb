"""reports/P/retrain.md: what came of a retraining, for a person who has a minute.

The verdict first, then the new model beside the one before, drift, what changed, and the way back.
A function of dvc.lock, the last commit and the registry: no time, no run.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retain.config.kind import kind_of
from retain.config.schema import Problem
from retain.errors import IncomparableError
from retain.evaluation.quality_gate import MODEL, Comparison, interval, judgement
from retain.evaluation.report import Table, markdown_table, plain
from retain.project import files, fingerprint
from retain.project.git import Git
from retain.registry import registry
from retain.retraining import changes
from retain.tracking import store
from retain.training import portable_cpu

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

STEPS = 48  # at most, in a chart


def path(root: Path, name: str) -> Path:
    """Where the summary of a problem is."""
    return root / "reports" / name / "retrain.md"


def is_current(root: Path, name: str) -> bool:
    """Whether the summary there is that of the present model and metrics."""
    place = path(root, name)
    return place.is_file() and place.read_text(encoding="utf-8").endswith(_mark(root, name))


def is_registered(root: Path, name: str) -> bool:
    """Whether the present model is the one that was registered last in this clone."""
    place = root / "reports" / name / "decision.json"
    model = fingerprint.output_md5s(root, name).get(f"models/{name}/{MODEL}")
    return place.is_file() and json.loads(place.read_text("utf-8"))["model_md5"] == model


def write(root: Path, name: str, problem: Problem) -> str:
    """Write the summary of the model that is here and registered; answers with its text."""
    portable_cpu.pin_cpu_kernels(problem.training.reproducible)
    decision = json.loads((root / "reports" / name / "decision.json").read_text(encoding="utf-8"))
    client = store.connect(root)
    new = client.get_model_version(name, decision["version"])
    before = _before(client, new)
    sentence = decision["sentence"]
    if decision["alias"] == "champion" and new.tags.get("gate") == "passed":  # whenever that was
        sentence = f"{name} version {new.version} passed the gate and is @champion"
    blocks = [f"## {name}: version {new.version}", f"**{plain(sentence)}.**"]
    if before is None:
        blocks.append("There was no champion before it.")
    else:
        blocks += _against(root, name, problem, new, before)
    blocks += _changed(root, name)
    blocks += ["### The way back", _way_back(name, new, before, decision["alias"])]
    text = "\n\n".join(blocks) + "\n\n" + _mark(root, name)
    files.write_text(path(root, name), text)
    return text


def _mark(root: Path, name: str) -> str:
    """The last line, by which a summary is known to be that of what is here."""
    outs = fingerprint.output_md5s(root, name)
    model, metrics = outs.get(f"models/{name}/{MODEL}"), outs.get(f"reports/{name}/metrics.json")
    return f"Model `{fingerprint.short(model)}`, metrics `{fingerprint.short(metrics)}`.\n"


def _before(client: "MlflowClient", new: "ModelVersion") -> "ModelVersion | None":
    """The version to compare with: the champion, or the one before if the new one is that now."""
    champion = registry.alias_version(client, new.name, "champion")
    if champion is None or champion.version != new.version:
        return champion
    return registry.alias_version(client, new.name, "previous")


def _against(
    root: Path, name: str, problem: Problem, new: "ModelVersion", before: "ModelVersion"
) -> list[str]:
    """The new model beside the one before, and the data beside those it was trained on."""
    prepared = root / "data" / "prepared" / name
    with registry.downloaded(before) as theirs:
        blocks = []
        ours = root / "models" / name / MODEL
        try:
            both = kind_of(problem).compare.load(problem, prepared, ours, theirs)
            blocks += _compared(both, new, before)
        except IncomparableError as error:
            blocks.append(f"Version {before.version} cannot be compared: {plain(str(error))}.")
        drift = kind_of(problem).drift
        if drift is not None:
            expected = registry.test_metrics(before)
            blocks += _drift(drift.load(problem, prepared, theirs, expected), before)
    return blocks


def _compared(both: Comparison, new: "ModelVersion", before: "ModelVersion") -> list[str]:
    rows = tuple(
        (f"version {version.version}{said}", *(_number(scores.get(key)) for key in both.measures))
        for version, said, scores in zip(
            (new, before), (" (new)", " (before)"), both.scores, strict=True
        )
    )
    titles = ("model", *(key.replace("_", " ") for key in both.measures))
    differences = "; ".join(
        f"{metric} {judgement(found.low, found.high)} ({found.value:+.4g}, 95 % interval "
        f"{interval(found.low, found.high)})"
        for metric, found in both.differences.items()
    )
    return [
        "### On today's test windows",
        markdown_table(Table("", titles, rows)),
        plain(f"The new one minus the one before: {differences}."),
        _chart(both.by_step, f"version {new.version}", f"version {before.version}"),
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


def _drift(findings: Any, before: "ModelVersion") -> list[str]:
    rows = tuple(
        (
            each.name,
            each.measure,
            f"{each.value:.3g}",
            f"{each.bound:.3g}" + (" (usual)" if each.usual else ""),
            "drifted" if each.passed else "",
        )
        for each in findings.drifts
    )
    blocks = [f"### Drift since version {before.version} was trained"]
    if rows:
        drifted = sorted({each.name for each in findings.drifts if each.passed})
        blocks.append(
            plain(
                f"{'Beyond the bound: ' + ', '.join(drifted) if drifted else 'Nothing drifted'}. "
                f"Looked at is {findings.newest}."
            )
        )
        titles = ("of", "measure", "value", "bound", "")
        blocks.append(markdown_table(Table("", titles, rows)))
    return blocks + [plain(note) + "." for note in findings.notes]


def _changed(root: Path, name: str) -> list[str]:
    """What the model was made of that the one of the last commit was not."""
    since = changes.since_commit(root, name)
    lines = [f"- data: {_data(root, name)}" if since.data else "- data: as before"]
    if since.first:
        return ["### What changed", "\n".join([*lines, "- params and code: all, it is the first"])]
    for key, (was, now) in since.params.items():
        lines.append(f"- params: `{key}` from `{_said(was)}` to `{_said(now)}`")
    if since.code:
        shown = ", ".join(f"`{path}`" for path in since.code[:5])
        more = f" and {len(since.code) - 5} more" if len(since.code) > 5 else ""
        lines.append(f"- code: {shown}{more}")
    return ["### What changed since the last commit", "\n".join(lines)]


def _data(root: Path, name: str) -> str:
    """Rows, series and span of the data, before where the last commit knows them, and now."""
    place = path(root, name)
    now = _facts(root / "data" / "prepared" / name / "quality.json")
    before = Git(root).show("HEAD", place.relative_to(root).as_posix()) or ""
    was = re.search(r"^- data: (?:.* → )?(.* rows, .*)$|^- data of: (.*)$", before, re.MULTILINE)
    return f"{was[1] or was[2]} → {now}" if was else now


def _facts(quality: Path) -> str:
    found = json.loads(quality.read_text(encoding="utf-8")) if quality.is_file() else {}
    if not {"rows", "series", "first", "last"} <= found.keys():
        return "changed"
    return (
        f"{found['rows']:,} rows, {found['series']:,} series, {found['first']} to {found['last']}"
    )


def _said(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}"


def _way_back(name: str, new: "ModelVersion", before: "ModelVersion | None", alias: str) -> str:
    if before is None:
        return "Do not merge; without a champion there is nothing to go back to."
    if alias == "champion":
        return (
            f'`retain rollback {name} --reason "…"` makes version {before.version} @champion '
            f"again; commit models/{name}/promotions.csv, which it writes. To take the data back "
            f"too, revert the commit and run `dvc checkout`."
        )
    return (
        f"Nothing to do: version {before.version} is @champion as before. To take version "
        f'{new.version} all the same: `retain promote {name} --version {new.version} --reason "…"`.'
    )
