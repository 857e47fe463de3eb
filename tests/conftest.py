"""Which instructions the tests compute with: those of a stage that is `portable`.

What a test finds then is the same on every processor with AVX2. RETAIN_TEST_CPU=machine takes what
this processor has instead.
"""

import os

from retain.training import portable_cpu

if os.environ.get("RETAIN_TEST_CPU") == "machine":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two on a busy machine are slower
else:
    portable_cpu.pin_cpu_kernels("portable")  # raises RuntimeError where NumPy is imported already
