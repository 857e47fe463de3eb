"""Limit the CPU instructions of arithmetic, so that every x86 processor computes the same bits.

NumPy, torch and the libraries that they use choose kernels by the processor, and different kernels
round differently. The settings made here, before they are imported, limit them to AVX2 (x86-64-v3)
on every such processor; other processors use their normal kernels.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retain.config.schema import Mode

NUMPY = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # all instruction sets above AVX2
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}
TORCH = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # MKL uses AVX2 only on processors of one maker
    "OMP_NUM_THREADS": "1",
}


def settings(mode: "Mode") -> dict[str, str]:
    """Return the environment variables that a mode needs."""
    return NUMPY | TORCH if mode == "portable" else {}


def pin_cpu_kernels(mode: "Mode") -> None:
    """Set the instructions that a stage's arithmetic may use.

    Args:
        mode: `portable` gives the same bits on every processor with AVX2, `machine` on processors
            of the same kind; `off` guarantees nothing, above all on a GPU.

    Raises:
        RuntimeError: NumPy or torch is imported already, and reads the settings only once.
    """
    changed = {
        name: value for name, value in settings(mode).items() if os.environ.get(name) != value
    }
    late = [library for library in ("numpy", "torch") if library in sys.modules]
    if changed and late:
        raise RuntimeError(f"{' and '.join(late)} must be imported after pin_cpu_kernels")
    os.environ |= changed
