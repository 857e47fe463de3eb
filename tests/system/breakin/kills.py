"""Kills of DVC while it writes dvc.lock, besides those of the trainings in `tests.system.chaos`.

After each kill a command of retain puts the last whole file back, and the pipeline goes on to the
dvc.lock of a run that nobody killed.
"""

import io
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from retain.project import dvc
from tests.forkserver import Forked

from ..chaos.__main__ import torment
from ..chaos.project import Project
from ..conftest import environment
from .attempts import Outcome, judge

REPRO = ["dvc", "repro", "prepare@small"]
MEND = ["python", "pipelines/retrain.py", "small", "--skip", "check", "--skip", "train", "--skip"]
MEND += ["report"]
WINDOW = "while DVC writes dvc.lock"


def arm(number: int, share: float, sent: int) -> None:
    """Have DVC kill itself as it writes dvc.lock the n-th time, with so much of it written."""
    from dvc.utils import serialize
    from dvc.utils.serialize import _yaml

    dump, left = _yaml._dump, [number]

    def write(data: Any, stream: Any) -> Any:
        if not str(getattr(stream, "name", "")).endswith("dvc.lock"):
            return dump(data, stream)
        left[0] -= 1
        if left[0]:
            return dump(data, stream)
        text = io.StringIO()
        dump(data, text)
        stream.write(text.getvalue()[: int(share * len(text.getvalue()))])
        stream.flush()
        os.kill(os.getpid(), sent)
        return None

    _yaml._dump = write
    assert serialize.modify_yaml is _yaml.modify_yaml


def of_the_lock(count: int, project: Path, seed: int = 1) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of kills in a project whose stages have run."""
    whole = _stages(project)
    draw = random.Random(seed)  # noqa: S311 - no secrets
    for number in range(count):
        shutil.rmtree(project / "scratch", ignore_errors=True)
        dvc.forget(project, ["code@small", "prepare@small"])
        call, share = draw.randint(1, 2), draw.choice([0.0, draw.random(), 0.99])
        sent = draw.choice([signal.SIGKILL, signal.SIGTERM])
        name = f"kill {number}: write {call}, {share:.2f} of dvc.lock, {sent.name}"
        code, printed = _run(
            REPRO, project, ("tests.system.breakin.kills:arm", [call, share, sent])
        )
        if code == 0:
            yield name, Outcome("traceback", f"it was not killed: {printed}")
            continue
        code, mended = _run(MEND, project)
        outcome = judge(code, mended)
        if outcome.end == "done":
            outcome = judge(*_run(REPRO, project))
        if outcome.end == "done" and _stages(project) != whole:
            outcome = Outcome("traceback", f"another dvc.lock: {mended}")
        yield name, outcome


def of_trainings(count: int, project: Project, seed: int = 1) -> Iterator[tuple[str, Outcome]]:
    """Yield what comes of kills of a training, as `tests.system.chaos` does them."""
    hits, harmless = torment(project, count, seed)
    for (point, sent), hit in hits.items():
        for number in range(hit):
            good = number < harmless[point, sent]
            end = "done" if good else "traceback"
            yield f"kill: {point}, {signal.Signals(sent).name}", Outcome(end)


def _stages(project: Path) -> Any:
    return YAML(typ="safe").load(project / "dvc.lock")["stages"]


def _run(
    words: list[str], project: Path, before: tuple[str, list[Any]] | None = None
) -> tuple[int, str]:
    log = project.parent / "command.log"
    with log.open("wb") as output:
        code = Forked(words, project, environment(), output, before).wait()
    return code, log.read_text(errors="replace")
