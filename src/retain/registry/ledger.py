"""The ledger of a model, models/NAME/ledger.csv: each registration, and each decision about one.

A line says when, by whom, which alias a model got and why. It names models by their md5, since in
another store a version has another number. Git tracks the file as it does dvc.lock; DVC does not
know it, since no stage depends on it. A merge takes the lines of both sides (.gitattributes), so
that lines are sorted by their time when they are read.
"""

import csv
import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from retain.config.schema import Cell
from retain.errors import RegistryError
from retain.evaluation.quality_gate import MODEL, CheckResult
from retain.project import dvc, files
from retain.project.git import Git
from retain.project.layout import Layout

GATE = "gate"  # who decides, where it is no person
UNKNOWN = "unknown"  # the alias of what was registered before there was a ledger
VERSUS_CHAMPION = "better than champion version"  # how that check's name begins


@dataclass(frozen=True)
class Entry:
    """One line of a ledger."""

    at: str  # ISO, UTC
    by: str  # `gate`, or name and address of a person
    alias: str  # champion, challenger or unknown
    why: str
    model: str  # md5 of its folder
    metrics: str  # md5 of metrics.json
    commit: str  # that was checked out; one that follows has the dvc.lock
    final: str = ""  # md5 of the refitted model's folder; empty where the version has none
    parent: str = ""  # md5 of the model that its training started from; empty for random weights
    sha256: str = ""  # of its files (`manifest.content_sha256`); empty in a line of a person

    @property
    def content(self) -> tuple[str, str]:
        """What makes a version: the md5 of the evaluated model and of the refitted one."""
        return self.model, self.final

    def repeats(self, entries: list["Entry"]) -> bool:
        """Whether the gate's newest decision about this version or this alias is the same."""
        for entry in reversed(entries) if self.by == GATE else ():
            moved = self.alias != UNKNOWN and entry.alias in (self.alias, UNKNOWN)
            if moved or entry.content == self.content:
                same = (entry.content, entry.alias, entry.metrics)
                return same == (self.content, self.alias, self.metrics)
        return self in entries


COLUMNS = tuple(field.name for field in fields(Entry))
OPTIONAL = ("final", "parent", "sha256")  # the last ones, which an earlier version did not write


def read(root: Path, name: str) -> list[Entry]:
    """Read the entries, in the order of time; a project without a ledger has those of its history.

    Raises:
        RegistryError: a line of the file is not one of a ledger.
    """
    path = Layout(root, name).ledger
    if path.is_file():
        lines = [Entry(**row) for row in _rows(root, path, COLUMNS, OPTIONAL)]
    else:
        lines = _from_history(root, name)
    entries: list[Entry] = []
    for entry in sorted(lines, key=lambda entry: entry.at):
        if not entry.repeats(entries):
            entries.append(entry)
    return entries


def new_entry(
    root: Path,
    by: str,
    alias: str,
    why: str,
    model: str,
    metrics: str,
    final: str = "",
    parent: str = "",
    sha256: str = "",
) -> Entry:
    """Return an entry of now, at the commit that is checked out."""
    commit = Git(root).find("HEAD") or ""
    return Entry(_iso(time.time()), by, alias, why, model, metrics, commit, final, parent, sha256)


def record(root: Path, name: str, entry: Entry) -> None:
    """Add an entry as the newest, unless it repeats what the ledger says."""
    entries = read(root, name)
    if not entry.repeats(entries):
        newest = max([entry.at, *(known.at for known in entries[-1:])])  # clocks differ
        write(root, name, [*entries, replace(entry, at=newest)])


@contextmanager
def recorded(root: Path, name: str, entry: Entry) -> Iterator[None]:
    """Add an entry before the block, which does what it says; take it back if the block fails.

    Raises:
        RegistryError: the ledger cannot be read, so that nothing is done.
    """
    path = Layout(root, name).ledger
    before = path.read_bytes() if path.is_file() else None
    record(root, name, entry)
    try:
        yield
    except BaseException:
        if before is None:
            path.unlink(missing_ok=True)
        else:
            files.write_bytes(path, before)
        raise


def write(root: Path, name: str, entries: Iterable[Entry]) -> None:
    """Write the whole ledger; a new one is reported, so that it gets into git."""
    path = Layout(root, name).ledger
    if not path.is_file():
        print(f"{path.relative_to(root)} is new: commit it, as you do dvc.lock")
    text, lines = io.StringIO(), [asdict(entry) for entry in entries]
    columns = list(COLUMNS)
    while columns[-1] in OPTIONAL[1:] and not any(line[columns[-1]] for line in lines):
        columns.pop()  # what no line has; an earlier version can read the rest
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text.getvalue())


def sha256s_of(entries: Iterable[Entry], content: tuple[str, str]) -> list[str]:
    """Return the sha256 that were recorded when a model was registered, in each store once.

    Args:
        content: of the model, as `Entry.content`.
    """
    return [entry.sha256 for entry in entries if entry.content == content and entry.sha256]


def champion(entries: Sequence[Entry]) -> Entry | None:
    """Return the last decision that made a model champion; None if it is not known."""
    decided = [entry for entry in entries if entry.alias in ("champion", UNKNOWN)]
    return decided[-1] if decided and decided[-1].alias == "champion" else None


def reasons(checks: Iterable[CheckResult]) -> str:
    """Return why the gate decided so: the checks that failed, and the comparison of two models."""
    parts = [
        f"{'passed' if check.passed else 'failed'} {check.check}: {check.sentence}"
        for check in checks
        if not check.passed or check.check.startswith(VERSUS_CHAMPION)
    ]
    return " ".join(" | ".join(parts).split()) or "passed"


def checks_of(why: str) -> dict[str, CheckResult]:
    """Return, by name, the checks that `reasons` has written."""
    parts = [re.fullmatch(r"(passed|failed) (.+?): (.*)", part) for part in why.split(" | ")]
    return {m[2]: CheckResult(m[2], m[1] == "passed", m[3], {}) for m in parts if m}


def locked_md5s(root: Path, commit: str, stage: str) -> dict[str, str]:
    """Return the md5 by path of what a stage read and left, of what DVC keeps.

    Args:
        commit: whose dvc.lock is read; if empty, the one that is here.
    """
    entry = dvc.locked(dvc.read_lock(root, commit), stage)
    kept = ("data/prepared/", "models/", "reports/")
    items = [*entry.get("deps", ()), *entry.get("outs", ())]
    return {i["path"]: i["md5"] for i in items if i["path"].startswith(kept) and "md5" in i}


def registered(md5s: dict[str, str], name: str) -> tuple[str, str]:
    """Return the md5 of the LSTM and of the metrics; empty where they are not among `md5s`."""
    paths = Layout(Path(), name)
    return md5s.get(str(paths.model(MODEL)), ""), md5s.get(str(paths.metrics), "")


def holds(md5s: dict[str, str], name: str, entry: Entry) -> bool:
    """Whether `md5s` are those of a registration: its metrics, and its models among them."""
    paths = Layout(Path(), name)
    models = {md5s.get(str(paths.model(cell))) for cell in get_args(Cell)}
    return (
        entry.model in models
        and entry.metrics == md5s.get(str(paths.metrics))
        and entry.final in ("", md5s.get(str(paths.final)))
    )


def commits(root: Path, *options: str) -> Iterator[tuple[str, str]]:
    """Yield the commits that changed dvc.lock, oldest first, with their time; "" is what is here.

    Args:
        options: of `git log`.
    """
    git = Git(root)
    log = ("log", "--reverse", "--topo-order", "--full-history", "--format=%H %ct", *options)
    if git.find("HEAD"):
        for line in git.run(*log, "HEAD", "--", "dvc.lock").splitlines():
            commit, seconds = line.split()
            yield commit, _iso(int(seconds))
    yield "", _iso(time.time())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _from_history(root: Path, name: str) -> list[Entry]:
    """Return what git's history of dvc.lock says, where there is no ledger."""
    why = "registered before there was a ledger"
    entries = []
    for commit, at in commits(root):
        model, metrics = registered(locked_md5s(root, commit, f"register@{name}"), name)
        if model and metrics:
            entries.append(Entry(at, GATE, UNKNOWN, why, model, metrics, commit))
    for index in reversed(range(len(entries) - 1)):  # a commit follows what it holds
        entries[index] = replace(entries[index], at=min(entries[index].at, entries[index + 1].at))
    return entries


def _rows(
    root: Path, path: Path, columns: Sequence[str], optional: tuple[str, ...] = ()
) -> list[dict[str, str]]:
    """Read the lines of a file; one that an earlier version wrote lacks the `optional` columns.

    A merge of both versions has the earlier one's header among its lines. The optional columns are
    the last ones.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RegistryError(
            f"{path.relative_to(root)} cannot be read ({error}); take it back from git"
        ) from None
    headers = [list(columns[: len(columns) - less]) for less in range(len(optional) + 1)]
    lengths = {len(header) for header in headers}
    rows = []
    for number, line in enumerate(lines, start=1):
        if line in headers:
            continue
        if number == 1 or len(line) not in lengths:
            raise RegistryError(
                f"{path.relative_to(root)}, line {number}: expected the columns "
                f"{', '.join(columns)}; take the file back from git, or remove the line"
            )
        rows.append(dict.fromkeys(optional, "") | dict(zip(columns, line, strict=False)))
    return rows
