"""Two pictures beside each other, with what differs and a close look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ui2c.picture.color import WEIGHTS, yuv420_to_rgb
from ui2c.picture.frames import YUV420

GAP = 4
"""Samples between tiles."""
PAPER = 32
"""Of the gaps."""

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """A part of a picture, in luma samples."""

    width: int
    height: int
    left: int
    top: int

    def cut(self, rgb: Rgb) -> Rgb:
        return rgb[self.top : self.top + self.height, self.left : self.left + self.width]

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.left}+{self.top}"


def sheet(
    a: YUV420, b: YUV420, box: Box, *, zoom: int = 8, gain: float = 4, matrix: int = 1
) -> Rgb:
    """RGB of two rows: `a`, `b` and their difference; and the box of each, enlarged.

    The difference of luma is shown around mid-grey, `gain` times itself. Raises ValueError where
    the pictures differ in size or the box does not lie within them.
    """
    _check_sizes(a, b)
    if not (
        box.width > 0
        and box.height > 0
        and 0 <= box.left <= a.width - box.width
        and 0 <= box.top <= a.height - box.height
    ):
        raise ValueError(f"{box} does not lie within {a.width}x{a.height}")
    matrix = matrix if matrix in WEIGHTS else 1
    grey = (128 + gain * (_luma(b) - _luma(a))).round().clip(0, 255).astype(np.uint8)
    tiles = [
        yuv420_to_rgb(a, matrix=matrix),
        yuv420_to_rgb(b, matrix=matrix),
        np.repeat(grey[..., None], 3, axis=2),
    ]
    close = [box.cut(tile).repeat(zoom, axis=0).repeat(zoom, axis=1) for tile in tiles]
    return stack([_row(tiles), _row(close)])


def worst_box(a: YUV420, b: YUV420, width: int, height: int) -> Box:
    """Where a box of that size, cut to the picture's, holds most of the squared difference."""
    _check_sizes(a, b)
    width, height = min(width, a.width), min(height, a.height)
    error = np.square(_luma(b) - _luma(a))
    total = np.zeros((a.height + 1, a.width + 1))
    total[1:, 1:] = error.cumsum(axis=0).cumsum(axis=1)
    sums = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return Box(width, height, int(left), int(top))


def stack(rows: list[Rgb]) -> Rgb:
    """Pictures of any width under each other."""
    width = max(row.shape[1] for row in rows)
    padded = [
        np.pad(
            row,
            ((GAP * (index > 0), 0), (0, width - row.shape[1]), (0, 0)),
            constant_values=PAPER,
        )
        for index, row in enumerate(rows)
    ]
    return np.concatenate(padded)


def _check_sizes(a: YUV420, b: YUV420) -> None:
    if (a.width, a.height) != (b.width, b.height):
        raise ValueError(
            f"the pictures must have one size, not {a.width}x{a.height} and {b.width}x{b.height}"
        )


def _row(tiles: list[Rgb]) -> Rgb:
    turned = [tile.transpose(1, 0, 2) for tile in tiles]
    return np.ascontiguousarray(stack(turned).transpose(1, 0, 2))


def _luma(frame: YUV420) -> NDArray[Any]:
    """In 8-bit codes."""
    return frame.y / float(1 << (frame.bit_depth - 8))
