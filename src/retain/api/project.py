"""A project in a program: what the commands do, wherever the working directory is."""

import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

import pandas as pd

from retain.api.evaluation import Evaluation
from retain.api.model import Model, TableOrPath
from retain.api.training import COLUMNS, check_known, write_table
from retain.config import loader
from retain.config.kind import kind_of
from retain.errors import ModelError, ParamsError, RegistryError, RetainError
from retain.kinds.forecast.config import Problem
from retain.kinds.forecast.infer import adding
from retain.kinds.forecast.infer import entry as inference
from retain.project import fingerprint, raw_table
from retain.project.layout import Layout

SHOWN = 20  # lines of the output of a run that failed without a sentence


@dataclass(frozen=True)
class Registered:
    """What `Project.run` registered of a problem.

    Attributes:
        alias: `champion`, if it passed the gate; else `challenger`.
        sentence: the decision and its reasons.
    """

    name: str
    version: int
    alias: str
    sentence: str

    @property
    def is_champion(self) -> bool:
        """Whether this version is now the one to forecast with."""
        return self.alias == "champion"


class Project:
    """A folder that `retain init` made.

    Args:
        path: the folder, or one in it.

    Raises:
        ParamsError: there is no project, or it is of another release of retain.
    """

    def __init__(self, path: str | Path = "."):
        if not Path(path).is_dir():
            raise ParamsError(f"{path} is no folder; `retain init {path}` makes a project")
        self.root = loader.find_root(start=Path(path))

    def __repr__(self) -> str:
        return f"Project({str(self.root)!r})"

    @classmethod
    def create(cls, path: str | Path, *, example: bool = False) -> Self:
        """Make a project as `retain init` does, with its warnings; `example` adds sample problems.

        Raises:
            ParamsError: the folder has files.
        """
        from retain.project import scaffold

        for warning in scaffold.make(Path(path), example, None)[1]:
            warnings.warn(warning, stacklevel=2)
        return cls(path)

    @property
    def names(self) -> list[str]:
        """The names of the problems, in the order of params.yaml."""
        return list(loader.kinds(self.root))

    def add(
        self,
        table: TableOrPath,
        name: str,
        horizon: int,
        *,
        preset: str | None = None,
        budget: float | None = None,
        force: bool = False,
        **columns: Any,
    ) -> tuple[str, ...]:
        """Make a forecasting problem of a table, as `retain add` does.

        Args:
            table: the path of a file, which is copied into the project if it is not in it; or a
                frame, which is written to data/raw/NAME.parquet.
            name: of the problem.
            horizon: steps to forecast.
            preset: `fast` or `accurate`; by default by the length of the table.
            budget: seconds of the processor to try settings; by the table's size if None.
            force: replace a problem of this name, if it was never trained.
            **columns: keys of `data` of params.yaml, as of `retain.train`.

        Returns:
            What was found out about the table and chosen, a sentence each.

        Raises:
            DataError: the table cannot be used, or may mean two things.
            ParamsError: the name is taken, or a setting is unknown.
        """
        check_known(columns, COLUMNS)
        adding.check_name(self.root, name, force)
        given = columns | {"preset": preset}
        with tempfile.TemporaryDirectory(prefix="retain-") as scratch:
            path = str(table)
            if isinstance(table, pd.DataFrame):
                path = write_table(table, Path(scratch) / f"{name}.parquet")
                there = self.root / "data" / "raw" / f"{name}.parquet"
                md5 = fingerprint.file_md5(Path(path))
                if force and there.is_file() and fingerprint.file_md5(there) != md5:  # keep it
                    path = str(Path(path).rename(f"{scratch}/{name}-{md5[:8]}.parquet"))
            place, copy_to = raw_table.place(path, self.root)
            inferred = inference.infer(name, place, self.root, horizon, given, budget)
            content = adding.entry(name, inferred, copy_to or place)
            adding.write(self.root, name, content, place, copy_to)
        return inferred.sentences

    @overload
    def run(self, name: str, *, force: bool = False, verbose: bool = False) -> Registered: ...
    @overload
    def run(
        self, name: None = None, *, force: bool = False, verbose: bool = False
    ) -> dict[str, Registered]: ...
    def run(
        self, name: str | None = None, *, force: bool = False, verbose: bool = False
    ) -> Registered | dict[str, Registered]:
        """Train, score, judge and register what has changed, as `retain run` does.

        The command runs in processes of its own, so that nothing of this one reaches a result.

        Args:
            name: of one problem; all problems if None.
            force: run even if nothing changed.
            verbose: whether the output of the command is printed.

        Returns:
            What is registered of the problem; of each problem by name, if `name` is None.

        Raises:
            ParamsError: there is no such problem, or params.yaml is wrong.
            RetainError: a stage fails.
        """
        names = list(loader.some(self.root, [name] if name else []))
        _retain(self.root, ["run", *names, *["--force"] * force], verbose)
        registered = {each: self._registered(each) for each in names}
        return registered[name] if name else registered

    def model(self, name: str, version: int | None = None) -> Model:
        """Load the champion of a forecasting problem, or the newest version if there is none.

        The second is a challenger, and Python warns of it. Without a table, the model forecasts
        from the end of the problem's table.

        Args:
            version: the number of another version.

        Raises:
            ParamsError: there is no such problem, or it is of another kind.
            RegistryError: no version is registered, or not this one.
        """
        from retain.registry import lookup

        self._forecasting(name)
        with lookup.forecasting_folder(self.root, name, version) as (folder, warning):
            if warning is not None and version is None:
                warnings.warn(warning, stacklevel=2)
            return Model.copy(folder, self.root)

    def forecast(
        self,
        name: str,
        history: TableOrPath | None = None,
        future: TableOrPath | None = None,
        *,
        version: int | None = None,
        fill_with: str | None = None,
        strict: bool = True,
        unseen: str | None = None,
    ) -> pd.DataFrame:
        """Forecast every series with the problem's champion, as `retain forecast` does.

        Args:
            history: by default the problem's table.
            future, fill_with, strict, unseen: as of `Model.predict`.
            version: as of `model`.

        Raises:
            DataError: as `Model.predict`.
            ParamsError, RegistryError: as `model`.
        """
        unseen = unseen or self._forecasting(name).data.unseen
        model = self.model(name, version)
        return model.predict(history, future, fill_with=fill_with, strict=strict, unseen=unseen)

    def evaluation(self, name: str) -> Evaluation:
        """Read how the trained models of a problem, of any kind, did on its test part.

        Raises:
            ParamsError: there is no such problem.
            ModelError: it was not evaluated yet.
        """
        loader.load_problem(self.root, name)
        evaluation = Evaluation.read(Layout(self.root, name).reports)
        if evaluation is None:
            raise ModelError(f"{name}: no results yet; make them with `retain run {name}`")
        return evaluation

    def versions(self, name: str | None = None) -> pd.DataFrame:
        """List the registered versions of a model, or of all, newest first (`retain models`).

        Returns:
            `name`, `version`, `aliases`, `registered` (UTC), `trained_on`, `refitted_on`,
            `verdict`, `model_md5`, `commit`, and a column for each test metric.

        Raises:
            RegistryError: no version is registered.
        """
        from retain.registry import listing

        rows = [
            {
                "name": row.name,
                "version": row.version,
                "aliases": " ".join(row.aliases),
                "registered": pd.Timestamp(row.registered),
                "trained_on": row.span,
                "refitted_on": row.final_span,
                "verdict": row.sentence or row.verdict,
                "model_md5": row.model_md5,
                "commit": row.commit,
                **row.metrics,
            }
            for row in listing.rows(self.root, name)
        ]
        return pd.DataFrame(rows)

    def _forecasting(self, name: str) -> Problem:
        problem = loader.load_problem(self.root, name)
        if not isinstance(problem, Problem):
            raise ParamsError(
                f"a forecast needs a table of history; problems.{name} is of kind {problem.kind}: "
                f"`{kind_of(problem).command} {name} …`"
            )
        return problem

    def _registered(self, name: str) -> Registered:
        from retain.registry import lookup

        decision = lookup.decision(self.root, name)
        if decision is None:
            raise RegistryError(f"{name}: {lookup.not_registered(name)}")
        return Registered(name, int(decision["version"]), decision["alias"], decision["sentence"])


def _retain(root: Path, words: list[str], verbose: bool) -> None:
    """Run a command of retain in a process of its own; raises RetainError with its sentence."""
    # -P: no module in the project's folder replaces one of Python's; a stage's `python` is this one
    command = [sys.executable, "-P", "-c", "from retain.cli import main; main()", *words]
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | {"PATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if verbose:
                print(lines[-1], flush=True)
    if process.returncode != 0:
        raise RetainError(_reason(lines) or f"`retain {words[0]}` failed")


def _reason(lines: list[str]) -> str:
    """Return the error of a command or of a stage, or the end of its output."""
    for number, line in enumerate(lines):
        if line.startswith("error: "):
            more = [other for other in lines[number + 1 :] if other.startswith("  ")]
            return "\n".join([line.removeprefix("error: "), *more])
    return "\n".join(lines[-SHOWN:])
