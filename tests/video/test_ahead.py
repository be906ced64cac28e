"""Items come in order from another thread, and waiting for them can be given up."""

import threading
from collections.abc import Iterator

import pytest
from ui2c.video.ahead import ahead


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_items_come_in_order(count: int) -> None:
    assert list(ahead(range(count), lambda: False)) == list(range(count))


def test_errors_come_where_they_happen() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("torn")

    items = ahead(broken(), lambda: False)
    assert next(items) == 1
    with pytest.raises(OSError, match="torn"):
        next(items)


def test_waiting_can_be_given_up() -> None:
    stalled, stop = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        stop.set()
        stalled.wait()

    assert list(ahead(slow(), stop.is_set)) in ([1], [])
    stalled.set()
