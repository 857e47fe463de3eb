"""Which instructions arithmetic may use, so that every processor computes the same bits.

NumPy, torch and the libraries under them choose kernels by the processor they find, and other
kernels round otherwise. What is set here, before they are imported, keeps them to AVX2 (that is, to
x86-64-v3) wherever they run; processors of other kinds have only their own.
"""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retain.config.schema import Mode

NUMPY = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # all that it has above AVX2
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}
TORCH = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # MKL takes AVX2 on processors of one maker only
    "OMP_NUM_THREADS": "1",
}


def pin_cpu_kernels(mode: "Mode") -> None:
    """Set what a stage's arithmetic may use.

    Args:
        mode: `portable` gives the same bits on every processor with AVX2, `machine` on those of
            this kind; `off` leaves the same to chance, on a GPU above all.

    Raises:
        RuntimeError: NumPy or torch is imported already, and would not look again.
    """
    if mode != "portable":
        return
    changed = {
        name: value for name, value in (NUMPY | TORCH).items() if os.environ.get(name) != value
    }
    late = [library for library in ("numpy", "torch") if library in sys.modules]
    if changed and late:
        raise RuntimeError(f"{' and '.join(late)} must be imported after pin_cpu_kernels")
    os.environ |= changed
