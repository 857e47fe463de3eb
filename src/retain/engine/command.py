"""The engine `command`: shares of the parts for an array of SLURM, a job of Kubernetes, Airflow.

The parts are written to a file. Each line `retain stage STAGE NAME --part i/n`, started wherever
the project's folder is seen, does a share of them. After that the same stage collects the parts.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any

from retain.engine import mapping, worker
from retain.engine.choice import Engine
from retain.engine.mapping import Job, Part
from retain.errors import ParamsError, RetainError
from retain.project import files
from retain.words import clipped, did_you_mean, listed, several

# By these the libraries of numbers choose their kernels and threads, so that all have the same.
KERNELS = ("NPY_", "OPENBLAS_", "ATEN_", "ONEDNN_", "MKL_", "OMP_", "MLFLOW_DISABLE_TELEMETRY")
STAGES = ("prepare", "evaluate", "forecast", "replay")
OWN = "retain."  # begins the name of every function that does a part
GRACE = 10.0  # seconds that a command has to end when it is asked to
AGAIN = "the same command with `--engine command`"


def run(
    engine: Engine, function: str, parts: Iterable[Part], job: Job
) -> Generator[Path, None, None]:
    """Start the shares, or print how to; yield the outputs of the parts if all are done."""
    _words(engine.template, "")  # an error in it comes before any work
    outputs, missing = list[Path](), list[dict[str, Any]]()
    for part in parts:
        outputs.append(part.output)
        if not part.done:
            if part.write_input is not None:
                part.write_input()
            missing.append({"output": str(part.output), "arguments": part.arguments})
    file = _file(job.root, job.stage, job.name)
    if missing:
        content = {"function": function, "environment": kernels(), "parts": missing}
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(file, json.dumps(content))
        lines = commands(job, min(engine.count, len(missing)))
        names = [Path(one["output"]).name for one in missing]
        if not engine.template:
            raise RetainError(
                f"{job}: {len(names)} parts are missing ({several(names, 5)}). Run these lines "
                f"where {job.root.resolve()} is seen, then the same command again:\n"
                + listed(lines, limit=len(lines))
            )
        _start(engine.template, lines, job)
        if left := [name for name, one in zip(names, missing, strict=True) if not _is_done(one)]:
            raise RetainError(
                f"{job}: all commands have ended, and {len(left)} parts are missing "
                f"({several(left, 5)}); see what they printed, then run the same command again"
            )
    file.unlink(missing_ok=True)
    yield from outputs


def commands(job: Job, count: int) -> list[str]:
    """Return the line of each share."""
    words = shlex.join(["retain", "stage", job.stage, job.name])
    return [f"{words} --part {number}/{count}" for number in range(1, count + 1)]


def do_share(root: Path, stage: str, name: str, share: str) -> tuple[int, int]:
    """Do a share, `i/n`, of the parts that a stage waits for.

    Returns:
        How many parts were done, and how many the share has.

    Raises:
        ParamsError: there is no such share, stage or name.
        RetainError: nothing is waiting; the list of parts is damaged; a part failed.
    """
    if stage not in STAGES:
        raise ParamsError(f"no stage `{stage}` is done in parts{did_you_mean(stage, [*STAGES])}")
    if "/" in name:
        raise ParamsError(f"{clipped(repr(name))} is no name of a problem or an output")
    found = re.fullmatch(r"([1-9]\d{0,6})/([1-9]\d{0,6})", share)
    if found is None or int(found[1]) > int(found[2]):
        shown = clipped(repr(share))
        raise ParamsError(f"--part is {shown}: expected a share such as 1/8, 2/8, …, 8/8")
    file = _file(root, stage, name)
    if not file.is_file():
        raise RetainError(
            f"nothing of {stage} of {name} is waiting (there is no {file}): start the command that "
            "needs the parts with `--engine command`, which prints what to run"
        )
    function, environment, parts = _read(file)
    os.environ |= environment  # before NumPy is imported
    mine = parts[int(found[1]) - 1 :: int(found[2])]
    todo = [part for part in mine if not _is_done(part)]
    for part in todo:
        output = Path(part["output"])
        worker.check_seen(output.parent)
        mapping.do(function, output, part["arguments"])
    return len(todo), len(mine)


def kernels() -> dict[str, str]:
    """Return the variables by which libraries choose their kernels."""
    return {name: value for name, value in os.environ.items() if name.startswith(KERNELS)}


def _file(root: Path, stage: str, name: str) -> Path:
    return root.resolve() / "scratch" / "parts" / f"{stage}-{name}.json"


def _read(file: Path) -> tuple[str, dict[str, str], list[dict[str, Any]]]:
    """Return the function of a list of parts, the variables, and the parts."""
    match files.read_json(file, AGAIN):
        case {
            "function": str(function),
            "environment": dict(environment),
            "parts": list(parts),
        } if (
            function.startswith(OWN)
            and all(name.startswith(KERNELS) and name.isidentifier() for name in environment)
            and all(isinstance(value, str) and "\0" not in value for value in environment.values())
            and all(map(_is_part, parts))
        ):
            return function, environment, parts
    raise RetainError(f"{file} is damaged; run {AGAIN}, which writes it anew")


def _is_part(part: Any) -> bool:
    match part:
        case {"output": str(output), "arguments": dict()}:
            return "\0" not in output
    return False


def _is_done(part: Mapping[str, Any]) -> bool:
    return Path(part["output"]).exists()


def _start(template: str, lines: list[str], job: Job) -> None:
    """Start the command of each share, all at once, and wait for them."""
    started = list[subprocess.Popen[bytes]]()
    try:
        for line in lines:
            started.append(subprocess.Popen(_words(template, line), cwd=job.root))
        codes = [process.wait() for process in started]
    except OSError as error:
        raise RetainError(f"the template {template!r} cannot be started: {error}") from None
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    if any(codes):
        number = next(number for number, code in enumerate(codes) if code)
        raise RetainError(
            f"{job}: `{lines[number]}` ended with {codes[number]}; see what it printed, then run "
            "the same command again"
        )


def _words(template: str, line: str) -> list[str]:
    """Return the words of a template; {command} is several words, or stands in a quoted one."""
    words = list[str]()
    try:
        parts = shlex.split(template)
    except ValueError as error:
        raise ParamsError(
            f"the template {template!r} of the engine `command` cannot be cut into words: {error}"
        ) from None
    for word in parts:
        words += shlex.split(line) if word == "{command}" else [word.replace("{command}", line)]
    return words
