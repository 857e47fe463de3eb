"""Compression of CSV files by the suffix of their names: fsspec's, and zstd, which it lacks."""

import io
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
from fsspec.compression import compr  # type: ignore[import-untyped]


def decompress(file: Any, name: str) -> Any:
    """Return the content of the opened file `name` as a stream."""
    name = name.partition("?")[0]  # of a URL
    if name.lower().endswith(".zst"):
        return pa.input_stream(file, compression="zstd")
    compression = fsspec.utils.infer_compression(name)
    return compr[compression](file, mode="rb") if compression else file


def compress(content: bytes, name: str) -> bytes:
    """Return bytes that may stand behind the others of the file `name`, the same for the same."""
    if name.lower().endswith(".zst"):
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    compression = fsspec.utils.infer_compression(name)
    if compression is None:
        return content
    buffer = io.BytesIO()
    options = {"mtime": 0} if compression == "gzip" else {}
    with compr[compression](buffer, mode="wb", **options) as file:
        file.write(content)
    return buffer.getvalue()
