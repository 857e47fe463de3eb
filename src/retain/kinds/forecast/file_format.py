"""What params.yaml may say about how a table's file is written."""

import codecs
from typing import Self

from pydantic import Field, field_validator, model_validator

from retain.config.schema import Section


class FileFormat(Section):
    """The signs, the encoding and the marks of a file.

    Attributes:
        max_bytes: that the file may hold, unpacked; by default 256 MiB or 200 times its size.
    """

    separator: str = Field(",", min_length=1, max_length=1)  # between the fields of a row
    decimal: str = Field(".", min_length=1, max_length=1)  # the decimal sign
    thousands: str | None = Field(None, min_length=1, max_length=1)  # between groups of digits
    encoding: str = "utf-8"  # of the file's text
    skip_rows: int = Field(0, ge=0, le=1_000_000)  # lines above the header
    sheet: str | None = None  # of the workbook
    na_values: tuple[str, ...] = ("", "NaN", "nan", "NA", "null")  # texts that mean missing
    # Where it is not set, what a model records of its data is as it was without this key.
    max_bytes: int | None = Field(None, ge=1, le=2**60, exclude_if=lambda most: most is None)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            known = codecs.lookup(value)._is_text_encoding  # not so hex, and rot13
        except LookupError:
            known = False
        if not known:
            raise ValueError("no encoding of text that is known, such as utf-8 or cp1252")
        return value

    @model_validator(mode="after")
    def _signs_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}: they must differ")
        return self
