"""The stage `prepare` of a text problem: text files to numbered units; imports no torch."""

import gzip
import zlib
from pathlib import Path

from retain.errors import DataError
from retain.kinds.text import dataset
from retain.kinds.text.config import Data, Problem
from retain.project.files import md5

ENDINGS = (".txt", ".txt.gz")


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Read a problem's text and write its units into `out`."""
    text, digest = read_text(problem.data, root)
    corpus = dataset.encode(problem.data, text, digest)
    dataset.save(corpus, out)
    parts = {part: corpus.part(part) for part in dataset.PARTS}
    counts = ", ".join(f"{len(tokens):,} {part}" for part, tokens in parts.items())
    unknown = [f"{100 * (tokens == 0).mean():.2g} % of {part}" for part, tokens in parts.items()]
    print(
        f"{counts} {corpus.schema.unit}s, {len(corpus.schema.vocabulary) - 1:,} different; "
        f"not among them: {', '.join(unknown)}"
    )


def read_text(data: Data, root: Path) -> tuple[str, str]:
    """Read the text that `data` names, normalised, and the md5 of the files' bytes.

    Raises:
        DataError: a file is missing, empty, damaged or no UTF-8; it names file, line and byte.
    """
    contents = {path: _read_bytes(path, root) for path in _files(data.path, root)}
    text = "\n".join(
        _decode(content, path.relative_to(root).as_posix()) for path, content in contents.items()
    )
    return dataset.normalise(text, data.lower, data.blanks), md5(b"".join(contents.values()))


def _files(name: str, root: Path) -> list[Path]:
    path = root / name
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{name} does not exist: data.path names a text file or a folder of them")
    files = sorted(file for file in path.iterdir() if file.name.endswith(ENDINGS))
    if not files:
        raise DataError(f"{name} holds no file that ends in .txt or .txt.gz; put the text there")
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
