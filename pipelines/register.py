# Managed by retain: in a project `retain upgrade` rewrites this file unless it was changed
"""Stage `register@P`: the gate's verdict, and the model's place in the registry.

python pipelines/register.py PROBLEM
"""

import sys
from pathlib import Path

from retain import errors
from retain.config import loader
from retain.evaluation import quality_gate, results
from retain.project import dvc, files, lock_file
from retain.project.layout import Layout
from retain.registry import registry


def main() -> None:
    """Judge one problem's model, register it once, and move the aliases."""
    root, (name,) = Path(), dvc.stage_words(sys.argv[1:])
    lock_file.keep(root)
    problem, layout = loader.load_problem(root, name), Layout(root, name)
    metrics = results.read_metrics(layout.metrics)
    checks = quality_gate.run_checks(metrics, problem.gate)
    verdict = quality_gate.verdict(checks, metrics.get("model", quality_gate.MODEL))
    with files.folder(root, f"register-{name}") as scratch:
        decision = registry.register(root, name, problem, metrics, checks)
        (scratch / "verdict.json").write_text(files.to_json(verdict), "utf-8")
        (scratch / "decision.json").write_text(files.to_json(vars(decision)), "utf-8")
        files.publish_each(scratch, layout.reports)
    print(decision.sentence)


if __name__ == "__main__":
    errors.run(main)
