"""Commands that a benchmark runs in a project, and the processor seconds that they take."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def run(
    folder: Path, words: Sequence[str], more: Mapping[str, str] | None = None
) -> tuple[float, str]:
    """Run a command; return the seconds of it and of all that it started, and its output.

    Args:
        folder: to run it in.
        more: variables of the environment besides this process's own.

    Raises:
        SystemExit: it fails; with what it printed.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PATH": path, "DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    before = children_seconds()
    done = subprocess.run(
        words,
        cwd=folder,
        env=kept | settings | dict(more or {}),
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return children_seconds() - before, done.stdout


def children_seconds() -> float:
    """Return the processor seconds of all processes that this one started and that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
