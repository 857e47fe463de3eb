"""A log by day: whole files, several writers, bounds, and what becomes of rows on an error."""

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retain.config.monitoring import LogLimit
from retain.errors import ParamsError
from retain.project import day_log
from retain.project.day_log import DayLog

MUCH = LogLimit(max_bytes=10**9)


def to_table(items: list[int]) -> pa.Table:
    return pa.table({"number": items})


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[list[DayLog[int]]]:
    """Logs that are closed at the end."""
    opened: list[DayLog[int]] = []
    yield opened
    for log in opened:
        log.close()


@pytest.fixture
def log(tmp_path: Path, logs: list[DayLog[int]]) -> DayLog[int]:
    logs.append(DayLog(tmp_path / "log", MUCH, to_table))
    return logs[0]


def numbers_of(day: Path) -> list[int]:
    return [n for path in day.glob("*.parquet") for n in pq.read_table(path)["number"].to_pylist()]


def numbers(folder: Path) -> list[int]:
    return sorted(n for day in day_log.days(folder) for n in numbers_of(day))


def test_two_writers_have_files_of_their_own_and_nothing_half_written_stays(
    tmp_path: Path, log: DayLog[int], logs: list[DayLog[int]]
) -> None:
    logs.append(DayLog(tmp_path / "log", MUCH, to_table))
    for number in range(6):
        logs[number % 2].add(number, 1)
        logs[number % 2].flush()
    assert numbers(tmp_path / "log") == [*range(6)]
    files = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert {path.suffix for path in files} == {".parquet"}


def test_what_waits_is_written_when_it_is_closed(tmp_path: Path, log: DayLog[int]) -> None:
    log.add(7, 1)
    log.close()
    assert numbers(tmp_path / "log") == [7]


def test_a_full_file_is_followed_by_another(
    tmp_path: Path, log: DayLog[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_log, "ROWS", 3)
    for number in range(7):
        log.add(number, 1)
        log.flush()
    assert numbers(tmp_path / "log") == [*range(7)]
    assert len([*(tmp_path / "log").rglob("*.parquet")]) == 3


def test_what_was_written_yesterday_stays_there_alone(
    tmp_path: Path, log: DayLog[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(1, 1)
    log.flush()
    today = day_log.days(tmp_path / "log")[0]
    set_clock(monkeypatch, days=1)
    log.add(2, 1)
    log.flush()
    days = day_log.days(tmp_path / "log")
    assert [numbers_of(day) for day in days] == [[1], [2]]
    assert days[0] == today


@pytest.mark.parametrize(("yesterday", "announced"), [([1, 2], 2), ([1], 4)])
def test_rows_that_were_announced_and_not_made_change_nothing(
    tmp_path: Path, logs: list[DayLog[int]], monkeypatch: pytest.MonkeyPatch,
    yesterday: list[int], announced: int,
) -> None:  # fmt: skip
    def some(items: list[int]) -> pa.Table:
        return to_table([item for item in items if item > 0])

    logs.append(DayLog(tmp_path / "log", MUCH, some))
    log = logs[0]
    for number in yesterday:
        log.add(number, announced)
    log.flush()
    set_clock(monkeypatch, days=1)
    log.add(7, announced)
    log.flush()
    assert not log.error
    assert [numbers_of(day) for day in day_log.days(tmp_path / "log")] == [yesterday, [7]]


def test_no_rows_make_no_file(tmp_path: Path, logs: list[DayLog[int]]) -> None:
    counted: list[tuple[int, int]] = []

    def count(written: int, dropped: int) -> None:
        counted.append((written, dropped))

    logs.append(DayLog(tmp_path / "log", MUCH, lambda items: to_table([]), count))
    logs[0].add(1, 4)
    logs[0].flush()
    assert day_log.days(tmp_path / "log") == []
    assert counted == []
    assert logs[0]._unwritten == 0


def set_clock(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let it be so many days later."""
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Clock":
            return cls.fromtimestamp(later.timestamp(), tz)

    monkeypatch.setattr(day_log.dt, "datetime", Clock)


def test_rows_that_could_not_be_written_are_written_later(
    tmp_path: Path, log: DayLog[int], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "log").touch()  # a file in the folder's place, as a full disk would: an OSError
    log.add(1, 1)
    log.flush()
    log.add(2, 1)
    log.flush()
    assert log.error
    assert caplog.text.count("forecasts are not logged") == 1
    (tmp_path / "log").unlink()
    log.flush()
    assert not log.error
    assert numbers(tmp_path / "log") == [1, 2]


def test_a_write_that_breaks_off_is_no_file_of_the_log(
    tmp_path: Path, log: DayLog[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(table: pa.Table, path: Path, **options: str) -> None:
        path.write_bytes(b"PAR1")
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", break_off)
        log.add(1, 1)
        log.flush()
    assert not [*(tmp_path / "log").rglob("*.parquet")]
    log.flush()
    assert numbers(tmp_path / "log") == [1]


def test_beyond_what_may_wait_rows_are_dropped_and_counted(
    tmp_path: Path, logs: list[DayLog[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_log, "SECONDS", 60)
    monkeypatch.setattr(day_log, "WAITING", 10)
    counted = [0, 0]

    def count(written: int, dropped: int) -> None:
        counted[0] += written
        counted[1] += dropped

    def four(items: list[int]) -> pa.Table:
        return to_table([item for item in items for _ in range(4)])

    logs.append(DayLog(tmp_path / "log", MUCH, four, count))
    for number in range(4):
        logs[0].add(number, 4)
    logs[0].flush()
    assert counted == [8, 8]
    assert numbers(tmp_path / "log") == [0] * 4 + [1] * 4


def make_days(folder: Path, ago: int, size: int = 1000) -> None:
    for days in range(ago):
        name = f"{dt.datetime.now(dt.UTC) - dt.timedelta(days=days):%Y-%m-%d}"
        (folder / f"day={name}").mkdir(parents=True)
        for number in range(2):
            path = folder / f"day={name}" / f"{number}.parquet"
            path.write_bytes(b"x" * size)
            os.utime(path, (number, number))


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (LogLimit(days=2), [2, 2]),
        (LogLimit(days=9), [2, 2, 2, 2]),
        (LogLimit(max_bytes=10**6), [2, 2, 2, 2]),
        (LogLimit(max_bytes=4500), [2, 2]),
        (LogLimit(max_bytes=1500), [1]),
    ],
)
def test_the_oldest_days_are_removed_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, limit: LogLimit, left: list[int]
) -> None:
    make_days(tmp_path, 4)
    before = day_log.days(tmp_path)
    day_log.keep_within(tmp_path, limit)
    after = day_log.days(tmp_path)
    assert [len([*day.iterdir()]) for day in after] == left
    assert after == before[len(before) - len(after) :]
    for day in before[: len(before) - len(after)]:
        assert str(day) in caplog.text
    if left == [1]:
        assert [path.name for path in after[0].iterdir()] == ["1.parquet"]


@pytest.mark.parametrize("text", ["", "0MB", "10", "5 MB", "1.5GB", "-3d", "3w", "9999999999MB"])
def test_a_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParamsError, match="give a size or days"):
        LogLimit.parse(text)


def test_a_limit_is_a_size_or_days() -> None:
    assert LogLimit.parse("2GB") == LogLimit(max_bytes=2 * 10**9)
    assert LogLimit.parse("30d") == LogLimit(days=30)
