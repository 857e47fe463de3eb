"""What changed: since the models were trained, since the last commit, and against any commit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from retain.config import loader
from retain.config.kind import STAGES, kind_of
from retain.config.schema import Cell
from retain.errors import RetainError
from retain.evaluation import choice
from retain.project import code_deps, dvc, fingerprint
from retain.project.git import Git
from retain.project.layout import Layout
from retain.words import several

MADE = re.compile(r"(data/code|data/prepared|models|reports)/")  # by stages
LIST = re.compile(r"data/code/\w+/(\w+)\.txt")  # of the modules that a stage runs


@dataclass
class Changes:
    """What a problem's stages read that is not what they read before.

    Attributes:
        data: files.
        params: keys, and what is known of their change.
        code: stages.
        made: what an earlier stage made, after a run was stopped.
        missing: outputs that are not here.
        first: there is nothing to compare with: the stages never ran.
    """

    data: set[str] = field(default_factory=set)
    params: dict[str, Any] = field(default_factory=dict)
    code: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    first: bool = False

    def __bool__(self) -> bool:
        """Whether there is something for the pipeline to do."""
        return bool(self.missing or self.sentences())

    def add(self, path: str) -> None:
        """Add a file that a stage reads, to the kind of change that it is."""
        if match := LIST.fullmatch(path):
            self.code.add(f"what {match[1]} runs")
        else:
            (self.made if MADE.match(path) else self.data).add(path)

    def add_states(self, stage: str, kind: str, states: Mapping[str, Any]) -> None:
        """Add what `dvc status` says of a stage: a state by path, or by key of parameters."""
        for path, state in states.items():
            if isinstance(state, dict):  # of a file of parameters, by key
                self.params.update(state)
            elif kind == "changed deps" or (stage.endswith(".dvc") and state == "modified"):
                self.add(path)
            else:
                self.missing.add(path)

    def sentences(self) -> list[str]:
        """Each kind of change in words, but for what only is not here."""
        if self.first:
            return ["there is no model yet"]
        kinds = (("data", self.data), ("params", self.params), ("code", self.code))
        sentences = [f"{kind}: {several(sorted(names))}" for kind, names in kinds if names]
        if self.made and not sentences:
            sentences.append("an earlier run was stopped before its end")
        return sentences


def status(root: Path, name: str, lists: Mapping[str, str] | None = None) -> Changes:
    """Find what DVC would do something about in the stages of one problem.

    Args:
        lists: as `changed_lists` returns them, if they are known.

    Raises:
        DvcError: there is no such problem, or dvc.yaml is wrong.
    """
    changes = Changes(first=not dvc.locked(dvc.read_lock(root), f"register@{name}"))
    for stage, entries in dvc.status(root, f"register@{name}").items():
        for entry in entries:
            if isinstance(entry, str):  # the command itself
                changes.code.add("dvc.yaml")
                continue
            for kind, states in entry.items():
                if kind != "changed deps" or stage != f"code@{name}":
                    changes.add_states(stage, kind, states)
                elif not changes.first:
                    changes.code |= {*(changed_lists(root, name) if lists is None else lists)}
    return changes


def changed_lists(root: Path, name: str, code: Path | None = None) -> dict[str, str]:
    """Return which stages of a problem would run other code than dvc.lock records, in words.

    Args:
        code: the folder with the scripts, if it is not `root`.

    Returns:
        What each of them would run, as the list of its stage; the key says it in words.
    """
    problem, lists = loader.load(root)[name], Layout(Path(), name).code
    kind = kind_of(problem)
    md5s: dict[str, str] = {}
    for _, locked in _locked_stages(root, name):
        md5s |= _md5s(locked)
    changed = {}
    for stage in STAGES:
        text = code_deps.code_list(code or root, kind, stage, problem.settings(stage))
        recorded = md5s.get((lists / f"{stage}.txt").as_posix())
        if recorded and recorded != fingerprint.text_md5(text):
            changed[f"what {stage} runs"] = text
    return changed


def since_commit(root: Path, name: str) -> Changes:
    """Find what the present outputs were made of that those of the last commit were not.

    Returns:
        The changes; those of params with the values before and now, None where there is none.
    """
    changes = Changes(first=True)
    for before, now in _locked_stages(root, name):
        changes.first &= not before
        md5s, values = _md5s(before), _values(before)
        for path, md5 in _md5s(now).items():
            if md5s.get(path) != md5:
                changes.add(path)
        for key, value in _values(now).items():
            changes.params |= _leaves(key, values.get(key), value)
    return changes


def is_committed(root: Path, name: str) -> bool:
    """Whether the last commit has the problem's part of dvc.lock as it is."""
    return all(before == now for before, now in _locked_stages(root, name))


def missing_files(root: Path, name: str) -> list[str]:
    """Return inputs and outputs of a problem's stages that dvc.lock names and that are not here."""
    stages = [now for _, now in _locked_stages(root, name)]
    items = [item for stage in stages for key in ("deps", "outs") for item in stage.get(key, ())]
    return sorted({item["path"] for item in items if not (root / item["path"]).exists()})


def markdown(root: Path, base: str) -> str:
    """Say what `dvc repro` would run here, and how params and metrics differ from `base`.

    Raises:
        RetainError: there is no such commit.
        DvcError: DVC refuses.
    """
    if Git(root).find(f"{base}^{{commit}}") is None:
        raise RetainError(f"git knows no commit {base!r}; fetch it, or name another")
    problems = loader.load(root)
    lists = {name: changed_lists(root, name) for name in problems}
    plan = dvc.plan(root, {stage for name in lists for stage in _stages_with(lists[name], name)})
    lines = [f"- `{s}`" + ", if its inputs change" * (not new) for s, new in plan.items()]
    items = "\n".join(lines) or "Nothing: all stages are up to date."
    blocks = [f"## Compared with `{base}`", "### Stages to run", items]
    for what, options in (("params", ("--targets", "params.yaml")), ("metrics", ())):
        lines = dvc.run(root, what, "diff", "--md", base, *options).strip().splitlines()
        if what == "metrics":  # of the model that the gate judges; the baselines' would be a page
            models = {choice.judged(Layout(root, name).metrics) for name in problems}
            shown = [f" models.{model}." for model in sorted(models)]
            of_model = (line for line in lines[2:] if any(part in line for part in shown))
            lines = [*lines[:2], *of_model]
        differs = len(lines) > 2  # more than a header
        blocks += [f"### {what.capitalize()}", "\n".join(lines) if differs else "No difference."]
    return "\n\n".join(blocks) + "\n"


def _locked_stages(root: Path, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each stage of dvc.lock that runs for a problem: as the last commit has it, and now.

    Without the one that lists the modules: what its lists say to the others is what counts.
    """
    before, now = dvc.read_lock(root, "HEAD"), dvc.read_lock(root)
    return [
        (dvc.locked(before, stage), dvc.locked(now, stage))
        for stage in dvc.stages_of(now, name)
        if not stage.startswith("code@")
    ]


def _stages_with(lists: Iterable[str], name: str) -> Iterator[str]:
    """Yield the stages of a problem whose lists are among those of `changed_lists`."""
    for stage in (text.split()[1] for text in lists):
        cells = [f"-{cell}" for cell in get_args(Cell)] if stage == "train" else [""]
        yield from (f"{stage}@{name}{cell}" for cell in cells)


def _md5s(stage: dict[str, Any]) -> dict[str, str]:
    return {dep["path"]: dep.get("md5", "") for dep in stage.get("deps", ())}


def _values(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: value for file in stage.get("params", {}).values() for key, value in file.items()}


def _leaves(key: str, before: Any, now: Any) -> dict[str, tuple[Any, Any]]:
    """The keys at and below `key` whose values differ."""
    if before == now:
        return {}
    if not isinstance(before, dict) or not isinstance(now, dict):
        return {key: (before, now)}
    leaves: dict[str, tuple[Any, Any]] = {}
    for inner in {**now, **before}:
        leaves |= _leaves(f"{key}.{inner}", before.get(inner), now.get(inner))
    return leaves
