"""The stage `prepare` of a recall problem; imports no torch."""

import hashlib
from pathlib import Path

from retain.kinds.recall import babi, dataset, synthetic
from retain.kinds.recall.config import Problem


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Make or read a problem's examples and write them into `out`."""
    data = problem.data
    if data.source == "babi":
        digest = _digest([path for part in babi.files(data, root).values() for path in part])
        schema, examples = babi.read(data, root, digest)
    else:
        schema = synthetic.schema(data)
        examples = list(synthetic.examples(data))
    found = dataset.join(schema, examples)
    dataset.save(found, out)
    counts = ", ".join(f"{len(found.part(part)):,} {part}" for part in dataset.PARTS)
    print(
        f"{counts} sequences of up to {found.index[:, 3].max():,} steps, "
        f"{len(schema.vocabulary)} words, gaps {', '.join(map(str, schema.gaps))}"
    )


def _digest(files: list[Path]) -> str:
    """The md5 of the bytes of files, one after another."""
    md5 = hashlib.md5(usedforsecurity=False)
    for path in files:
        md5.update(path.read_bytes())
    return md5.hexdigest()
