"""Kills the training stage wherever it could hurt, and looks whether it ends as if left alone.

python -m tests.system.chaos --kills 300

A trial is a chain of kills and a last start that is left alone. Most stages are forked from a
process that has imported everything; the others are started cold, by `dvc repro`, and killed
together with it.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests import forkserver

from .forked import Start, forked
from .kills import ANY_TIME, COLD, COLD_ANY_TIME, POINTS, SIGNALS, Kill, cold_kills, deck
from .project import Project, make_project
from .trials import cold, trial

Tally = Counter[tuple[str, int]]  # kills by point and signal


def timed(project: Project, start: Start) -> float:
    """Seconds that a start takes that is left alone."""
    project.restore()
    began = time.monotonic()
    code, said = start(project, None)
    assert code == 0, said
    return time.monotonic() - began


def torment(project: Project, kills: int, seed: int) -> tuple[Tally, Tally]:
    """Spend so many kills; answers with those that hit, and those of trials with nothing wrong."""
    generator = random.Random(seed)  # noqa: S311 - no secrets
    hits, harmless, colds = Tally(), Tally(), 0
    waiting: list[Kill] = []
    cold_seconds = timed(project, cold)
    while hits.total() < kills:
        count = min(generator.randint(1, 4), kills - hits.total())
        start = cold if colds < hits.total() // 10 else forked
        if start is cold:
            chain = cold_kills(generator, count, cold_seconds)
        else:
            if len(waiting) < count:
                waiting += deck(generator, timed(project, forked))
            chain, waiting = waiting[:count], waiting[count:]
        hit = Tally()
        try:
            for kill in trial(project, start, list(chain)):
                hit[kill.point, kill.signal] += 1
                chain.remove(kill)
            harmless += hit
        except AssertionError as error:
            print(f"WRONG: {error}", flush=True)
        hits += hit
        if start is cold:
            colds += hit.total()
        else:  # a point that was passed already has another try, in another chain
            waiting += [kill for kill in chain if kill.point != ANY_TIME]
        print(f"{hits.total()} kills, {harmless.total()} harmless", file=sys.stderr, flush=True)
    return hits, harmless


def table(hits: Tally, harmless: Tally) -> Iterator[str]:
    """Kills by point and signal, and how many of them changed nothing, as Markdown."""
    yield "| killed | SIGTERM | SIGKILL | same result |"
    yield "|---|---:|---:|---:|"
    points = [*POINTS, ANY_TIME, COLD, COLD_ANY_TIME]
    for name, rows in [*[(point, [point]) for point in points], ("**together**", points)]:
        counts = [sum(hits[point, sent] for point in rows) for sent in SIGNALS]
        same = sum(harmless[point, sent] for point in rows for sent in SIGNALS)
        yield f"| {name} | {counts[0]} | {counts[1]} | {same} |"


def main() -> None:
    """Print the table of many trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with forkserver.scratch() as folder:
        project = make_project(folder)
        hits, harmless = torment(project, options.kills, options.seed)
    print(f"{project.epochs} epochs of {project.last_step // project.epochs} batches\n")
    print("\n".join(table(hits, harmless)))
    sys.exit(0 if hits == harmless else 1)


if __name__ == "__main__":
    main()
