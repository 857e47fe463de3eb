"""Files of text as one string, or an error that names file, line and byte."""

import gzip
import hashlib
import re
import zlib
from pathlib import Path

from retain.errors import DataError
from retain.kinds.text.config import Data

ENDINGS = (".txt", ".txt.gz")
BLANKS = re.compile(r"\s+")


def read(data: Data, root: Path) -> tuple[str, str]:
    """The text that `data` names, as it will be cut into units, and the md5 of the files' bytes.

    Raises:
        DataError: a file is missing, empty, damaged or no UTF-8.
    """
    md5, texts = hashlib.md5(usedforsecurity=False), []
    for path in _files(data.path, root):
        content = _bytes(path, root)
        md5.update(content)
        texts.append(_decoded(content, path.relative_to(root).as_posix()))
    return normal("\n".join(texts), data.lower, data.blanks), md5.hexdigest()


def normal(text: str, lower: bool, blanks: str) -> str:
    """Text as the networks read it."""
    text = text.lower() if lower else text
    return BLANKS.sub(" ", text) if blanks == "one" else text


def _files(given: str, root: Path) -> list[Path]:
    place = root / given
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError(f"{given} does not exist: data.path names a text file or a folder of them")
    found = sorted(path for path in place.iterdir() if path.name.endswith(ENDINGS))
    if not found:
        raise DataError(f"{given} holds no file that ends in .txt or .txt.gz; put the text there")
    return found


def _bytes(path: Path, root: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path.relative_to(root)}: damaged or no gzip file ({error}); fetch it again"
            ) from None
    if not content.strip():
        raise DataError(f"{path.relative_to(root)} is empty; put text into it or remove it")
    return content


def _decoded(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line:,}, byte {error.start + 1:,} (0x{content[error.start]:02x}): not "
            f"UTF-8; save the file as UTF-8, for example: iconv -f latin1 -t utf-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{name}, line {line:,}: a null character; this is no text file")
    return text
