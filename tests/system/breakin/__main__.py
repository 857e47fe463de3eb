"""Try to break in and to break down, and print what came of it.

python -m tests.system.breakin

It takes about half an hour on two cores. `--only tables` and the like run a part of it. What breaks
is printed with its name; the exit code is then 1.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import forkserver

from ..chaos.project import make_project
from . import commands, kills, params, requests, tables
from .attempts import Outcome

COLUMNS = ("tried", "refused", "sentence", "traceback", "hang")
PARTS = ("tables", "params", "requests", "commands", "kills")
PARAMS = "params files"
STARTS = "stages of accepted params files, each for a second and a half"
COMMANDS = "commands with odd options, variables, logs, manifests, signatures, parts and lines"
Attempts = Iterator[tuple[str, Outcome]]
Trial = tuple[str, Callable[[], Attempts]]


def counts(outcomes: list[Outcome]) -> dict[str, int]:
    """Return the numbers of a row: those refused are all that did not do what was asked."""
    ends = Counter(outcome.end for outcome in outcomes)
    return {
        "tried": len(outcomes),
        "refused": ends["sentence"] + ends["refused"],
        "sentence": ends["sentence"],
        "traceback": ends["traceback"],
        "hang": ends["hang"],
    }


def lines(rows: dict[str, dict[str, int]]) -> list[str]:
    """Return the table in Markdown."""
    table = [f"| | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
    for name, row in rows.items():
        table.append(f"| {name} | {' | '.join(f'{row[key]:,}' for key in COLUMNS)} |")
    return table


def trials(options: argparse.Namespace, folder: Path) -> Iterator[Trial]:
    """Yield each part that is wanted, by the name of its row."""
    only = options.only or PARTS
    if "tables" in only:
        yield "tables, each by `retain check` and `retain add`", lambda: tables.run(options.tables)
    if {"params", "requests", "commands", "kills"} & {*only}:
        template = options.project or params.make_template(folder)
    if "params" in only:
        yield (
            PARAMS,
            lambda: params.run_all(options.params, options.seed, template, options.starts),
        )
    if "requests" in only:
        yield "raw requests to `retain serve`", lambda: requests.run(options.requests, template)
    if "commands" in only:
        yield (
            COMMANDS,
            lambda: commands.run(options.commands, folder, template, options.seed),
        )
    if "kills" in only:
        half, project = options.kills // 2, folder / "killed"
        shutil.copytree(template, project, symlinks=True)
        yield f"kills {kills.WINDOW}", lambda: kills.of_the_lock(half, project, options.seed)
        yield (
            "kills of a training",
            lambda: kills.of_trainings(options.kills - half, make_project(folder), options.seed),
        )


def main() -> None:
    """Run the parts, and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--tables", type=int, default=300)
    parser.add_argument("--params", type=int, default=2000)
    parser.add_argument(
        "--starts", type=int, default=200, help="of stages of accepted params files"
    )
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--commands", type=int, default=300)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--project", type=Path, help="a project that an earlier run has made")
    options = parser.parse_args()
    rows: dict[str, dict[str, int]] = {}
    with forkserver.scratch() as folder:
        tables.warm()
        for name, run in trials(options, folder):
            outcomes: dict[str, list[Outcome]] = {}
            for label, outcome in run():
                row = STARTS if name == PARAMS and not label.startswith("params:") else name
                outcomes.setdefault(row, []).append(outcome)
                if not outcome.good:
                    print(f"{outcome.end}: {label}\n{outcome.detail[-2000:]}\n", flush=True)
            rows |= {row: counts(found) for row, found in outcomes.items()}
    print("\n".join(lines(rows)))
    sys.exit(any(row["traceback"] or row["hang"] for row in rows.values()))


if __name__ == "__main__":
    main()
