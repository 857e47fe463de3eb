"""How a program ends: the sentence on stderr and the exit code, seen from outside."""

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retain import errors, words


def ended(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program that runs `body` as its main."""
    code = (
        "import os, signal, sys\n"
        "from retain import errors\n"
        "from retain.errors import DataError, ModelError\n"
        # A job in the background of a shell ignores this signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"def main():\n    {body}\n"
        "errors.run(main)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return 7", 0, ""),
        ("raise DataError('t.csv is empty')", 2, "error: t.csv is empty\n"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "interrupted: no output was written\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "terminated: no output was written\n"),
        ("sys.exit(5)", 5, ""),
        (
            "raise OSError(28, 'No space', 'a')",
            2,
            "error: No space (a); make room and start again\n",
        ),
        ("open('file/x', 'w')", 2, "error: Not a directory (file/x)\n"),
        (
            "with errors.stopped_after('t.csv has the rows'): os.kill(os.getpid(), signal.SIGTERM)",
            143,
            "terminated: t.csv has the rows\n",
        ),
    ],
)
def test_a_program_says_how_it_ended(body: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = ended(body, tmp_path)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("raise KeyboardInterrupt", "interrupted: no output was written\n"),
        (
            "with errors.stopped_after('t.csv has the rows'): os.kill(os.getpid(), signal.SIGINT)",
            "interrupted: t.csv has the rows\n",
        ),
    ],
)
def test_a_command_says_that_it_was_interrupted(command: str, said: str, tmp_path: Path) -> None:
    body = (
        "from retain import cli\n    @cli.app.command()\n    def it() -> None:\n"
        f"        {command}\n    sys.argv = ['retain', 'it']\n    cli.main()"
    )
    done = ended(body, tmp_path)
    assert (done.returncode, done.stderr) == (130, said)


@pytest.mark.skipif(sys.platform != "linux", reason="the system sends this signal on Linux alone")
def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path: Path) -> None:
    stage = (
        "import time\n"
        "from retain import errors\n"
        "errors.run(lambda: (print('runs', flush=True), time.sleep(60)))"
    )
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stage!r}])"
    dvc = subprocess.Popen(
        [sys.executable, "-c", start],
        env={**os.environ, "DVC_STAGE": "train@small-lstm"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert dvc.stdout is not None
    assert dvc.stdout.readline() == "runs\n"
    dvc.kill()
    assert dvc.communicate(timeout=10)[0] == "terminated: no output was written\n"


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    done = ended("raise KeyError('defect')", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("KeyError: 'defect'\n")


def test_sigterm_unwinds_past_handlers_of_exceptions(tmp_path: Path) -> None:
    body = (
        "try:\n"
        "        try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "        except Exception: print('taken for a failure')\n"
        "    finally: print('cleaned up')"
    )
    done = ended(body, tmp_path)
    assert (done.returncode, done.stdout) == (143, "cleaned up\n")


def test_a_sigterm_after_all_is_done_changes_nothing(tmp_path: Path) -> None:
    late = "(os.kill(os.getpid(), signal.SIGTERM), os._exit(code))"
    done = ended(f"sys.exit = lambda code: {late}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["ParamsError", "DataError", "ModelError", "RegistryError"])
def test_every_error_of_the_input_is_one_of_ours(kind: str) -> None:
    assert issubclass(getattr(errors, kind), errors.RetainError)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(errors).failed == 0


def test_a_list_that_fits_is_shown_whole() -> None:
    assert words.listed(["a", "b"], limit=2) == "  a\n  b"
    assert words.listed([str(n) for n in range(5000)]).endswith("  9\n  ... and 4,990 more")


def test_a_name_of_thousands_of_letters_is_cut_and_the_remedy_is_kept() -> None:
    error = errors.DataError(f"table.csv: no column `{'x' * 100_000}`; did you mean `y`?")
    assert len(str(error)) < 500
    assert str(error).startswith("table.csv: no column `xxx")
    assert str(error).endswith("x`; did you mean `y`?")
    assert str(errors.DataError("x" * 400)) == "x" * 400
