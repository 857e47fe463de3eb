"""Text files of a problem: found, read and decoded, or an error with file, line and byte."""

import gzip
import zlib
from pathlib import Path

from retain.errors import DataError
from retain.project.files import md5


def read_files(name: str, root: Path, endings: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Read a file of UTF-8, or a folder of them, which may be compressed by gzip.

    Args:
        name: path in the project, `data.path` of params.yaml.
        root: the project's folder.
        endings: of the names of a folder's files that are read.

    Returns:
        The text of each file by its path in the project, in the order of their names, and the md5
        of all bytes.

    Raises:
        DataError: a file is missing, empty, damaged or no UTF-8; it names file, line and byte.
    """
    contents = {path: _read_bytes(path, root) for path in _find(name, root, endings)}
    texts = {}
    for path, content in contents.items():
        shown = path.relative_to(root).as_posix()
        texts[shown] = _decode(content, shown)
    return texts, md5(b"".join(contents.values()))


def _find(name: str, root: Path, endings: tuple[str, ...]) -> list[Path]:
    path = root / name
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{name} does not exist: data.path names a text file or a folder of them")
    files = sorted(file for file in path.iterdir() if file.name.endswith(endings))
    if not files:
        raise DataError(
            f"{name} holds no file that ends in {' or '.join(endings)}; put the text there"
        )
    return files


def _read_bytes(path: Path, root: Path) -> bytes:
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
    return text
