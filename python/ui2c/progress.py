"""The line on a terminal that tells how far the work is."""

from __future__ import annotations

import time
from typing import TextIO

INTERVAL = 0.2
"""Seconds between two states of the line."""


class Progress:
    """A line rewritten in place; silent where the stream is no terminal.

    `frames` is how many there will be, None where nobody knows.
    """

    def __init__(self, stream: TextIO, *, frames: int | None = None, quiet: bool = False) -> None:
        self._stream = stream
        self._frames = frames
        self._shown = not quiet and stream.isatty()
        self._width = 0
        self._begin = time.monotonic()
        self._next = self._begin + INTERVAL

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begin

    def update(self, frames: int, *, fraction: float | None = None, note: str = "") -> None:
        """`fraction` of the work is done, by default that of the frames."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + INTERVAL
        seconds = now - self._begin
        if fraction is None and self._frames:
            fraction = frames / self._frames
        total = "" if self._frames is None else f"/{self._frames}"
        parts = [f"frame {frames}{total}", f"{frames / seconds:.2f} fps"]
        if note:
            parts.append(note)
        if fraction:
            fraction = min(fraction, 1.0)
            parts.insert(1, f"{fraction:.0%}")
            parts.append(f"ETA {clock(seconds / fraction - seconds)}")
        self._print(", ".join(parts))

    def close(self) -> None:
        """Clears the line."""
        if self._width:
            self._print("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _print(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


def clock(seconds: float) -> str:
    """h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
