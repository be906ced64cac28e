"""Integer frequency tables of the scales, made once when a model is saved."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ui2c.network.prior import SCALE_RATIO, SCALES, SMALLEST_SCALE

TOTAL = 4096
"""Frequencies are 12 bits."""

LARGEST = 127
"""Symbol that a table can have."""

TAIL = 2.0**-13
"""Symbols rarer than this on either side together share one escape."""

BELIEF = 200
"""Symbols that a Gaussian counts for beside those that were seen."""


class ScaleTables(NamedTuple):
    """One table for each scale, as `_core.Tables` takes them."""

    frequencies: NDArray[np.uint16]
    """Of all tables, one after the other; symbols -m … m and the escape."""
    lengths: NDArray[np.uint16]


def gaussian_tables() -> ScaleTables:
    """For Gaussian symbols."""
    return _joined([gaussian_table(_scale(i)) for i in range(SCALES)])


def gaussian_table(scale: float) -> NDArray[np.int64]:
    """Frequencies of -m … m and the escape under a zero-mean Gaussian rounded to integers."""
    magnitudes = gaussian_magnitudes(scale)
    return integer_table(magnitudes, largest_symbol(magnitudes))


def gaussian_magnitudes(scale: float) -> NDArray[np.float64]:
    """Probabilities that a rounded zero-mean Gaussian is 0, ±1, … ±127, and of all beyond."""
    tails = [math.erfc(max(x, 0) / scale / math.sqrt(2)) for x in np.arange(LARGEST + 2) - 0.5]
    return np.array([a - b for a, b in itertools.pairwise(tails)] + tails[-1:])


def fitted_tables(counts: NDArray[np.int64]) -> ScaleTables:
    """For symbols as they were seen: `[64, 129]`, how often 0, ±1, … ±127 and all beyond.

    Where tails are long a rare symbol may be cheaper as an escape: each has a frequency of at least
    one. So the largest symbol is that with which least bits are expected.
    """
    tables = []
    for i, seen in enumerate(counts):
        expected = seen + BELIEF * gaussian_magnitudes(_scale(i))
        expected /= expected.sum()
        candidates = (integer_table(expected, m) for m in range(largest_symbol(expected), -1, -1))
        tables.append(min(candidates, key=lambda table: expected_bits(expected, table)))
    return _joined(tables)


def expected_bits(magnitudes: NDArray[np.float64], table: NDArray[np.int64]) -> float:
    """Mean bits of a symbol, escapes with what follows them, as `bitstream.md` has it."""
    largest = len(table) // 2 - 1
    bits = -np.log2(table / TOTAL)
    beyond = np.arange(len(magnitudes) - largest - 1)
    escaped = bits[-1] + 2 + 2 * np.floor(np.log2(beyond + 1))
    signed = (bits[largest : 2 * largest + 1] + bits[largest::-1]) / 2
    return float(magnitudes @ np.concatenate((signed, escaped)))


def largest_symbol(magnitudes: NDArray[np.float64]) -> int:
    """The least m beyond which all is rarer than `TAIL`, if there is one."""
    beyond = magnitudes[::-1].cumsum()[::-1]
    return next((m for m in range(LARGEST) if beyond[m + 1] < TAIL), LARGEST)


def integer_table(magnitudes: NDArray[np.float64], largest: int) -> NDArray[np.int64]:
    """Frequencies of -m … m and the escape from the probabilities of 0, ±1, … ±127 and beyond."""
    beyond = magnitudes[largest + 1 :].sum()
    half = magnitudes[1 : largest + 1] / 2
    ideal = np.array([*half[::-1], magnitudes[0], *half, beyond]) * TOTAL
    table = np.maximum(np.round(ideal).astype(np.int64), 1)
    # Rounding leaves a surplus or a lack; each unit goes where it costs the fewest bits. Symbols
    # at equal distance from zero must not differ by chance, so the search order is fixed.
    while (excess := int(table.sum()) - TOTAL) != 0:
        change = -1 if excess > 0 else 1
        allowed = table + change >= 1
        cost = -ideal * np.log2(np.maximum(table + change, 1) / table)
        table[int(np.argmin(np.where(allowed, cost, np.inf)))] += change
    return table


def _scale(index: int) -> float:
    return SMALLEST_SCALE * math.exp(SCALE_RATIO * index)


def _joined(tables: list[NDArray[np.int64]]) -> ScaleTables:
    lengths = np.array([len(table) for table in tables], np.uint16)
    return ScaleTables(np.concatenate(tables).astype(np.uint16), lengths)
