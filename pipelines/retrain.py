# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Retrain problems as CI does every night: fetch, check, decide, train, report, publish.

python pipelines/retrain.py [PROBLEM ...] [--publish] [--skip STEP]

Every step may be run again: what was done is seen, and not done twice. Exit codes: 0 done, or
nothing to do; 1 a stage failed; 2 the input is wrong, or a server does not answer; 4 the data
cannot be read or got worse, nothing was trained.
"""

import argparse
import os
import sys

from retain import errors
from retain.config import loader
from retain.project import lock_file
from retain.retraining import fetch, steps

STEPS = ("fetch", "check", "train", "report")


def main() -> None:
    """Take the problems that were named, or all that were trained here, through the steps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    steps.drop_empty_variables()
    by_environment = os.environ.get("PUBLISH") in ("1", "true", "yes")
    parser.add_argument("problems", nargs="*", metavar="PROBLEM")
    parser.add_argument("--publish", action="store_true", default=by_environment,
                        help="push a branch, open a pull request; or PUBLISH=1")  # fmt: skip
    parser.add_argument("--skip", action="append", choices=STEPS, default=[])
    asked = parser.parse_args()
    root = loader.find_root()
    with steps.lock(root):
        if sentence := lock_file.mend(root):
            print(sentence, flush=True)
        problems = steps.choose(root, asked.problems or os.environ.get("PROBLEMS", "").split())
        if "fetch" not in asked.skip:
            fetch.fetch(root, problems)
        outcomes = {name: steps.check(root, name, problem, "check" in asked.skip)
                    for name, problem in problems.items()}  # fmt: skip
        if "train" not in asked.skip:
            steps.follow_champions(root, problems, outcomes)
            steps.train(root, [name for name, outcome in outcomes.items() if outcome.train])
        new = steps.uncommitted(root, outcomes)
        if "report" not in asked.skip:
            steps.report(root, problems, outcomes, new)
        if asked.publish:
            steps.publish(root, new)
    sys.exit(steps.STOPPED if any(outcome.stopped for outcome in outcomes.values()) else 0)


if __name__ == "__main__":
    errors.run(main)
