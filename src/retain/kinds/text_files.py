"""Text files of a problem: found, read and decoded, or an error with file, line and byte."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from retain.errors import DataError
from retain.project.files import md5


def find_files(name: str, root: Path, endings: tuple[str, ...]) -> list[str]:
    """Return the path of a file, or of the files of a folder in the order of their names.

    Args:
        name: `data.path` of params.yaml.
        root: the project's folder.
        endings: of the names of a folder's files that are found.

    Raises:
        DataError: the folder has no such file.
    """
    folder = root / name
    if not folder.is_dir():
        return [name]
    files = sorted(file.name for file in folder.iterdir() if file.name.endswith(endings))
    if not files:
        raise DataError(
            f"{name} holds no file that ends in {' or '.join(endings)}; put the text there"
        )
    return [(Path(name) / file).as_posix() for file in files]


def read_files(names: Iterable[str], root: Path) -> tuple[dict[str, str], str]:
    """Read files of UTF-8, which may be compressed by gzip.

    Args:
        names: their paths in the project.
        root: the project's folder.

    Returns:
        The text of each file by its path, with single line feeds as ends of lines, and the md5 of
        all bytes.

    Raises:
        DataError: a file is missing, empty, damaged or no UTF-8; it names file, line and byte.
    """
    contents = {name: _read_bytes(name, root) for name in names}
    texts = {name: _decode(content, name) for name, content in contents.items()}
    return texts, md5(b"".join(contents.values()))


def _read_bytes(name: str, root: Path) -> bytes:
    path = root / name
    if not path.is_file():
        raise DataError(f"{name} does not exist: correct the path in the section data")
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name}: damaged or no gzip file ({error}); fetch it again") from None
    if not content.strip():
        raise DataError(f"{name} is empty; put text into it or remove it")
    return content


def _decode(content: bytes, name: str) -> str:
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
    return text.replace("\r\n", "\n")
