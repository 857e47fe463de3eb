"""`retain …`: everything a person does that is not a DVC stage.

Commands import what they need when they run, so that `retain --help` answers at once.
"""

import contextlib
import datetime as dt
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from retain import errors, gate, lineage, params
from retain.errors import DataError, ParamsError

app = typer.Typer(
    name="retain",
    help="LSTM models of sequences that can be retrained, compared and proved.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULT_GATE = [
    {"check": "finite"},
    {"check": "beats", "baseline": "seasonal_naive", "metric": "mae"},
    {"check": "beats_or_ties", "baseline": "rnn", "metric": "mae", "margin": 0.02},
    {"check": "coverage", "tolerance": 0.1},
    {"check": "champion", "metric": "mae", "margin": 0.0},
]
Columns = Annotated[list[str] | None, typer.Option(help="A column; repeat it for more.")]


def main() -> NoReturn:
    """The console script: an error of the input is one sentence and exit code 2."""
    errors.run(app)


@app.callback()
def _root() -> None:  # one command alone would make Typer drop its name
    pass


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Of the new problem: lower-case letters, digits, _.")],
    path: Annotated[str, typer.Argument(help="CSV or Parquet file, folder of Parquet, or URL.")],
    horizon: Annotated[int, typer.Option(min=1, help="Steps to forecast.")],
    ds: Annotated[str | None, typer.Option(help="Column of the time stamps.")] = None,
    y: Annotated[str | None, typer.Option(help="Column to forecast.")] = None,
    unique_id: Annotated[str | None, typer.Option(help="Column that names the series.")] = None,
    value_column: Columns = None,
    past_covariate: Columns = None,
    known_covariate: Columns = None,
    static_covariate: Columns = None,
    context_length: Annotated[int | None, typer.Option(min=1, help="Steps to look back.")] = None,
    season_length: Annotated[int | None, typer.Option(min=1, help="Steps of a season.")] = None,
    frequency: Annotated[str | None, typer.Option(help="Pandas alias, such as h or W-MON.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Europe/Berlin.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="As in strptime, or epoch_s, epoch_ms, excel.")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="Between the fields of a row.")] = None,
    decimal: Annotated[str | None, typer.Option(help="The decimal sign.")] = None,
    duplicates: Annotated[
        str | None, typer.Option(help="Rows that repeat a time stamp: error, first, last, mean.")
    ] = None,
    holidays: Annotated[str | None, typer.Option(help="Country, such as US or US-MN.")] = None,
    validation: Annotated[
        str, typer.Option(help="Where validation begins: a share of the time span, or a date.")
    ] = "0.7",
    test: Annotated[str, typer.Option(help="Where test begins: a share, or a date.")] = "0.85",
) -> None:
    """Make a forecasting problem of a table: look at it, choose settings, write params.yaml."""
    from retain.forecast import inference, panel
    from retain.forecast.params import Problem

    root = params.find_root()
    if name in params.load(root):
        raise ParamsError(f"params.yaml: there is a problem `{name}` already; choose another name")
    if not params.NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r} cannot name a problem: take lower-case letters, digits and _, a letter first"
        )
    for option, sign in (("--separator", separator), ("--decimal", decimal)):
        if sign and sign != "\\t" and len(sign) != 1:
            raise ParamsError(f"{option} is {sign!r}: it must be one character, or \\t for a tab")
    options: dict[str, Any] = {
        "ds": ds,
        "y": y,
        "unique_id": unique_id,
        "value_columns": value_column,
        "past_covariates": past_covariate,
        "known_covariates": known_covariate,
        "static_covariates": static_covariate,
        "context_length": context_length,
        "season_length": season_length,
        "frequency": frequency,
        "timezone": timezone,
        "time_format": time_format,
        "separator": "\t" if separator == "\\t" else separator,
        "decimal": decimal,
        "duplicates": duplicates,
        "holidays": holidays,
        "split": {"validation": _boundary(validation), "test": _boundary(test)},
    }
    given = {key: value for key, value in options.items() if value}
    place, copy_to = _place(path, root)
    found = inference.infer(name, place, root, horizon, given)
    data = {**found.data, "path": copy_to or place}
    entry = {
        "kind": "forecast",
        "preset": found.preset,
        "data": data,
        "model": found.model,
        "training": {"seed": 1},
        "evaluation": {"bootstrap": 2000},
        "gate": DEFAULT_GATE,
    }
    problem = params.parse(name, entry)
    assert isinstance(problem, Problem)
    panel.build(found.table, problem.data)  # what was inferred must be usable, not only readable

    for sentence in found.sentences:
        typer.echo(f"  {sentence}")
    with _copied(Path(place), root / copy_to if copy_to else None):
        tracked = "://" not in data["path"] and _track(root, data["path"])
        params.append(root, name, entry, inference.COMMENTS)
    if copy_to is not None:
        typer.echo(f"{path} copied to {copy_to}")
    if tracked:
        typer.echo(f"{data['path']} tracked by DVC: commit {data['path']}.dvc")
    typer.echo(f"problems.{name} written to params.yaml. Next: dvc repro register@{name}")


@app.command()
def check(name: Annotated[str, typer.Argument(help="Of the problem.")]) -> None:
    """Read and validate a problem's table, without training, and say what was found."""
    from retain.forecast import panel, quality, source
    from retain.forecast.params import Problem

    root = params.find_root()
    problem = params.load_problem(root, name)
    if not isinstance(problem, Problem):
        raise ParamsError(f"`retain check` reads tables; problems.{name} is of kind {problem.kind}")
    found = panel.build(source.read(problem.data, root), problem.data).quality
    typer.echo(f"{name}: {problem.data.path}")
    for line in quality.lines(found):
        typer.echo(f"  {line}")


@app.command()
def forecast(
    name: Annotated[str, typer.Argument(help="Of the problem.")],
    history: Annotated[
        str | None, typer.Option(help="Table of the past; the problem's own if not given.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV or .parquet; else the screen.")
    ] = None,
) -> None:
    """Forecast every series with the problem's champion."""
    from retain import registry

    root = params.find_root()
    problem = params.load_problem(root, name)
    with registry.champion_folder(root, name) as folder:
        served = params.room(problem, "serving").load(folder)
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        raise DataError(f"{output}: name a file in a folder that exists")
    answer = served.answer_file(history, root)
    if output is None:
        typer.echo(answer.to_csv(index=False, float_format="%.7g"), nl=False)
        return
    scratch = output.with_name(f".{output.name}.part")
    try:
        if output.suffix == ".parquet":
            answer.to_parquet(scratch, index=False)
        else:
            answer.to_csv(scratch, index=False, float_format="%.7g")
        scratch.replace(output)
    finally:
        scratch.unlink(missing_ok=True)
    typer.echo(f"{len(answer):,} rows for {answer['unique_id'].nunique():,} series in {output}")


@app.command()
def results(
    names: Annotated[list[str] | None, typer.Argument(help="Problems; all if none.")] = None,
) -> None:
    """Print how each problem's models compare, the verdict, and where the report is."""
    from rich.console import Console
    from rich.markdown import Markdown

    root = params.find_root()
    known = params.load(root)
    console = Console(width=None if sys.stdout.isatty() else 110)
    for name in names or known:
        if name not in known:
            raise ParamsError(f"params.yaml: no problem `{name}`; there is {', '.join(known)}")
        folder = root / "reports" / name
        if not (folder / "report.md").is_file():
            typer.echo(f"{name}: no results yet; make them with `dvc repro register@{name}`")
            continue
        console.print(Markdown((folder / "report.md").read_text(encoding="utf-8")))
        typer.echo(f"registry: {_decision(root, name)}")
        typer.echo(f"report:   {(folder / 'report.html').relative_to(root)}")


def _decision(root: Path, name: str) -> str:
    """What became of the present model in the registry, if it was registered here."""
    path = root / "reports" / name / "decision.json"
    model = root / "models" / name / gate.MODEL
    decision = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not model.is_dir() or decision.get("model_md5") != lineage.folder_md5(model):
        return f"this model was not registered last; do so with `dvc repro -f -s register@{name}`"
    return str(decision["sentence"])


def _boundary(text: str) -> float | str:
    """A share of the time span (0.7), a date or a date with a time."""
    if re.fullmatch(r"0?\.\d+", text):
        return float(text)
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a share such as 0.7 nor a date") from None
    return text


def _place(path: str, root: Path) -> tuple[str, str | None]:
    """A table's path as params.yaml will say it, or its absolute path and where to copy it."""
    if "://" in path:
        return path, None
    absolute = Path(path).resolve()
    if absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix(), None
    return str(absolute), f"data/raw/{absolute.name}"


@contextlib.contextmanager
def _copied(source: Path, target: Path | None) -> Iterator[None]:
    """A copy of the table in the project, taken away again where what follows fails."""
    if target is None:
        yield
        return
    if target.exists():
        raise DataError(f"{target} exists already; rename one of the two")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        yield
    except BaseException:
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
        raise


def _track(root: Path, path: str) -> bool:
    """Give the table to DVC, unless git or DVC has it: clones and queued experiments need it."""
    known = subprocess.run(
        ["git", "ls-files", "--error-unmatch", path], cwd=root, capture_output=True, check=False
    )
    outs = [Path(path), *Path(path).parents[:-1]]  # the file, or a folder it lies in
    if known.returncode == 0 or any((root / f"{out}.dvc").is_file() for out in outs):
        return False
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "add", path],  # --quiet would swallow the reason too
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = " ".join(reasons).removeprefix("ERROR: ") or done.stderr.strip()
        raise DataError(f"{path}: `dvc add` failed: {reason}")
    return True
