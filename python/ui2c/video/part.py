"""Some frames of a video file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ui2c.picture.frames import YUV420
from ui2c.video.description import Description
from ui2c.video.source import open_source
from ui2c.video.timing import rebased


@dataclass(frozen=True)
class Part:
    """A file, and which of its frames are wanted; `options` are those of `open_source`."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    skip: int = 0
    frames: int | None = None

    def describe(self) -> Description:
        with closing(open_source(self.path, **self.options)) as source:
            return source.description

    def read(self, first: int = 0, count: int | None = None) -> Iterator[YUV420]:
        """Some of the wanted frames, their times counted from the first wanted one."""
        with closing(open_source(self.path, **self.options)) as source:
            if source.description.fps is None:
                # Times count from that of the first wanted frame, which must be seen for that.
                source.skip(self.skip)
                wanted = rebased(itertools.islice(source, self.frames))
                stop = None if count is None else first + count
                yield from itertools.islice(wanted, first, stop)
                return
            source.skip(self.skip + first)
            left = None if self.frames is None else max(0, self.frames - first)
            yield from itertools.islice(itertools.islice(source, left), count)
