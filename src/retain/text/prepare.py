"""The stage `prepare` of a text problem; imports no torch."""

from pathlib import Path

from retain.text import corpus, files
from retain.text.params import Problem


def prepare(problem: Problem, root: Path, folder: Path) -> None:
    """Read a problem's text and write its units into `folder`."""
    text, digest = files.read(problem.data, root)
    made = corpus.encode(problem.data, text, digest)
    corpus.save(made, folder)
    unit = made.schema.unit
    counts = ", ".join(f"{len(made.part(part)):,} {part}" for part in corpus.PARTS)
    unknown = [f"{100 * (made.part(part) == 0).mean():.2g} % of {part}" for part in corpus.PARTS]
    print(
        f"{counts} {unit}s, {len(made.schema.vocabulary) - 1:,} different; "
        f"not among them: {', '.join(unknown)}"
    )
