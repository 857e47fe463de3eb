"""Which instructions the tests compute with: those of a stage that is `portable`.

What a test finds then is the same on every processor with AVX2. RETAIN_TEST_CPU=machine takes what
this processor has instead.
"""

import os

import pytest

from retain.training import portable_cpu

if os.environ.get("RETAIN_TEST_CPU") == "machine":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two on a busy machine are slower
else:
    portable_cpu.pin_cpu_kernels("portable")  # raises RuntimeError where NumPy is imported already

from . import forkserver


def pytest_configure(config: pytest.Config) -> None:
    """Have one process that forks commands, for all workers of a run."""
    if not hasattr(config, "workerinput"):  # whoever started this worker has it
        server = forkserver.start()
        config.add_cleanup(lambda: forkserver.stop(server))
