"""The bytes of a table: a local file that must not change while it is read, or what came from
elsewhere; and bounds, so that a small file cannot fill the memory.
"""

import io
import os
import stat
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retain.errors import DataError, setting
from retain.project.files import md5
from retain.words import clipped

COLUMNS = 10_000  # of a table, at most
FILES = 100_000  # of a folder, at most
LEAST = 1 << 28  # bytes that any file may hold, unpacked; above, RATIO counts
RATIO = 200  # unpacked bytes for each of the file; tables of text have 3 to 30
BLANK = 1 << 16  # bytes of line ends in one piece, which no table has
WAIT = 10.0  # seconds for a process that writes to a named pipe
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class File:
    """A local file in the state in which it was opened: size, time of change, inode."""

    path: Path
    state: tuple[int, int, int]


Source = File | bytes  # a local file, or the content of what can be read but once


def find(path: Path) -> Source:
    """Return a local file, or what a pipe holds.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    found = path.stat()
    if stat.S_ISREG(found.st_mode):
        return File(path, _state(path))
    if stat.S_ISFIFO(found.st_mode):
        return _read_pipe(path)
    raise OSError("it is neither a file nor a folder")


def walk(folder: str) -> Iterator[str]:
    """Yield the files of a local folder and of those in it; links to folders are not followed.

    Raises:
        OSError: it has more files than a table has.
    """
    count = 0
    for place, _, names in os.walk(folder):
        count += 1 + len(names)
        if count > FILES:
            raise OSError(f"it holds more than {FILES:,} files: name the folder of the table alone")
        yield from (os.path.join(place, name) for name in names)  # noqa: PTH118 - as fsspec does


def open_source(source: Source) -> Any:
    """Open a file for reading."""
    return source.path.open("rb") if isinstance(source, File) else io.BytesIO(source)


def md5_of(source: Source, where: str) -> str:
    """Return the md5 of a file, once it is read.

    Raises:
        DataError: it has changed since it was opened.
    """
    with open_source(source) as file:
        digest = md5(file)
    if isinstance(source, File) and _state(source.path) != source.state:
        raise DataError(
            f"{where} changed while it was read; start again when nothing writes to it any more"
        )
    return digest


def limit(source: Source, most: int | None) -> int:
    """Return how many bytes a file may hold, unpacked: as set, or by its size."""
    if most is not None:
        return most
    size = source.state[0] if isinstance(source, File) else len(source)
    return max(LEAST, RATIO * size)


def check_size(where: str, size: int, most: int) -> None:
    """Raise DataError where a file holds more bytes than it may."""
    if size > most:
        raise DataError(
            f"{where} holds more than {most:,} bytes, unpacked; if that is right, allow more with "
            f"{setting('data.max_bytes')}"
        )


def check_unique(where: str, names: list[str]) -> None:
    """Raise DataError where a header names a column twice, or too many."""
    if len(names) > COLUMNS:
        raise DataError(
            f"{where}: {len(names):,} columns, and a table may have {COLUMNS:,}; write the columns "
            "below one another, each row with the name of its series"
        )
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(
                f"{where}: the column name {clipped(repr(name))} stands {count} times in the "
                "header; give each column a name of its own"
            )


class Bounded(io.RawIOBase):
    """A stream of unpacked bytes, without the marks of byte order at its begin.

    Reading it raises DataError where it holds too much.
    """

    def __init__(self, stream: Any, where: str, most: int):
        super().__init__()
        self._stream, self._where, self._most, self._count = stream, where, most, 0

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes at most; none at the end."""
        whole = size is None or size < 0  # which streams of Arrow say by no argument alone
        block = bytes(self._stream.read() if whole else self._stream.read(size))
        while not self._count and block.startswith(MARK):
            block = block[len(MARK) :]
        self._count += len(block)
        check_size(self._where, self._count, self._most)
        if len(block) >= BLANK and not block.strip(b"\r\n"):
            raise DataError(
                f"{self._where} has more than {BLANK:,} blank lines one after another; take them "
                "out"
            )
        return block


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read_pipe(path: Path) -> bytes:
    """Return what comes through a pipe; a named one may have no writer yet, or never."""
    end = time.monotonic() + WAIT
    pieces: list[bytes] = []
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while not pieces:
            try:
                begin = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                break  # somebody writes, and has not begun
            if begin:
                pieces.append(begin)
            elif time.monotonic() > end:
                raise OSError(f"it is a pipe, and nothing has written to it for {WAIT:.0f} seconds")
            else:
                time.sleep(0.02)
        os.set_blocking(descriptor, True)
        return b"".join([*pieces, file.readall()])
