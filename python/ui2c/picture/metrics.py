"""Peak signal-to-noise ratio, the way the field states it for 4:2:0 video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ui2c._core import Plane
    from ui2c.picture.frames import YUV420


@dataclass(frozen=True, slots=True)
class Psnr:
    """PSNR of a picture, or its mean over pictures, in dB; infinite where nothing differs."""

    y: float
    u: float
    v: float

    @property
    def yuv(self) -> float:
        """Weighted 6:1:1."""
        return (6 * self.y + self.u + self.v) / 8


def plane_psnr(a: Plane, b: Plane, bit_depth: int = 8) -> float:
    """PSNR between two planes of one size, in dB."""
    difference = a.astype(np.int32) - b.astype(np.int32)
    error = float(np.mean(np.square(difference, dtype=np.int64)))
    return 10 * math.log10(((1 << bit_depth) - 1) ** 2 / error) if error else math.inf


def frame_psnr(a: YUV420, b: YUV420) -> Psnr:
    """PSNR between two pictures of one size and bit depth."""
    return Psnr(*(plane_psnr(p, q, a.bit_depth) for p, q in zip(a.planes, b.planes, strict=True)))


def mean_psnr(frames: Iterable[Psnr]) -> Psnr:
    """The mean of each plane over the pictures; NaN where there are none."""
    rows = [(frame.y, frame.u, frame.v) for frame in frames]
    if not rows:
        return Psnr(math.nan, math.nan, math.nan)
    return Psnr(*(sum(column) / len(rows) for column in zip(*rows, strict=True)))
