"""Stage `register@P`: the gate's verdict, and the model's place in the registry.

python pipelines/register.py PROBLEM
"""

import json
import sys
from pathlib import Path

from retain import errors, gate, outputs, params, registry


def main() -> None:
    """Judge one problem's model, register it once, and move the aliases."""
    root, name = Path(), sys.argv[1]
    problem = params.load_problem(root, name)
    metrics = json.loads((root / "reports" / name / "metrics.json").read_text("utf-8"))
    checks = gate.judge(metrics, problem.gate)
    with outputs.folder(root, f"register-{name}") as scratch:
        decision = registry.register(root, name, problem, metrics, checks)
        (scratch / "verdict.json").write_text(outputs.to_json(gate.verdict(checks)), "utf-8")
        (scratch / "decision.json").write_text(outputs.to_json(vars(decision)), "utf-8")
        outputs.publish_each(scratch, root / "reports" / name)
    print(decision.sentence)


if __name__ == "__main__":
    errors.run(main)
