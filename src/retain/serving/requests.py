"""What a request of lines says: a column of CSV, or JSON; and settings."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from retain.errors import DataError, clipped
from retain.serving import http_io
from retain.serving.http_io import Refused


@dataclass(frozen=True)
class Setting:
    """A number that a request may bring."""

    default: int | float
    least: int | float
    most: int | float
    said: str

    def schema(self) -> dict[str, Any]:
        """As JSON Schema has it."""
        return {
            "type": "integer" if isinstance(self.default, int) else "number",
            "minimum": self.least,
            "maximum": self.most,
            "default": self.default,
            "description": self.said,
        }

    def read(self, name: str, given: Any) -> int | float:
        """The number that is given.

        Raises:
            Refused: it is none, or not between the bounds.
        """
        whole, said = isinstance(self.default, int), shown(given)
        if whole and isinstance(given, float) and given.is_integer():
            given = int(given)  # 60.0 is a whole number in JSON Schema
        number = isinstance(given, int if whole else int | float) and not isinstance(given, bool)
        if number and self.least <= given <= self.most:
            return given  # type: ignore[no-any-return]
        kind = "a whole number" if whole else "a number"
        raise Refused(
            422,
            f"`{name}` is {said}: give {kind} from {self.least:,} to {self.most:,}",
        )


def content(body: bytes, column: str, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """A request in JSON: the lines under `column`, and some of the settings.

    Raises:
        Refused: 400 or 422, with what is wrong.
    """
    found = http_io.loaded(body)
    example = {column: ["…"], **{name: each.default for name, each in settings.items()}}
    shape = f"send {orjson.dumps(example).decode()}"
    if not isinstance(found, dict) or column not in found:
        raise Refused(422, f"the body has no `{column}`; {shape}")
    for name in found:
        if name not in example:
            raise Refused(422, f"the body has `{clipped(name)}`, which says nothing; {shape}")
    return found


def settings(
    known: Mapping[str, Setting], given: Iterable[tuple[str, Any]]
) -> dict[str, int | float]:
    """All settings: those that are given, and the others as they are by default.

    Raises:
        Refused: one is not known, out of bounds, or given twice.
    """
    found: dict[str, int | float] = {}
    for name, value in given:
        if name not in known:
            names = f"take {', '.join(known)}" if known else "leave it out"
            raise Refused(422, f"`{clipped(name)}` is no setting; {names}")
        if name in found:
            raise Refused(422, f"`{name}` is given twice; give it once")
        found[name] = known[name].read(name, value)
    return {name: found.get(name, each.default) for name, each in known.items()}


def shown(given: Any) -> str:
    """A value of JSON as a message has it."""
    if isinstance(given, list | dict):  # it may be large, and deep
        return "a list" if isinstance(given, list) else "an object"
    return clipped(orjson.dumps(given).decode())


def shortened(sentence: str) -> str:
    """A sentence without the middle of what it cites, where that is long."""
    return sentence if len(sentence) <= 500 else f"{sentence[:200]} … {sentence[-300:]}"


def from_csv(body: bytes, column: str) -> tuple[list[str], list[str]]:
    """A column of a CSV file, and the names of the others.

    Raises:
        DataError: it is no CSV, or has no such column.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{column}: not UTF-8; write the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text.rstrip("\r\n"), newline=""), strict=True)
    try:
        rows = [(number, row) for number, row in enumerate(reader, 1)]
    except csv.Error as error:
        raise DataError(
            f"{column}: line {reader.line_num:,} is no CSV ({error}); put a text with commas, "
            f"quotes or ends of lines between quotes, and write its own quotes twice"
        ) from None
    if not rows:
        raise DataError(f"{column}: the file is empty")
    (_, head), *rest = rows
    if head.count(column) != 1:
        raise DataError(
            f"{column}: the first row must name one column `{column}`, and is "
            f"{clipped(','.join(head))!r}"
        )
    for number, row in rest:
        if len(row) != len(head):
            raise DataError(
                f"{column}: row {number:,} has {len(row)} fields, the first row {len(head)}: put a "
                f"text with commas between quotes"
            )
    place = head.index(column)
    others = [name for name in head if name != column]
    return [row[place] for _, row in rest], others


def from_query(given: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """The settings of an address, each read as one of JSON is."""
    for name, value in given:
        try:
            yield name, orjson.loads(value)
        except orjson.JSONDecodeError:
            yield name, value
