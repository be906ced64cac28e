"""Turned and mirrored pictures, as display matrices and EXIF orientations ask for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from ui2c._core import Plane

EXIF = re.compile(rb"(?:Exif\0\0|eXIf|EXIF.{4})(II\*\0|MM\0\*)", re.DOTALL)
"""As JPEG, PNG and WebP hold it: a TIFF, in either order of bytes."""
ORIENTATION_TAG, SHORT = 0x112, 3
MAX_EXIF = 1 << 16


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


_BY_EXIF = {
    number: orientation
    for number, orientation in enumerate(
        (
            Orientation(),
            Orientation(False, False, True),
            Orientation(False, True, True),
            Orientation(False, True, False),
            Orientation(True, False, False),
            Orientation(True, False, True),
            Orientation(True, True, True),
            Orientation(True, True, False),
        ),
        start=1,
    )
}
_BY_ANGLE = {0: 1, 90: 8, 180: 3, 270: 6}
"""EXIF's numbers for turns counterclockwise."""


def orientation(frame: Any, picture: Any = None) -> Orientation | None:
    """What the display matrix of PyAV's frame asks for; None where it is no such orientation.

    Of the matrix' rows (a, b, u), (c, d, v), (x, y, w) a sample at column p and row q is shown at
    column a p + c q + x and row b p + d q + y.

    `picture` is the file of a photograph, whose EXIF asks in its own way.
    """
    found = None if picture is None else exif_orientation(bytes(picture))
    if found is not None:
        return _BY_EXIF[found]
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV gives none beside data of a kind that it does not know, but tells the angle.
        return _BY_EXIF.get(_BY_ANGLE.get(frame.rotation % 360, 0))
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if a and d and not b and not c:
        return Orientation(False, d < 0, a < 0)
    if b and c and not a and not d:
        return Orientation(True, b < 0, c < 0)
    return None


def exif_orientation(data: bytes) -> int | None:
    """The orientation, 1 to 8, in the EXIF that a picture's file holds; None without one."""
    found = EXIF.search(data)
    if found is None:
        return None
    tiff = data[found.start(1) : found.start(1) + MAX_EXIF]
    order: Literal["little", "big"] = "little" if found[1] == b"II*\0" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        at = directory + 2 + 12 * entry
        if number(at, 2) == ORIENTATION_TAG and number(at + 2, 2) == SHORT:
            value = number(at + 8, 2)
            return value if value in _BY_EXIF else None
    return None
