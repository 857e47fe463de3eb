"""A log in Parquet files by day, which several processes may write at once.

Each process has files of its own in a folder for each day (UTC), `day=2026-01-31`. A thread writes
what was added, every few seconds: the current file is written anew with the new rows and renamed
into place, so that a reader finds whole files only. A killed process loses its last few seconds.
"""

import datetime as dt
import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from retain.config.monitoring import LogLimit

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

SECONDS = 3.0  # between two writes
ROWS = 50_000  # of a file; then the next one begins
WAITING = 1_000_000  # rows that may wait in memory; more are dropped
LOOK = 60.0  # seconds between two looks at the size of the log
DAY = "day="

log = logging.getLogger(__name__)


class DayLog(Generic[T]):
    """A log of items, each of one or more rows.

    Args:
        folder: of the log; it is made if it does not exist.
        limit: of the log.
        to_table: makes rows of items; called in the thread that writes.
        on_rows: called with the numbers of rows that were written and dropped.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        limit: LogLimit,
        to_table: "Callable[[list[T]], pa.Table]",
        on_rows: Callable[[int, int], None] = lambda written, dropped: None,
    ):
        self.error = ""  # why the last write failed
        self._folder, self._limit = folder, limit
        self._to_table, self._on_rows = to_table, on_rows
        self._items: list[T] = []
        self._waiting, self._dropped = 0, 0  # rows
        self._process, self._number = uuid.uuid4().hex[:12], 0
        self._file: Path | None = None
        self._content: list[pa.Table] = []  # of the current file
        self._unwritten, self._looked = 0, -LOOK
        self._wake, self._closed = threading.Event(), False
        self._adding, self._writing = threading.Lock(), threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{self._process}.part"
        probe.touch()
        probe.unlink()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, item: T, rows: int) -> None:
        """Add an item of so many rows at most; returns at once."""
        with self._adding:
            if self._waiting + self._unwritten + rows > WAITING:
                self._dropped += rows
                return
            self._items.append(item)
            self._waiting += rows
        if self._waiting > ROWS:
            self._wake.set()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(SECONDS)
            self._wake.clear()
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what waits; an error is logged and tried again at the next call."""
        with self._writing:
            try:
                self._write()
                self.error = ""
            except Exception as error:  # the thread must go on, and no request may fail
                sentence = f"{type(error).__name__}: {error}"
                if sentence != self.error:
                    log.warning("forecasts are not logged: %s", sentence)
                self.error = sentence

    def _write(self) -> None:
        with self._adding:
            items, rows, dropped = [*self._items], self._waiting, self._dropped
            self._items.clear()
            self._waiting = self._dropped = 0
        if dropped:
            log.warning("%s rows of forecasts were dropped from the log", f"{dropped:,}")
            self._on_rows(0, dropped)
        if items:
            try:
                made = self._to_table(items)
            except Exception:
                self._on_rows(0, rows)
                raise
            if len(made):  # which may be fewer rows than were announced
                self._content.append(made)
                self._unwritten += len(made)
        if self._unwritten:
            self._write_file()
            self._on_rows(self._unwritten, 0)
            self._unwritten = 0
        if time.monotonic() - self._looked >= LOOK:
            self._looked = time.monotonic()
            keep_within(self._folder, self._limit)

    def _write_file(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        today = self._folder / f"{DAY}{dt.datetime.now(dt.UTC):%Y-%m-%d}"
        table = pa.concat_tables(self._content, promote_options="permissive")
        if self._file is None or self._file.parent != today:
            if self._file is not None:  # what is in the file of yesterday stays there
                table = table.slice(len(table) - self._unwritten)
            self._file = today / f"{self._process}-{self._number:06}.parquet"
            self._number += 1
        self._content = [table.combine_chunks()]
        today.mkdir(parents=True, exist_ok=True)
        scratch = self._file.with_suffix(".part")
        pq.write_table(table, scratch, compression="zstd")
        scratch.replace(self._file)
        if len(table) >= ROWS:
            self._file, self._content = None, []


def keep_within(folder: Path, limit: LogLimit) -> None:
    """Remove the oldest days of a log beyond its limit, and say so; of today, its oldest files."""
    found = days(folder)
    if limit.days is not None:
        first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=limit.days - 1)
        for day in [day for day in found if day.name < f"{DAY}{first}"]:
            _remove(day, f"more than {limit.days} days old")
    if limit.max_bytes is None:
        return
    sizes = {day: sum(size for _, size, _ in _files(day)) for day in found}
    total, why = sum(sizes.values()), f"the log is larger than {limit.max_bytes / 10**6:,.0f} MB"
    for day in found[:-1]:
        if total <= limit.max_bytes:
            return
        _remove(day, why)
        total -= sizes[day]
    for _, size, path in sorted(_files(found[-1])) if found else ():
        if total <= limit.max_bytes:
            return
        log.warning("removed from the log: %s, since %s", path, why)
        path.unlink(missing_ok=True)
        total -= size


def days(folder: Path) -> list[Path]:
    """Return the folders of a log's days, the oldest first."""
    return sorted(path for path in folder.glob(f"{DAY}????-??-??") if path.is_dir())


def _files(day: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield time, size and path of each file of a day; others may remove them meanwhile."""
    with suppress(FileNotFoundError):
        for path in [*day.iterdir()]:
            with suppress(FileNotFoundError):
                state = path.stat()
                yield state.st_mtime, state.st_size, path


def _remove(day: Path, why: str) -> None:
    log.warning("removed from the log: %s, since %s", day, why)
    shutil.rmtree(day, ignore_errors=True)
