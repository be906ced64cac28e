"""What callers give: bytes of any kind, times, and calls from several threads."""

from __future__ import annotations

import io
import math
import threading
from fractions import Fraction
from numbers import Rational
from typing import Any


def view_of(data: Any) -> memoryview | None:
    """The bytes of a buffer (bytes, bytearray, memoryview, mmap, NumPy array of uint8), without a
    copy; None of what is no buffer. TypeError for a buffer of anything but bytes in a row."""
    if isinstance(data, bytes):
        return memoryview(data)
    try:
        view = memoryview(data)
    except TypeError:
        return None
    if view.ndim != 1 or view.format not in ("B", "b", "c"):
        raise TypeError(
            f"bytes are wanted, not {type(data).__name__} of {view.ndim} dimensions and format "
            f"{view.format!r}"
        )
    return view.cast("B") if view.c_contiguous else memoryview(bytes(view))


def bytes_of(data: Any) -> bytes:
    """A piece of a stream; TypeError for what is no buffer of bytes."""
    if isinstance(data, bytes):
        return data
    view = view_of(data)
    if view is None:
        raise TypeError(f"bytes are wanted, not {type(data).__name__}")
    return bytes(view)


class BufferFile(io.RawIOBase):
    """A buffer as a file to read, without a copy of it."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._view[self._at : self._at + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, len(self._view))[whence]
        self._at = max(0, base + offset)
        return self._at

    def close(self) -> None:
        # Whoever gave a file that is mapped to memory may then close it.
        self._view.release()
        super().close()


def exact_seconds(seconds: Any) -> Fraction:
    """A time; a float as the nearest fraction with a denominator of at most a million.

    Raises TypeError for what is no number, ValueError for one that is not finite.
    """
    if isinstance(seconds, Rational):
        return Fraction(seconds)
    value = float(seconds)
    if not math.isfinite(value):
        raise ValueError(f"seconds must be a finite number, not {value}")
    return Fraction(value).limit_denominator(10**6)


class Exclusive:
    """Lets one call in at a time; the others get a RuntimeError instead of mixed data."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                f"this {self._name} is at work already, in another thread or in a function that "
                "it has called: give each thread one of its own"
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Exclusive], tuple[str]]:
        return Exclusive, (self._name,)
