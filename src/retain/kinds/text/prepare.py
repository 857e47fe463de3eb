"""The stage `prepare` of a text problem; imports no torch."""

from pathlib import Path

from retain.kinds.text import dataset, files
from retain.kinds.text.config import Problem


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Read a problem's text and write its units into `out`."""
    text, digest = files.read(problem.data, root)
    made = dataset.encode(problem.data, text, digest)
    dataset.save(made, out)
    unit = made.schema.unit
    counts = ", ".join(f"{len(made.part(part)):,} {part}" for part in dataset.PARTS)
    unknown = [f"{100 * (made.part(part) == 0).mean():.2g} % of {part}" for part in dataset.PARTS]
    print(
        f"{counts} {unit}s, {len(made.schema.vocabulary) - 1:,} different; "
        f"not among them: {', '.join(unknown)}"
    )
