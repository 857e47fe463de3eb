"""The paths of a pool's experts along all series of a panel, in a cache of limited size."""

from collections import OrderedDict

from retain.kinds.forecast.data.panel import Panel
from retain.kinds.forecast.model.pool import blocks
from retain.kinds.forecast.model.pool.blocks import Block
from retain.kinds.forecast.model.pool.pool import Pool
from retain.kinds.forecast.model.pool.tracing import Counts, Trace, trace

KEPT = 1 << 29  # bytes of cached paths; for a larger panel, the most recently used ones


class Paths:
    """The paths along all series of a panel, block by block, in a cache of limited size."""

    def __init__(self, pool: Pool, panel: Panel, numbers: Counts, until: int | None = None):
        """Prepare; a path is computed on first use.

        Args:
            numbers: (series of the panel,), the row of each in the pool.
            until: the grid step after the last row.
        """
        self._pool, self._panel, self._until = pool, panel, until
        self.numbers = numbers
        self.spans = list(blocks.spans(panel))
        self._kept: OrderedDict[int, tuple[Block, Trace]] = OrderedDict()

    def __getitem__(self, number: int) -> tuple[Block, Trace]:
        """Return the series of one of the spans, and their paths."""
        if number not in self._kept:
            block = blocks.read(self._panel, *self.spans[number], self._until)
            own = self.numbers[self.spans[number][0]]
            self._kept[number] = block, trace(self._pool, block.y, block.lengths, own)
            sizes = [block.y.nbytes + found.size for block, found in self._kept.values()]
            while len(sizes) > 1 and sum(sizes) > KEPT:
                self._kept.popitem(last=False)
                sizes.pop(0)
        self._kept.move_to_end(number)
        return self._kept[number]
