"""The stage `prepare` of a recall problem; imports no torch."""

from pathlib import Path

from retain.kinds.recall import babi, dataset, synthetic
from retain.kinds.recall.config import Problem
from retain.project.files import md5


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Generate or read a problem's examples and write them into `out`."""
    data = problem.data
    if data.source == "babi":
        files = babi.find_files(data, root)
        digest = md5(b"".join(file.path.read_bytes() for file in files))
        schema, examples = babi.read(data, files, digest)
    else:
        schema, examples = synthetic.schema(data), list(synthetic.examples(data))
    sequences = dataset.join(schema, examples)
    dataset.save(sequences, out)
    counts = ", ".join(f"{len(sequences.part(part)):,} {part}" for part in dataset.PARTS)
    print(
        f"{counts} sequences of up to {sequences.index[:, dataset.STEPS].max():,} steps, "
        f"{len(schema.vocabulary)} words, gaps {', '.join(map(str, schema.gaps))}"
    )
