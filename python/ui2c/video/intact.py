"""Of a damaged input, what comes before the damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ui2c.errors import Error
from ui2c.picture.frames import YUV420


class Intact:
    """The frames before the first that cannot be read.

    Afterwards `damage` is what is wrong with that one, None if all could be read. Where not even
    one can, the error is raised.
    """

    def __init__(self, frames: Iterable[YUV420]) -> None:
        self.damage: Error | None = None
        self._frames = frames

    def __iter__(self) -> Iterator[YUV420]:
        count = 0
        try:
            for frame in self._frames:
                count += 1
                yield frame
        except Error as error:
            if not count:
                raise
            self.damage = error
