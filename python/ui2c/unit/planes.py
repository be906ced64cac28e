"""Pictures as planes, of the size that is coded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Planes = tuple[Plane, Plane, Plane]
"""Y, U and V of a 4:2:0 picture: uint8 at 8 bits, uint16 above."""

CELL = 16
"""Pictures are coded in whole cells of so many luma samples."""


@dataclass(frozen=True)
class Geometry:
    """Size of the pictures, in luma samples, and bits of a sample."""

    width: int
    height: int
    bit_depth: int = 8

    @property
    def coded_width(self) -> int:
        return -(-self.width // CELL) * CELL

    @property
    def coded_height(self) -> int:
        return -(-self.height // CELL) * CELL

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.coded_height // CELL, self.coded_width // CELL

    def grey(self) -> Planes:
        """The blank picture, of the coded size."""
        dtype = np.uint8 if self.bit_depth == 8 else np.uint16
        middle = 1 << (self.bit_depth - 1)
        luma = np.full((self.coded_height, self.coded_width), middle, dtype)
        chroma = np.full((self.coded_height // 2, self.coded_width // 2), middle, dtype)
        return luma, chroma, chroma

    def pad(self, frame: Sequence[Plane]) -> Planes:
        """Repeats right and lower edges up to the coded size."""
        y, u, v = (
            np.pad(
                plane,
                (
                    (0, self.coded_height // scale - plane.shape[0]),
                    (0, self.coded_width // scale - plane.shape[1]),
                ),
                mode="edge",
            )
            for plane, scale in zip(frame, (1, 2, 2), strict=True)
        )
        return y, u, v

    def crop(self, frame: Planes) -> Planes:
        """The picture as it is shown; copies, so that changing it changes no reference."""
        y, u, v = (
            plane[: -(-self.height // scale), : -(-self.width // scale)].copy()
            for plane, scale in zip(frame, (1, 2, 2), strict=True)
        )
        return y, u, v
