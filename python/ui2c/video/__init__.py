"""Video files and pipes as sources and sinks of YUV420 pictures.

y4m and raw 4:2:0 go through the native core, everything else through PyAV (the extra `video`).
"-" stands for standard input and output.
"""

from ui2c.video.description import Description
from ui2c.video.part import Part
from ui2c.video.sink import Sink, check_sink, open_sink
from ui2c.video.source import ON_ERROR, Source, open_source
from ui2c.video.timing import rebased

__all__ = [
    "ON_ERROR",
    "Description",
    "Part",
    "Sink",
    "Source",
    "check_sink",
    "open_sink",
    "open_source",
    "rebased",
]
