"""What is tuned: a problem, its cells, what is tried of each, and the journals of their trials."""

import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from retain.config import loader, search
from retain.config.kind import kind_of, require
from retain.config.schema import Cell, Problem
from retain.config.search import PER_CELL, Space
from retain.errors import ParamsError
from retain.project import code_deps, fingerprint
from retain.tracking import store

UNREAD = {*fingerprint.UNTRAINED, "evaluation"} - {"kind"}


@dataclass(frozen=True)
class Plan:
    """A problem to tune.

    Attributes:
        entry: its sections as params.yaml has them.
        spaces: what is tried, by cell.
    """

    root: Path
    name: str
    entry: Mapping[str, Any]
    problem: Problem
    spaces: Mapping[Cell, Space]

    @property
    def whole(self) -> bool:
        """Whether all cells of the problem are tuned."""
        return set(self.spaces) >= set(self.problem.training.cells)

    def of(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry with the settings of a trial."""
        return search.override(self.entry, settings)

    def journal(self, cell: Cell, prepared: str) -> Path:
        """Return the path of the journal of a cell.

        Its name has the fingerprint of what decides about a trial, besides its number: data,
        params, code and search space. So trials of another table are never mixed in.

        Args:
            prepared: the md5 of the prepared data.
        """
        space, kind = self.spaces[cell], kind_of(self.problem)
        recipe = {
            "data": prepared,
            "params": self.problem.model_dump(mode="json", exclude=UNREAD),
            "folds": self.problem.folds,
            "code": code_deps.training_md5(self.root, kind),
            "score": kind.trial and fingerprint.file_md5(Path(inspect.getfile(kind.trial.load))),
            "ranges": {key: dataclasses.asdict(one) for key, one in space.ranges.items()},
            "starts": [dict(start) for start in space.starts],
            "fixed": dict(space.fixed),
        }
        md5 = fingerprint.text_md5(json.dumps(recipe, sort_keys=True))
        return store.folder(self.root) / "tune" / self.name / f"{cell}-{md5[:12]}.jsonl"

    def result(self, best: Mapping[Cell, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the settings that params.yaml gets, from those of the best trial of each cell.

        A key has the value of the first cell, which is the LSTM's unless it was not tuned, but for
        keys that may differ by cell: of those each has its own.
        """
        first = next(iter(best.values()))
        settings = dict(first)
        for key in PER_CELL:
            if key in settings:
                cells = self.problem.training.cells
                values = {
                    cell: best[cell][key]
                    if cell in best
                    else search.present(self.problem, cell, key)
                    for cell in cells
                }
                same = len(set(values.values())) == 1
                settings[key] = first[key] if same else values
        return settings

    def changed(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that differ from params.yaml."""

        def is_present(key: str, value: Any) -> bool:
            by_cell = key in PER_CELL and isinstance(value, dict)
            return all(
                start.get(key, search.present(self.problem, cell, key))
                == (value[cell] if by_cell else value)
                for cell, space in self.spaces.items()
                for start in space.starts
            )

        return {key: value for key, value in settings.items() if not is_present(key, value)}


def plan(root: Path, name: str, cells: Sequence[str]) -> Plan:
    """Return the plan of a problem, of some of its cells or of all.

    Raises:
        ParamsError: the kind cannot be tuned, a cell is not trained, or `tune` is wrong.
    """
    problem = loader.load_problem(root, name)
    build = require(
        kind_of(problem).search, f"{name} is of kind {problem.kind}, which has no search space"
    )
    chosen = _cells(problem, name, cells)
    if problem.training.devices != 1:
        raise ParamsError(
            f"params.yaml: `problems.{name}.training.devices` is {problem.training.devices}; a "
            f"trial trains on one device: set it to 1, and give --jobs the number of devices"
        )
    entry = json.loads(json.dumps(loader.read(root)["problems"][name]))

    def check(settings: Mapping[str, Any]) -> Problem:
        return loader.parse(name, search.override(entry, settings))

    spaces = {}
    for cell in chosen:
        found = build(problem, cell)
        spaces[cell] = search.narrowed(found, problem.tune, f"problems.{name}.tune", check)
    made = Plan(root, name, entry, problem, spaces)
    fixed = [key for space in spaces.values() for key in space.fixed]
    if fixed and not made.whole:
        raise ParamsError(
            f"--cells: each trial sets problems.{name}.{fixed[0]} for all cells: tune all of them"
        )
    return made


def _cells(problem: Problem, name: str, cells: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells to tune, in the order of params.yaml, the LSTM first."""
    known = problem.training.cells
    for cell in cells:
        if cell not in known:
            valid = cell in get_args(Cell)
            why = f"problems.{name}.training.cells does not name it" if valid else "no cell"
            raise ParamsError(f"--cells: {cell}: {why}; there are {', '.join(known)}")
    return tuple(cell for cell in known if not cells or cell in cells)
