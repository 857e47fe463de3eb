"""Ask `retain add` what a made table means, answer as its maker would, and judge what comes of it.

`retain add` runs whole, as a person starts it. The table is named by a URL, for then it is neither
copied nor added to DVC, which take longer than all else.
"""

import contextlib
import dataclasses
import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import typer

from retain import cli
from retain.config import loader
from retain.errors import RetainError
from retain.kinds.forecast.config import Data, Problem
from retain.kinds.forecast.data import chunk_reader, tables
from tests.made_tables.truth import Made, Truth

COMMAND = typer.main.get_command(cli.app)
OPTIONS = {
    option
    for parameter in COMMAND.commands["add"].params
    for option in parameter.opts  # type: ignore[attr-defined]
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SIGNS = {"--decimal", "--thousands"}
TOGETHER = {"--aggregate": ["--frequency"], "--timezone": ["--ambiguous"]}
FLOORS = ("h", "15min")
ROUNDS = 4  # questions, at most
HORIZON = 2


@dataclass(frozen=True)
class Judgement:
    """What came of a table: right, asked, refused; or a fault of `retain add` and what it is."""

    outcome: str
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.outcome in ("right", "asked", "refused")


def judge(made: Made, folder: Path) -> Judgement:
    """Return what `retain add` makes of a table; `folder` is empty or was given before."""
    (folder / made.name).write_bytes(made.content)
    given: dict[str, list[str]] = {}
    said: list[str] = []
    for _ in range(ROUNDS + 1):
        found = None
        try:
            found = _read(made.truth, folder, add(made, folder, given), set(given))
        except RetainError as error:
            said.append(str(error))
        except Exception as error:  # whatever else it may raise is a fault of it
            found = Judgement("crash", f"{type(error).__name__}: {error}")
        if found is not None:
            return dataclasses.replace(found, detail=f"{given}\n{said}\n{found.detail}")
        if unclear := _unclear(said[-1], made.name):
            return Judgement("unclear", f"{unclear}: {said[-1]}")
        named = OPTION.findall(said[-1])
        answers = made.truth.answers | _kept(said[-1], made.truth)
        answer = next((o for o in named if o in answers and o not in given), None)
        if answer is None:
            break
        for option in (answer, *TOGETHER.get(answer, ())):
            if option in named and option in answers:
                given[option] = answers[option]
    if made.truth.cure and re.search(made.truth.cure, said[-1]):
        return Judgement("refused", said[-1])
    return Judgement("in vain", f"{given}: " + "\n--\n".join(said))


def _read(truth: Truth, folder: Path, printed: str, answered: set[str]) -> Judgement:
    """Judge the entry that was written."""
    problem = loader.load_problem(folder, "made")
    assert isinstance(problem, Problem)
    if different := _differences(truth, problem.data, folder, printed):
        return Judgement("wrong", f"{different}\n{printed}")
    if truth.doubtful and not answered & SIGNS:
        return Judgement("silent", f"{truth.doubtful}\n{printed}")
    return Judgement("asked" if answered else "right")


def _kept(said: str, truth: Truth) -> dict[str, list[str]]:
    """Return the numbers that an error takes for marks of missing values, if they are none."""
    numbers = re.findall(r"--keep-value (-?[\d.e]*\d)", said)
    marks = truth.answers.get("--na-value", [])
    return {} if set(numbers) & set(marks) or not numbers else {"--keep-value": numbers}


def _unclear(said: str, name: str) -> str:
    """Return what makes an error of no use."""
    unknown = sorted(set(OPTION.findall(said)) - OPTIONS)
    if name not in said:
        return "it names no file"
    return f"{', '.join(unknown)}: no option of `retain add`" if unknown else ""


def add(made: Made, folder: Path, given: dict[str, list[str]]) -> str:
    """Run `retain add` in a new project; return what it prints."""
    (folder / "params.yaml").write_text("problems:\n")
    (folder / "dvc.yaml").write_text("stages: {}\n")
    typed: list[str] = []
    for option, values in given.items():
        typed += [word for value in values for word in (option, value)] or [option]
    url = f"file://{folder / made.name}"
    words = ["add", "made", url, "--horizon", str(HORIZON), "--budget", "0", *typed]
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        COMMAND.main(words, standalone_mode=False)
    return printed.getvalue()


def _differences(truth: Truth, data: Data, folder: Path, printed: str) -> str:
    """Return how the table, as the proposed entry reads it, differs from the truth."""
    table = tables.read(data, folder)
    frame = table.frame[table.frame["y"].notna()]
    known = {"/".join(sorted(key.split("/"))): key for key in truth.series}
    parts = [sorted(part.strip() for part in str(i).split("/")) for i in frame["unique_id"]]
    ids = [known.get("/".join(key), "/".join(key)) for key in parts]
    if len(truth.series) == 1 and len(set(ids)) == 1:
        ids = list(truth.series) * len(ids)
    ds = pd.DatetimeIndex(frame["ds"])
    if data.timezone is not None and not truth.zoned:
        ds = ds.tz_localize("UTC").tz_convert(data.timezone).tz_localize(None)
    read = pd.Series(frame["y"].to_numpy(), [ids, ds])
    true = pd.concat({name: pd.Series(values) for name, values in truth.series.items()})
    for shift in (0, 1) if truth.holds == "hour" else (0,):
        moved = [true.index.get_level_values(1) + pd.Timedelta(shift, "h")]
        wanted = true.set_axis([true.index.get_level_values(0), *moved])
        found = _compared(_periods(wanted, truth.holds), _periods(read, truth.holds), truth)
        if not found:
            break
    return (
        found
        or _other_roles(truth, data, printed)
        or _step(truth, table.frequency)
        or _read_otherwise(table, data, folder)
    )


def _periods(values: "pd.Series[float]", holds: str) -> "pd.Series[float]":
    ids, ds = values.index.get_level_values(0), pd.DatetimeIndex(values.index.get_level_values(1))
    if holds == "order":  # whatever a step without a date is read as
        since = ds.asi8 - ds.asi8.min()
        return values.set_axis([ids, since // np.diff(np.unique(since)).min()])
    if holds in ("", "hour"):
        return values
    return values.set_axis([ids, ds.floor(holds) if holds in FLOORS else ds.to_period(holds)])


def _compared(true: "pd.Series[float]", read: "pd.Series[float]", truth: Truth) -> str:
    if not read.index.is_unique:
        return f"two values for one time: {read[read.index.duplicated()].head(3).to_dict()}"
    both = pd.DataFrame({"true": true, "read": read})
    if truth.unsure:
        unsure = both.index.get_level_values(1).isin(list(truth.unsure))
        both = both[~(unsure & both["read"].isna())]
    close = np.isclose(both["true"], both["read"], rtol=1e-9, atol=0)
    return "" if close.all() else f"{(~close).sum()} of {len(both)} values:\n{both[~close].head(4)}"


def _other_roles(truth: Truth, data: Data, printed: str) -> str:
    """Return which other columns have another role than they should, or are not spoken of."""
    for name, role in truth.roles.items():
        keys = ("past_covariates", "known_covariates", "static_covariates")
        found = next((key for key in keys if name in map(str.strip, getattr(data, key))), "")
        if found != role:
            return f"column {name!r} is in {found or 'no key'}, not {role or 'left out'}"
        if not re.search(rf"` ?{re.escape(name)}`", printed):
            return f"column {name!r} is not spoken of"
    return ""


def _step(truth: Truth, frequency: str) -> str:
    if truth.days is None:
        return ""
    steps = np.diff(pd.date_range("2020-01-01", periods=40, freq=frequency))
    days = float(np.median(steps) / np.timedelta64(1, "D"))
    return "" if abs(days / truth.days - 1) < 0.1 else f"frequency {frequency}, not {truth.days} d"


def _read_otherwise(table: tables.Table, data: Data, folder: Path) -> str:
    """Return how the table differs where it is read in chunks, as `prepare` does."""
    if not data.id_columns:  # it is read whole then, too
        return ""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        read = chunk_reader.read(data, folder, Path(scratch))
        rows = pd.concat(list(read.frames()))
        names = read.series["unique_id"].to_numpy()[rows["series"]]
        rows = rows.assign(unique_id=names).sort_values(["unique_id", "ds"])
    same = read.frequency == table.frequency and len(rows) == len(table.frame)
    for name in ("unique_id", "ds", "y") if same else ():
        same &= pd.Index(rows[name]).equals(pd.Index(table.frame[name]))
    return "" if same else f"read in chunks it is another table: {rows.head(3)}"
