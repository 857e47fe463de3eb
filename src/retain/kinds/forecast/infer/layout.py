"""How the file of an unknown table is written: encoding, separator, titles, sheet."""

import codecs
import dataclasses
from collections import Counter
from typing import IO, Any

from retain.errors import ParamsError, setting
from retain.kinds.forecast.data.formats import SEPARATORS, Csv, Dialect, fields
from retain.kinds.forecast.data.reader import AnyTable
from retain.kinds.forecast.data.sheets import Sheet

LINES = 200  # that decide on the separator
BLOCK = 1 << 20
KEYS = ("separator", "encoding", "skip_rows", "sheet", "max_bytes")
READ = {Csv: ("separator", "encoding", "skip_rows"), Sheet: ("skip_rows", "sheet")}


def find(
    table: AnyTable, given: dict[str, Any], sentences: list[str]
) -> tuple[AnyTable, dict[str, Any]]:
    """Return the table as it is to be read, and the keys of `data` that say so.

    Raises:
        DataError: a workbook has several sheets, and none is named.
        ParamsError: a key is given that says nothing of a file of this format.
    """
    keys = {key: given[key] for key in KEYS if given.get(key) is not None}
    read = next((keys for format, keys in READ.items() if isinstance(table, format)), ())
    for key in keys:
        if key not in (*read, "max_bytes"):
            raise ParamsError(
                f"{table.path} is a file without {key}, which would do nothing: leave "
                f"{setting(key)} out"
            )
    if isinstance(table, Csv):
        if "encoding" not in keys:
            keys |= _encoding(table, sentences)
        written = Dialect(encoding=keys.get("encoding", "utf-8"), max_bytes=keys.get("max_bytes"))
        table = dataclasses.replace(table, dialect=written)
        keys = _separator(table, keys, sentences) | keys
    if isinstance(table, Sheet) and "skip_rows" not in keys:
        table = dataclasses.replace(table, dialect=Dialect(**keys))
        if begin := table.header():
            sentences.append(f"skip_rows: {begin}, above the header; --skip-rows changes it")
            keys["skip_rows"] = begin
    if isinstance(table, Csv | Sheet):
        return dataclasses.replace(table, dialect=Dialect(**keys)), keys
    return table, keys


def _encoding(table: Csv, sentences: list[str]) -> dict[str, Any]:
    """Return the encoding of a file that is not UTF-8, by its mark or by its bytes."""
    with table.open() as stream:
        block = bytes(stream.read(BLOCK))
        if block.startswith(codecs.BOM_UTF8):  # every reader takes it away
            return {}
        name, why = _wide_encoding(block)
        undecodable = None if name else _undecodable_row(block, stream)
    if undecodable is not None:
        row, line = undecodable
        try:
            name, text = "cp1252", line.decode("cp1252")
        except UnicodeDecodeError:
            name, text = "latin-1", line.decode("latin-1")
        shown = text.strip()[:60]
        why = f"for row {row:,} is not UTF-8 and reads {shown!r} so; --encoding names another"
    if not name:
        return {}
    sentences.append(f"encoding: {name}, {why}")
    return {"encoding": name}


def _wide_encoding(block: bytes) -> tuple[str, str]:
    """Return the UTF-16 in which a file begins, and why; two empty texts if it does not."""
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", "as the file's first bytes say"
    even, odd = block[:1000:2].count(0), block[1:1000:2].count(0)
    if max(even, odd) > len(block[:1000]) // 4:
        return "utf-16-be" if even > odd else "utf-16-le", "for every second byte is zero"
    return "", ""


def _undecodable_row(block: bytes, stream: IO[bytes]) -> tuple[int, bytes] | None:
    """Return number and bytes of the first row that is not UTF-8; `block` is read already."""
    decoder, row = codecs.getincrementaldecoder("utf-8")(), 1
    try:
        while block:
            decoder.decode(block)
            row += block.count(b"\n")
            block = bytes(stream.read(BLOCK))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = min(error.start, len(block))
        begin = block.rfind(b"\n", 0, at) + 1
        end = block.find(b"\n", at) if b"\n" in block[at:] else len(block)
        return row + block[:at].count(b"\n"), block[begin:end]
    return None


def _separator(table: Csv, keys: dict[str, Any], sentences: list[str]) -> dict[str, Any]:
    """Return the separator and the number of lines above the header, where they are not given."""
    lines = table.head.splitlines()[:LINES]
    skipped = keys.get("skip_rows")
    given = keys.get("separator")

    # the one that cuts the rows into as many fields as the header, the first line, and the most
    def rank(separator: str) -> tuple[float, int, int]:
        begin, counts = _header(lines, separator, skipped, table.path)
        filled = [count for count in counts[begin:] if count]
        share = filled.count(filled[0]) / len(filled) if filled and filled[0] > 1 else 0.0
        return share, -begin, filled[0] if filled else 0

    separator = given or max(SEPARATORS, key=rank)
    if given is None and separator != ",":
        sentences.append(f"separator: {separator!r}, which cuts every row alike")
    begin, _ = _header(lines, separator, skipped, table.path)
    settings: dict[str, Any] = {"separator": separator}
    if begin and skipped is None:
        shown = next((line.strip() for line in lines[:begin] if line.strip()), "")
        what = f"such as {shown[:60]!r}" if shown else "which are blank"
        sentences.append(
            f"skip_rows: {begin}, lines above the header, {what}; --skip-rows changes it"
        )
        settings["skip_rows"] = begin
    return settings


def _header(
    lines: list[str], separator: str, skipped: int | None, where: str
) -> tuple[int, list[int]]:
    """Return the line of the header, and how many fields each line has; 0 where it is blank.

    Lines above it, such as a title, have fewer fields than nearly all the others.
    """
    rows = [fields(line, separator, where) if line.strip() else [] for line in lines]
    counts = [len(row) if any(cell.strip() for cell in row) else 0 for row in rows]
    if skipped is not None:
        return min(skipped, len(lines)), counts
    usual, times = Counter(count for count in counts if count).most_common(1)[0]
    if usual < 2 or times < 0.5 * sum(count > 0 for count in counts):
        return next((n for n, count in enumerate(counts) if count), 0), counts
    for number, (row, count) in enumerate(zip(rows, counts, strict=True)):
        filled = sum(bool(cell.strip()) for cell in row) > 0.5 * usual
        if count == usual and filled and not _is_title(rows[number + 1 :], usual):
            # Rows that end in a separator are longer than the header by an empty field: reading
            # the file then names them, where the first of them must not become the header.
            ends = number and not row[-1].strip() and _are_names(rows[number - 1], usual - 1)
            return number - bool(ends), counts
        if count > usual:
            return 0, counts
    return 0, counts


def _are_names(row: list[str], count: int) -> bool:
    """Return whether a line has so many fields, each filled and without a digit at its begin."""
    return len(row) == count and all(cell.strip() and not cell.strip()[0].isdigit() for cell in row)


def _is_title(below: list[list[str]], usual: int) -> bool:
    """Return whether a line is a title with as many fields as a row by chance.

    Shorter lines stand below it, and then a header, in which there is no digit.
    """
    if not below or len(below[0]) >= usual:
        return False
    next_row = next((row for row in below if len(row) == usual), [])
    return bool(next_row) and not any(char.isdigit() for cell in next_row for char in cell)
