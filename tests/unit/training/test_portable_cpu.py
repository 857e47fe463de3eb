"""Portable bits: what is set, when, and that NumPy and torch are not there before it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core import _multiarray_umath

from retain.config import loader
from retain.errors import ParamsError
from retain.training import portable_cpu

ROOT = Path(__file__).parents[3]
PINNED = portable_cpu.NUMPY | portable_cpu.TORCH


def python(code: str, **extra: str) -> str:
    """What a fresh interpreter prints, in which nothing is settled but `extra`."""
    kept = {name: value for name, value in os.environ.items() if name not in PINNED}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | extra,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_portable_sets_every_variable() -> None:
    told = python("""
import os
from retain.training import portable_cpu
portable_cpu.pin_cpu_kernels("portable")
print(all(os.environ[n] == v for n, v in (portable_cpu.NUMPY | portable_cpu.TORCH).items()))
""")
    assert told == "True"


@pytest.mark.parametrize("mode", ["machine", "off"])
def test_other_modes_change_nothing(mode: str) -> None:
    told = python(f"""
import os
from retain.training import portable_cpu
before = dict(os.environ)
portable_cpu.pin_cpu_kernels("{mode}")
print(before == os.environ)
""")
    assert told == "True"


REFUSED = """
import {library}
from retain.training import portable_cpu
try:
    portable_cpu.pin_cpu_kernels("portable")
    print("settled")
except RuntimeError as error:
    print(error)
"""


def test_a_library_that_is_there_already_is_named() -> None:
    assert python(REFUSED.format(library="numpy")) == (
        "numpy must be imported after pin_cpu_kernels"
    )


def test_a_process_that_was_started_settled_may_have_imported_them() -> None:
    assert python(REFUSED.format(library="numpy"), **PINNED) == "settled"


def test_torch_takes_what_was_settled() -> None:
    told = python("""
from retain.training import portable_cpu
portable_cpu.pin_cpu_kernels("portable")
import numpy, torch
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
""")
    assert told.endswith(" 1")
    assert told.split()[0] in {"AVX2", "DEFAULT", "NO"}  # the last two on older or other processors


def test_all_that_numpy_has_above_avx2_is_named() -> None:
    known = _multiarray_umath.__cpu_dispatch__
    if "X86_V3" not in known:
        pytest.skip("NumPy was built for another sort of processor")
    above = known[known.index("X86_V3") + 1 :]
    assert portable_cpu.NUMPY["NPY_DISABLE_CPU_FEATURES"].split() == above


def test_portable_bits_on_two_threads_are_refused() -> None:
    entry = {
        "kind": "forecast",
        "preset": "fast",
        "data": {"path": "a.csv", "horizon": 6, "context_length": 24},
        "training": {"reproducible": "portable", "threads": 2},
        "gate": [],
    }
    with pytest.raises(ParamsError, match="portable bits need threads: 1; take reproducible: mach"):
        loader.parse("small", entry)


STARTS = {
    "prepare": ["pipelines/prepare.py", "traffic"],
    "train": ["pipelines/train.py", "traffic", "lstm"],
    "refit": ["pipelines/refit.py", "traffic"],
    "evaluate": ["pipelines/evaluate.py", "traffic"],
    "monitor": ["retain", "monitor", "traffic", "--log", "data"],
    "replay": ["retain", "replay", "traffic", "--from", "2018-01-01"],
}


@pytest.mark.parametrize("words", STARTS.values(), ids=STARTS.keys())
def test_what_computes_pins_before_it_imports_numpy_or_torch(words: list[str]) -> None:
    told = python(f"""
import runpy, sys
from retain.training import portable_cpu

def pin_cpu_kernels(mode):
    print([name for name in ("numpy", "torch") if name in sys.modules])
    sys.exit(0)

portable_cpu.pin_cpu_kernels = pin_cpu_kernels
sys.argv = {words!r}
if sys.argv[0] == "retain":
    from retain import cli
    cli.main()
runpy.run_path(sys.argv[0], run_name="__main__")
""")
    assert told == "[]"


def test_no_module_takes_the_square_root_of_torch() -> None:
    """MKL's, on a CPU, starts from an approximation, whatever MKL_CBWR says; see network.py."""
    torchs = re.compile(r"torch\.\w*sqrt|(?<!\bnp)(?<!\bmath)\.sqrt\(")
    for path in (ROOT / "src" / "retain").rglob("*.py"):
        assert not torchs.search(path.read_text(encoding="utf-8")), path.name
