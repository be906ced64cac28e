"""Turned and mirrored pictures, as display matrices and EXIF orientations ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ui2c._core import Plane


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a rectangle: first rows and columns change places, then each
    may be reversed."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.transposed or self.rows_reversed or self.columns_reversed

    def __str__(self) -> str:
        return _NAMES[self]

    def apply(self, plane: Plane) -> Plane:
        if self.transposed:
            plane = plane.T
        rows, columns = (-1 if on else 1 for on in (self.rows_reversed, self.columns_reversed))
        return np.ascontiguousarray(plane[::rows, ::columns])

    def sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Width and height, or a ratio of them, of what has been laid so."""
        return sides[::-1] if self.transposed else sides


_NAMES = {
    Orientation(): "as it is stored",
    Orientation(False, False, True): "mirrored from left to right",
    Orientation(False, True, False): "mirrored from top to bottom",
    Orientation(False, True, True): "turned by 180 degrees",
    Orientation(True, False, False): "mirrored along the falling diagonal",
    Orientation(True, False, True): "turned by 90 degrees clockwise",
    Orientation(True, True, False): "turned by 90 degrees counterclockwise",
    Orientation(True, True, True): "mirrored along the rising diagonal",
}


def orientation(frame: Any) -> Orientation | None:
    """What the display matrix of PyAV's frame asks for; None where it is no such orientation.

    FFmpeg makes a matrix of EXIF orientations too. Of its rows (a, b, u), (c, d, v), (x, y, w) a
    sample at column p and row q is shown at column a p + c q + x and row b p + d q + y.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if a and d and not b and not c:
        return Orientation(False, d < 0, a < 0)
    if b and c and not a and not d:
        return Orientation(True, b < 0, c < 0)
    return None
