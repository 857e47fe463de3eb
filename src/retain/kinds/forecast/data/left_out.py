"""Series that are left out of training and validation, to be scored as series without history.

They are drawn by the CRC-32 of their names: the share with the smallest checksums, at least one
series, of those that reach to within a horizon of the table's end, where they can be scored.
"""

import math
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from retain.errors import DataError
from retain.kinds.forecast.data.panel import Panel


def drawn(source: Panel, share: float) -> NDArray[np.bool_]:
    """Return which series are left out, (series,).

    Raises:
        DataError: fewer than two series would remain.
    """
    names = source.index["unique_id"].astype(str)
    count = math.ceil(share * len(names))
    if share and len(names) - count < 2:
        raise DataError(
            f"{source.schema.data['path']}: evaluation.cold_start is {share:g}, and "
            f"the table has {len(names)} series: {count} would be left out, and too few remain; "
            f"take a smaller share, or 0"
        )
    ends = (source.index["first_step"] + source.index["length"]).to_numpy()
    ended = ends.max() - ends >= source.schema.data["horizon"]
    checksums = [zlib.crc32(name.encode()) for name in names]
    chosen = np.zeros(len(names), dtype=bool)
    chosen[np.lexsort((checksums, ended))[:count]] = True
    return chosen


def leave_out(source: Panel, share: float) -> Panel:
    """Return a panel without the drawn series; what is fitted to its values is fitted anew.

    The values of the others are copied into memory.
    """
    if not share:
        return source
    index = source.index[~drawn(source, share)].reset_index(drop=True)
    reach = int(source.index["start"].iloc[0])  # rows before the first series
    begins, length = index["start"].to_numpy(), index["length"].to_numpy()
    rows = [source.values[:reach]]
    rows += [source.values[b : b + n] for b, n in zip(begins, length, strict=True)]
    index = index.assign(start=reach + np.cumsum(length) - length)
    schema = source.schema
    kept = replace(source, values=np.concatenate(rows), index=pd.DataFrame(index))
    return kept.cut(schema.validation_step, schema.test_step, schema.steps)
