"""RGB to Y'CbCr 4:2:0 and back.

Chroma sits at the centre of each 2×2 block of luma samples: the mean going down, bilinear
interpolation going up, which is its counterpart and avoids the blocks of plain repetition. Going
down is exact rational arithmetic rounded once (half up).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ui2c.picture.frames import YUV420

if TYPE_CHECKING:
    from ui2c._core import Plane

BT709 = (1, 1, 1)
"""CICP primaries, transfer and matrix of BT.709, which RGB input is taken to be."""
UNSPECIFIED = (2, 2, 2)


@dataclass(frozen=True)
class LumaWeights:
    """Weights of red, green and blue in luma, in units of 1/10000."""

    red: int
    green: int
    blue: int


WEIGHTS = {
    1: LumaWeights(2126, 7152, 722),
    5: LumaWeights(2990, 5870, 1140),
    6: LumaWeights(2990, 5870, 1140),
    9: LumaWeights(2627, 6780, 593),
}
"""By CICP matrix coefficients: BT.709, BT.601 (both systems), BT.2020 non-constant luminance."""
SCALE = 10000


def luma_weights(matrix: int) -> LumaWeights:
    """The weights of a CICP matrix; an unspecified one (2) is taken as BT.709."""
    weights = WEIGHTS.get(1 if matrix == 2 else matrix)
    if weights is None:
        raise ValueError(
            f"matrix must be 1 (BT.709), 2 (unspecified), 5 or 6 (BT.601) or 9 (BT.2020) "
            f"to convert from or to RGB, not {matrix}"
        )
    return weights


def rgb_to_yuv420(rgb: NDArray[np.uint8], *, matrix: int = 1, full_range: bool = False) -> YUV420:
    """RGB, uint8 `[height, width, 3]`, as an 8-bit 4:2:0 picture of the same size."""
    weights = luma_weights(matrix)
    height, width = rgb.shape[:2]
    y_span, y_unit, y_base = (1, SCALE, 0) if full_range else (219, 255 * SCALE, 16)
    c_span = 255 if full_range else 224

    # At most 2 · 219 · 255 · 10000 + 255 · 10000 < 2^32, so 32 bits hold luma all the way.
    # Whatever the order in memory: what is made of it lies row by row.
    samples = rgb.astype(np.uint32, order="C")
    y = (2 * y_span * _luma(samples, weights) + y_unit) // (2 * y_unit) + y_base

    # Conversion and mean are both linear: the sum of each 2×2 block is converted, rounded once.
    padded = np.pad(samples, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    block = padded[0::2] + padded[1::2]
    block = (block[:, 0::2] + block[:, 1::2]).astype(np.int64)
    block_luma = _luma(block, weights)
    chroma = []
    for channel, weight in ((2, weights.blue), (0, weights.red)):
        difference = SCALE * block[..., channel] - block_luma
        unit = 4 * 255 * 2 * (SCALE - weight)
        code = (2 * c_span * difference + unit) // (2 * unit) + 128
        chroma.append(np.minimum(code, 255).astype(np.uint8))
    return YUV420(y.astype(np.uint8), chroma[0], chroma[1], full_range=full_range)


def halve_chroma(plane: Plane, rows: int, columns: int) -> Plane:
    """A chroma plane with each block of `rows` x `columns` samples (1 or 2) as their mean.

    Rounded half up; at odd edges the last row or column counts twice.
    """
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % rows), (0, width % columns)), mode="edge")
    blocks = padded.reshape(len(padded) // rows, rows, -1, columns)
    count = rows * columns
    means = (blocks.sum(axis=(1, 3), dtype=np.uint32) + count // 2) // count
    halved: Plane = means.astype(plane.dtype)
    return halved


def quarter_to_half(plane: Plane, width: int) -> Plane:
    """A chroma plane of 4:1:1, all rows and a quarter of luma's columns, as 4:2:0 `width` wide.

    A sample is as wide as two: both are interpolated, three parts of it and one of its neighbour on
    that side. Rows are paired as `halve_chroma` does. All of it is rounded once, half up.
    """
    height, wide = plane.shape
    rows = np.pad(plane.astype(np.uint32), ((0, height % 2), (1, 1)), mode="edge")
    pairs = rows[0::2] + rows[1::2]
    doubled = np.empty((len(pairs), 2 * wide), np.uint32)
    doubled[:, 0::2] = 3 * pairs[:, 1:-1] + pairs[:, :-2]
    doubled[:, 1::2] = 3 * pairs[:, 1:-1] + pairs[:, 2:]
    halved: Plane = ((doubled[:, :width] + 4) >> 3).astype(plane.dtype)
    return halved


def yuv420_to_rgb(frame: YUV420, *, matrix: int = 1) -> NDArray[np.uint8]:
    """A 4:2:0 picture of any bit depth as RGB, uint8 `[height, width, 3]`."""
    weights = luma_weights(matrix)
    peak = np.float32((1 << frame.bit_depth) - 1)
    unit = np.float32(1 << (frame.bit_depth - 8))
    y_base, y_span, c_span = (
        (np.float32(0), peak, peak) if frame.full_range else (16 * unit, 219 * unit, 224 * unit)
    )
    y = (frame.y.astype(np.float32) - y_base) * (np.float32(255) / y_span)
    u, v = (
        (_upsample(plane, frame.height, frame.width) - 16 * 128 * unit)
        * (np.float32(255) / (16 * c_span))
        for plane in (frame.u, frame.v)
    )

    red, green, blue = (w / SCALE for w in (weights.red, weights.green, weights.blue))
    rgb = np.empty((*y.shape, 3), np.float32)
    rgb[..., 0] = y + v * np.float32(2 * (1 - red))
    rgb[..., 1] = (
        y
        - u * np.float32(2 * (1 - blue) * blue / green)
        - v * np.float32(2 * (1 - red) * red / green)
    )
    rgb[..., 2] = y + u * np.float32(2 * (1 - blue))
    return np.rint(rgb).clip(0, 255).astype(np.uint8)


def _luma(rgb: Any, weights: LumaWeights) -> Any:
    """10000 times the luma of integer RGB, in its own type."""
    return rgb[..., 0] * weights.red + rgb[..., 1] * weights.green + rgb[..., 2] * weights.blue


def _upsample(plane: Plane, height: int, width: int) -> NDArray[np.float32]:
    """A chroma plane at luma size, times 16."""
    tall = _upsample_rows(plane.astype(np.int32))[:height]
    return _upsample_rows(tall.T)[:width].T.astype(np.float32)


def _upsample_rows(plane: NDArray[np.int32]) -> NDArray[np.int32]:
    """Twice the rows, times 4: each lies a quarter from one sample, three from the other."""
    padded = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
    result = np.empty((2 * len(plane), plane.shape[1]), np.int32)
    result[0::2] = 3 * plane + padded[:-2]
    result[1::2] = 3 * plane + padded[2:]
    return result
