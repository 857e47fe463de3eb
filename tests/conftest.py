"""Which instructions the tests compute with: those of a stage that is `portable`.

What a test finds then is the same on every processor with AVX2. RETAIN_TEST_CPU=machine takes what
this processor has instead.
"""

import os

import pytest

from retain.training import portable_cpu
from tests import forkserver

PORTABLE = os.environ.get("RETAIN_TEST_CPU") != "machine"
if not PORTABLE:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two on a busy machine are slower
else:
    portable_cpu.pin_cpu_kernels("portable")  # raises RuntimeError where NumPy is imported already


def pytest_configure(config: pytest.Config) -> None:
    """Start the process that forks commands, for all workers of a run; workers are forked, too."""
    if hasattr(config, "workerinput"):
        return
    server = forkserver.start()
    config.add_cleanup(lambda: forkserver.stop(server))
    workers = getattr(config.option, "tx", None) or []
    if PORTABLE:  # as what is forked is
        python = forkserver.programs() / "python"
        config.option.tx = [spec.replace("popen", f"popen//python={python}", 1) for spec in workers]
