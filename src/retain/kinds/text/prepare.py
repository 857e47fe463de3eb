"""The stage `prepare` of a text problem: text files to numbered units; imports no torch."""

from pathlib import Path

from retain.kinds import text_files
from retain.kinds.text import dataset
from retain.kinds.text.config import Data, Problem

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
    names = text_files.find_files(data.path, root, ENDINGS)
    texts, digest = text_files.read_files(names, root)
    return dataset.normalise("\n".join(texts.values()), data.lower, data.blanks), digest
