"""What a pull request changes, in DVC's words: stages to run, params and metrics."""

import re
import subprocess
import sys
from pathlib import Path

from retain.errors import RetainError
from retain.evaluation.quality_gate import MODEL
from retain.project.git import Git

STAGE = re.compile(r"^Running stage '(.*)':$", re.MULTILINE)


def markdown(root: Path, base: str) -> str:
    """What `dvc repro` would run here, and how params and metrics differ from `base`.

    Raises:
        RetainError: there is no such commit, or DVC cannot tell.
    """
    if Git(root).find(f"{base}^{{commit}}") is None:
        raise RetainError(f"git knows no commit {base!r}; fetch it, or name another")
    # Outputs that are on the remote alone are not missing: what made them is as it was.
    stages = STAGE.findall(_dvc(root, "repro", "--dry", "--allow-missing"))
    listed = "\n".join(f"- `{stage}`" for stage in stages) or "Nothing: all stages are up to date."
    blocks = [f"## Compared with `{base}`", "### Stages to run", listed]
    for what in ("params", "metrics"):
        every = ["--targets", "params.yaml"] if what == "params" else []
        table = _dvc(root, what, "diff", "--md", base, *every).strip()
        lines = table.splitlines()
        if what == "metrics":  # of the model that the gate judges; the baselines' would be a page
            lines = [*lines[:2], *(line for line in lines[2:] if f" models.{MODEL}." in line)]
        differs = len(lines) > 2  # more than a header
        blocks += [f"### {what.capitalize()}", "\n".join(lines) if differs else "No difference."]
    return "\n\n".join(blocks) + "\n"


def _dvc(root: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise RetainError(f"`dvc {words[0]} …` failed: {said}")
    return done.stdout
