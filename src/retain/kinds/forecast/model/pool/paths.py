"""The paths of a pool's experts along all series of a panel, in a cache of limited size."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks
from retain.kinds.forecast.model.pool.blocks import Block
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.tracing import Trace, all_ahead, trace
from retain.kinds.forecast.model.pool.tracks import Counts, Singles

KEPT = 1 << 27  # bytes of cached paths; for a larger panel, the most recently used ones


@dataclass(frozen=True)
class Path:
    """The paths along neighbouring series.

    Attributes:
        block: the series.
        found: the paths of the experts.
        numbers: (series,), rows in the pool.
    """

    pool: Pool
    block: Block
    found: Trace
    numbers: Counts

    @cached_property
    def ahead(self) -> Singles:
        """The blend's forecasts one step ahead, (steps, series), by the pool's present weights."""
        return all_ahead(self.pool, self.found, self.numbers)

    @property
    def size(self) -> int:
        """The number of bytes, with those of `ahead`."""
        y = self.block.y
        return y.nbytes + y.size * np.dtype(np.float32).itemsize + self.found.size


class Paths:
    """The paths along all series of a panel, block by block, in a cache of limited size."""

    def __init__(self, pool: Pool, panel: Panel, numbers: Counts, until: int | None = None):
        """Prepare; a path is computed on first use.

        Args:
            numbers: (series of the panel,), the row of each in the pool.
            until: the grid step after the last row.
        """
        self._pool, self._panel, self._until = pool, panel, until
        self._numbers = numbers
        self.spans = list(blocks.spans(panel))
        self._kept: OrderedDict[int, Path] = OrderedDict()

    def __getitem__(self, number: int) -> Path:
        """Return the paths along the series of one of the spans."""
        if number not in self._kept:
            block = blocks.read(self._panel, self.spans[number], self._until)
            own = self._numbers[self.spans[number]]
            found = trace(self._pool, block.y, block.lengths, own)
            self._kept[number] = Path(self._pool, block, found, own)
            sizes = [path.size for path in self._kept.values()]
            while len(sizes) > 1 and sum(sizes) > KEPT:
                self._kept.popitem(last=False)
                sizes.pop(0)
        self._kept.move_to_end(number)
        return self._kept[number]
