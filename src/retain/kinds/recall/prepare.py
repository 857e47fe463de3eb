"""The stage `prepare` of a recall problem; imports no torch."""

from pathlib import Path

from retain.kinds import text_files
from retain.kinds.recall import babi, dataset, synthetic
from retain.kinds.recall.config import Problem


def prepare(problem: Problem, root: Path, out: Path) -> None:
    """Generate or read a problem's examples and write them into `out`."""
    data = problem.data
    if data.source == "babi":
        files = babi.find_files(data, root)
        texts, digest = text_files.read_files([file.name for file in files], root)
        schema, examples = babi.parse(data, files, texts, digest)
    else:
        schema, examples = synthetic.schema(data), list(synthetic.examples(data))
    sequences = dataset.join(schema, examples)
    dataset.save(sequences, out)
    counts = ", ".join(f"{len(sequences.part(part)):,} {part}" for part in dataset.PARTS)
    print(
        f"{counts} sequences of up to {sequences.index[:, dataset.STEPS].max():,} steps, "
        f"{len(schema.vocabulary)} words, gaps {', '.join(map(str, schema.gaps))}"
    )
