"""Reading in a thread of its own, so that an input that stalls does not hold everything up."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

AHEAD = 2
"""Items read before they are asked for."""
POLL = 0.1
"""Seconds between two looks at whether to stop."""


def ahead(items: Iterable[T], stop: Callable[[], bool]) -> Iterator[T]:
    """The items, until there are no more or `stop` says so, even while none comes.

    What reading raises is raised here. The thread ends with the items, or with the program.
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)

    def read() -> None:
        try:
            for item in items:
                waiting.put((item, None))
            waiting.put((None, StopIteration()))
        except BaseException as error:
            waiting.put((None, error))

    threading.Thread(target=read, daemon=True).start()
    while not stop():
        try:
            item, error = waiting.get(timeout=POLL)
        except queue.Empty:
            continue
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield cast(T, item)
