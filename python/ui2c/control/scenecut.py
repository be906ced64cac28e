"""Where one scene ends and another begins, by a cheap measure on luma."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CELLS = 24
"""A picture is looked at as the means of at most so many cells across and down."""
THRESHOLD = 0.8
FLAT = 2.0
"""Pictures with less contrast than this, in 8-bit codes, count as having this much."""


class SceneCut:
    """Says of one picture after another whether it begins a new scene.

    It does where its cells differ from those of the picture before by more than THRESHOLD times
    the contrast, the mean difference of cells from their own mean, of the flatter of the two.
    Fades and dissolves are no cuts: prediction follows them.
    """

    def __init__(self) -> None:
        self._cells: NDArray[np.float64] | None = None

    def __call__(self, luma: NDArray[Any], bit_depth: int = 8) -> bool:
        """`luma` is `[height, width]`, of the same size each time; the first is never a cut."""
        before, self._cells = self._cells, cells(luma) / (1 << (bit_depth - 8))
        if before is None:
            return False
        contrast = min(_contrast(before), _contrast(self._cells))
        return bool(np.abs(self._cells - before).mean() > THRESHOLD * max(FLAT, contrast))


def cells(luma: NDArray[Any]) -> NDArray[np.float64]:
    """Means of square cells, the last row and column of them smaller where sizes do not fit."""
    step = -(-max(luma.shape) // CELLS)
    rows, columns = (np.arange(0, size, step) for size in luma.shape)
    sums = np.add.reduceat(luma, columns, axis=1, dtype=np.uint32)
    sums = np.add.reduceat(sums, rows, axis=0, dtype=np.uint64)
    heights, widths = (
        np.diff(np.append(starts, size))
        for starts, size in zip((rows, columns), luma.shape, strict=True)
    )
    means: NDArray[np.float64] = sums / np.outer(heights, widths)
    return means


def _contrast(means: NDArray[np.float64]) -> float:
    return float(np.abs(means - means.mean()).mean())
