"""How far the work is: a line on a terminal for people, lines of JSON for programs."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any, Literal, TextIO

from ui2c.cli.standard import put

INTERVAL = 0.2
"""Seconds between two states of the line."""

Form = Literal["line", "json", "none"]


class Progress:
    """Tells how far the work is, at most every INTERVAL seconds.

    As "line", one line rewritten in place, silent where the stream is no terminal; as "json", one
    object per line, whatever the stream. `frames` is how many there will be, None where nobody
    knows; `step` names what is done, where it is done in several.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        frames: int | None = None,
        form: Form = "line",
        step: str | None = None,
    ) -> None:
        self._stream = stream
        self._frames = frames
        self._form: Form = "none" if form == "line" and not stream.isatty() else form
        self._step = step
        self._width = 0
        self._begin = time.monotonic()
        self._next = self._begin + INTERVAL

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begin

    def update(self, frames: int, *, fraction: float | None = None, rate: float = 0.0) -> None:
        """`fraction` of the work is done, by default that of the frames; `rate` in kbit/s."""
        now = time.monotonic()
        if self._form == "none" or now < self._next:
            return
        self._next = now + INTERVAL
        seconds = now - self._begin
        if fraction is None and self._frames:
            fraction = frames / self._frames
        fraction = min(fraction, 1.0) if fraction else None
        left = seconds / fraction - seconds if fraction else None
        if self._form == "json":
            self._object(
                "progress",
                step=self._step,
                frames=frames,
                of=self._frames,
                fraction=fraction,
                fps=frames / seconds,
                seconds=seconds,
                eta=left,
                kbits_per_second=rate or None,
            )
            return
        parts = [self._step] if self._step else []
        parts.append(f"frame {frames}" + ("" if self._frames is None else f"/{self._frames}"))
        if fraction:
            parts.append(f"{fraction:.0%}")
        parts.append(f"{frames / seconds:.2f} fps")
        if rate:
            parts.append(f"{rate:.1f} kbit/s")
        if left is not None:
            parts.append(f"ETA {timedelta(seconds=round(left))}")
        self._print(", ".join(parts))

    def end(self, **values: Any) -> None:
        """The last line of JSON; in other forms clears the line."""
        if self._form == "json":
            self._object("end", **values)
        self.close()

    def close(self) -> None:
        """Clears the line."""
        if self._width:
            self._print("")
            put(self._stream, "\r")
            self._width = 0

    def _object(self, event: str, **values: Any) -> None:
        """What is None is left out; numbers are rounded to what anybody reads."""
        shown = {
            key: round(value, 4) if isinstance(value, float) else value
            for key, value in values.items()
            if value is not None
        }
        put(self._stream, json.dumps({"event": event, **shown}) + "\n")

    def _print(self, line: str) -> None:
        put(self._stream, "\r" + line.ljust(self._width))
        self._width = len(line)
