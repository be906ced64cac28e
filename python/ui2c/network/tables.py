"""Integer frequency tables of the Gaussian scales, made once when a model is saved."""

import math

import numpy as np
from numpy.typing import NDArray

from ui2c.network.prior import SCALE_RATIO, SCALES, SMALLEST_SCALE

TOTAL = 4096
"""Frequencies are 12 bits."""

LARGEST_SYMBOL = 127

TAIL = 2.0**-13
"""Symbols rarer than this on either side together share one escape."""


def gaussian_tables() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Frequencies and lengths of all scales, as `_core.Tables` takes them."""
    tables = [gaussian_table(SMALLEST_SCALE * math.exp(SCALE_RATIO * i)) for i in range(SCALES)]
    lengths = np.array([len(table) for table in tables], np.uint16)
    return np.concatenate(tables).astype(np.uint16), lengths


def gaussian_table(scale: float) -> NDArray[np.int64]:
    """Frequencies of -m … m and the escape under a zero-mean Gaussian rounded to integers."""

    def tail(x: float) -> float:
        return 0.5 * math.erfc(x / scale / math.sqrt(2))

    largest = next((m for m in range(LARGEST_SYMBOL) if 2 * tail(m + 0.5) < TAIL), LARGEST_SYMBOL)
    half = [tail(k - 0.5) - tail(k + 0.5) for k in range(1, largest + 1)]
    ideal = np.array([*half[::-1], 1 - 2 * tail(0.5), *half, 2 * tail(largest + 0.5)]) * TOTAL
    table = np.maximum(np.round(ideal).astype(np.int64), 1)
    # Rounding leaves a surplus or a lack; each unit goes where it costs the fewest bits. Symbols
    # at equal distance from zero must not differ by chance, so the search order is fixed.
    while (excess := int(table.sum()) - TOTAL) != 0:
        change = -1 if excess > 0 else 1
        allowed = table + change >= 1
        cost = -ideal * np.log2(np.maximum(table + change, 1) / table)
        table[int(np.argmin(np.where(allowed, cost, np.inf)))] += change
    return table
