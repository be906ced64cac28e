"""Signals that ask a command to end: Ctrl-C, a request to terminate, a terminal that went away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK")
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


class Ended(BaseException):
    """A signal has come that ends the command.

    No KeyboardInterrupt: Python ends itself by a signal where one has passed through `exec`, as in
    many an import, whatever becomes of it later.
    """


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Inside the block each of these signals raises `Ended`, so that nothing half done is left
    behind. One that the caller has ignored, as nohup does, stays ignored."""
    with _handling(_end):
        yield


class Interrupt:
    """These signals as a question to ask between frames, so that output can be ended properly.

    The second one raises `Ended`.
    """

    def __init__(self) -> None:
        self.requested = False
        self._handling = _handling(self._handle)

    def __enter__(self) -> Interrupt:
        self._handling.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handling.__exit__(None, None, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise Ended
        self.requested = True


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended


@contextmanager
def _handling(handler: signal._HANDLER) -> Iterator[None]:
    """Only a process's first thread may say what happens on a signal."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, before in previous.items():
            # None: what handles it was not set from Python, and cannot be.
            if before is not None:
                signal.signal(number, before)
