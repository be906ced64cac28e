"""Reading in a thread of its own, so that an input that stalls does not hold everything up."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

AHEAD = 2
"""Items read before they are asked for."""
POLL = 0.1
"""Seconds between two looks at whether to stop."""
_END = object()


def ahead(items: Iterable[T], stop: Callable[[], bool]) -> Iterator[T]:
    """The items, until there are no more or `stop` says so, even while none comes.

    What reading raises is raised here. The thread ends with the items, or with the program.
    """
    waiting: queue.Queue[Any] = queue.Queue(AHEAD)

    def read() -> None:
        try:
            for item in items:
                waiting.put(item)
            waiting.put(_END)
        except BaseException as error:
            waiting.put(_Failure(error))

    threading.Thread(target=read, daemon=True).start()
    while not stop():
        try:
            item = waiting.get(timeout=POLL)
        except queue.Empty:
            continue
        if item is _END:
            return
        if isinstance(item, _Failure):
            raise item.error
        yield item


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
