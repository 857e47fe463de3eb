"""Parse requests of text lines: JSON or a column of CSV, with settings in the body or the URL."""

import csv
import io
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError

from retain.config.loader import describe_errors
from retain.errors import DataError
from retain.serving.http_io import RawRequest, parse_json
from retain.words import clipped


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _as_whole(value: Any) -> Any:
    """Return 60 for 60.0, which is a whole number in JSON Schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


SeveralLines = Annotated[list[str], Field(min_length=1)]  # how many and how long: see the endpoint
Lines = Annotated[
    SeveralLines,
    FailFast(),  # a body has room for a million errors
    BeforeValidator(_as_list, json_schema_input_type=str | SeveralLines),
]
WholeNumber = Annotated[int, BeforeValidator(_as_whole)]


class LinesRequest(BaseModel):
    """One line or several, and in a subclass the settings that hold for all of them.

    A subclass gives `lines` the alias that it has in JSON, and as a column of CSV.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    lines: Lines

    @classmethod
    def column(cls) -> str:
        """Return the name of the lines in JSON and CSV."""
        return cls.model_fields["lines"].alias or "lines"


R = TypeVar("R", bound=LinesRequest)


def parse(model: type[R], raw: RawRequest) -> tuple[R, list[str]]:
    """Parse a request; also return the names of the CSV columns that are not read.

    Raises:
        HTTPException: 400, the body is not JSON.
        DataError: the request does not fit `model`, or a setting is given twice.
    """
    if raw.is_csv:
        lines, ignored = parse_csv(raw.body, model.column())
        content: Any = {model.column(): lines}
    else:
        content, ignored = parse_json(raw.body), []
        if not isinstance(content, dict):
            raise DataError(f'the body is no object: send {{"{model.column()}": ["…"]}}')
    for name, value in raw.query:
        if name in content:
            raise DataError(f"`{clipped(name)}` is given twice; give it once")
        try:
            content[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            content[name] = value
    try:
        return model.model_validate(content), ignored
    except ValidationError as error:
        raise DataError(describe_errors("the request", error, model)) from None


def parse_csv(body: bytes, column: str) -> tuple[list[str], list[str]]:
    """Parse a column of a CSV file; also return the names of the others.

    Raises:
        DataError: it is not CSV, or has no such column.
    """
    try:
        text = body.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError(f"{column}: not UTF-8; write the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head, *rows = list(reader) or [[]]
    except csv.Error as error:
        raise DataError(
            f"{column}: line {reader.line_num:,} is no CSV ({error}); put a text with commas, "
            f"quotes or ends of lines between quotes, and write its own quotes twice"
        ) from None
    if not head:
        raise DataError(f"{column}: the file is empty")
    if head.count(column) != 1:
        names = clipped(",".join(head))
        raise DataError(
            f"{column}: the first row must name one column `{column}`, and is {names!r}"
        )
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise DataError(
                f"{column}: row {number:,} has {len(row)} fields, the first row {len(head)}: put a "
                f"text with commas between quotes"
            )
    place = head.index(column)
    return [row[place] for row in rows], [name for name in head if name != column]
