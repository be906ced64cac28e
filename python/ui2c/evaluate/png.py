"""Pictures as PNG, whole or cut."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UP = 2
"""The filter that predicts every sample by the one above: simple, and good enough for pages."""


def png(rgb: NDArray[np.uint8]) -> bytes:
    """An 8-bit RGB picture `[height, width, 3]` as a PNG file."""
    height, width = rgb.shape[:2]
    rows = np.full((height, 1 + 3 * width), UP, np.uint8)
    flat = rgb.reshape(height, 3 * width)
    rows[0, 1:] = flat[0]
    rows[1:, 1:] = flat[1:] - flat[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            _chunk(b"IEND", b""),
        ]
    )


def read_png(data: bytes) -> NDArray[np.uint8]:
    """The picture of a file that `png` wrote; ValueError for any other."""
    if data[:8] != SIGNATURE or data[12:16] != b"IHDR":
        raise ValueError("this is no PNG file")
    width, height, *kind = struct.unpack(">IIBBBBB", data[16:29])
    (length,) = struct.unpack(">I", data[33:37])
    if kind != [8, 2, 0, 0, 0] or data[37:41] != b"IDAT" or 45 + length > len(data):
        raise ValueError("this PNG file was written by another program")
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8)
    rows = rows.reshape(height, 1 + 3 * width)
    if np.any(rows[:, 0] != UP):
        raise ValueError("this PNG file was written by another program")
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def crop(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The middle of a picture, at most of that size."""
    tall, wide = rgb.shape[:2]
    top, left = max(0, (tall - height) // 2), max(0, (wide - width) // 2)
    return np.ascontiguousarray(rgb[top : top + height, left : left + width])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
