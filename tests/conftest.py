"""One thread, as in a stage: two on a busy machine are slower, and give other bits."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
