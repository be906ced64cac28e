"""Standard streams: closed ones, gone ones, poor encodings, and what may be shown on them."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def repair_streams() -> None:
    """Makes the standard streams such as a command can rely on.

    In place of a closed one the next file that is opened would take its number, and be read or
    written for it. So input and output that are closed become ones that fail, and messages, for
    which there is no place, go nowhere. Characters that an encoding lacks are escaped.
    """
    with suppress(OSError):
        for number, flags in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_WRONLY)):
            try:
                os.fstat(number)
            except OSError:
                # The lowest free number, which is this one.
                os.set_inheritable(os.open(os.devnull, flags), True)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """The text on one line, without what could move a terminal's cursor, turn the direction of
    writing or cannot be seen: such characters are written as in Python's strings."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def say(text: str) -> None:
    """A line on standard error."""
    put(sys.stderr, text + "\n")


def put(stream: TextIO, text: str) -> None:
    """Writes what nobody needs to have heard: where nobody can any more, the work goes on."""
    with suppress(OSError, ValueError):
        stream.write(text)
    silence_if_stuck(stream)


def silence_if_stuck(stream: TextIO) -> None:
    """Makes a stream that cannot be written swallow what it holds: Python would try again at its
    end, and fail loudly."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            stream.flush()
