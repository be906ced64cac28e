"""FFmpeg's pictures made YUV420."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ui2c.errors import UnsupportedError
from ui2c.picture.color import BT709, halve_chroma, quarter_to_half, rgb_to_yuv420
from ui2c.picture.frames import YUV420, chroma_size
from ui2c.video.description import conversion_note
from ui2c.video.orientation import Orientation, orientation

if TYPE_CHECKING:
    from ui2c._core import Plane

PLANAR = re.compile(r"yuv(?P<alpha>a?)j?(?P<chroma>420|422|444|440|411)p(\d+(?P<order>le|be))?")
GREY = re.compile(r"gray(\d+(?P<order>le|be))?")
SUBSAMPLED = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "440": (2, 1), "411": (1, 4)}
"""By FFmpeg's names: luma rows and columns that a chroma sample stands for."""
LIMITED_RANGE, FULL_RANGE = 1, 2
"""FFmpeg's numbers for ranges of codes; those for colours are those of CICP."""
RGB_MATRIX = 0
"""The CICP matrix of planes that are red, green and blue themselves."""
UNKNOWN = 2
"""Of CICP, a colour that is not told."""


class Converter:
    """Makes YUV420 of PyAV's frames, all of the kind of the first.

    Planar 4:2:0 is taken as it is; of planar 4:1:1, 4:2:2, 4:4:0, 4:4:4 and grey the chroma is
    converted, and RGB too, as `ui2c.picture.color` does, the rest by FFmpeg. Turns by quarters and
    mirrors are applied.

    `picture` is the file of a photograph that the frame was made from.

    Its grey, if of unknown range, is full.

    With `resize` pictures of another size than the first are scaled to it, by FFmpeg; otherwise
    they raise UnsupportedError.
    """

    def __init__(self, first: Any, picture: Any = None, *, resize: bool = False) -> None:
        name = first.format.name
        self.notes: list[str] = []
        self.bit_depth = min(16, max(8, first.format.components[0].bits))
        self.full_range = first.color_range == FULL_RANGE or name.startswith("yuvj")
        self.color = (first.color_primaries, first.color_trc, first.colorspace)
        self._resize = resize
        self._order = "<"
        self._chroma = (2, 2)
        # Palettes hold RGB.
        self._rgb = first.format.is_rgb or first.format.has_palette or name.startswith("xyz")
        self._grey = name.startswith(("gray", "ya", "mono"))
        if self._grey and picture is not None and not first.color_range:
            self.full_range = True
        if self._rgb:
            self._format = name
            self.bit_depth, self.full_range, self.color = 8, False, BT709
            self.notes.append(f"converted from {name} to 8-bit 4:2:0, BT.709, limited range")
        elif self._grey:
            self._take_grey(name)
        elif planar := PLANAR.fullmatch(name):
            self._format = name
            self._order = ">" if planar["order"] == "be" else "<"
            self._chroma = SUBSAMPLED[planar["chroma"]]
            if planar["chroma"] != "420":
                self.notes.append(conversion_note(":".join(planar["chroma"])))
            if planar["alpha"]:
                self.notes.append("its alpha is left out")
        else:
            depth = f"{self.bit_depth}le" if self.bit_depth > 8 else ""
            self._format = f"yuv{'j' if self.full_range and not depth else ''}420p{depth}"
            self.notes.append(f"converted from {name} to {self._format} by FFmpeg")
        if self.color[2] == RGB_MATRIX:
            # It is the colour of what has been decoded, and never that of 4:2:0.
            self.color = (*self.color[:2], UNKNOWN)
        turn = orientation(first, picture)
        if turn is None:
            self.notes.append("what it asks for is no quarter turn or mirror, and is not applied")
        elif turn:
            self.notes.append(f"{turn}, as it asks to be shown")
        self._turn = turn or Orientation()
        self.size = self.shown((first.width, first.height))

    def shown(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Width and height, or a ratio of them, as they are shown."""
        return self._turn.sides(sides)

    def _take_grey(self, name: str) -> None:
        self.notes.append(conversion_note("grey"))
        if grey := GREY.fullmatch(name):
            self._format = name
            self._order = ">" if grey["order"] == "be" else "<"
            return
        if name.startswith(("grayf", "yaf")):
            # FFmpeg's own way from these to whole numbers stretches them.
            self._format, self.bit_depth, self.full_range = "grayf32le", 16, True
            self.notes.append(f"converted from {name} to 16 bits, 1.0 to the largest code")
            return
        self._format = "gray" if self.bit_depth == 8 else "gray16le"
        self.bit_depth = 8 if self.bit_depth == 8 else 16
        if name.startswith("mono"):
            # Black is 0 and white the largest code.
            self.full_range = True
        self.notes.append(f"converted from {name} to {self._format} by FFmpeg")

    def __call__(self, frame: Any, pts: int | None, picture: Any = None) -> YUV420:
        """The frame with that time; UnsupportedError where its size is not that of the first."""
        turn = orientation(frame, picture) or Orientation()
        size = turn.sides((frame.width, frame.height))
        if size != self.size:
            if not self._resize:
                raise UnsupportedError(
                    f"the picture's size changes from {self.size[0]}x{self.size[1]} to "
                    f"{size[0]}x{size[1]}"
                )
            width, height = turn.sides(self.size)
            frame = frame.reformat(width=width, height=height)
        planes = self._planes(_top_down(frame))
        if turn:
            planes = tuple(turn.apply(plane) for plane in planes)
        y, u, v = planes
        return YUV420(y, u, v, self.bit_depth, self.full_range, pts)

    def _planes(self, frame: Any) -> tuple[Plane, ...]:
        if self._rgb:
            return rgb_to_yuv420(frame.to_ndarray(format="rgb24")).planes
        span = FULL_RANGE if self.full_range else LIMITED_RANGE
        told = FULL_RANGE if frame.format.name.startswith("yuvj") else frame.color_range or span
        if frame.format.name != self._format or told != span:
            frame = frame.reformat(format=self._format, src_color_range=told, dst_color_range=span)
        y = self._plane(frame.planes[0], frame.width, frame.height)
        width, height = chroma_size(frame.width, frame.height)
        if self._grey:
            middle = np.full((height, width), 1 << (self.bit_depth - 1), y.dtype)
            return y, middle, middle.copy()
        rows, columns = self._chroma
        stored = -(-frame.width // columns), -(-frame.height // rows)
        u, v = (self._plane(plane, *stored) for plane in frame.planes[1:3])
        if columns == 4:
            return y, *(quarter_to_half(plane, width) for plane in (u, v))
        if (rows, columns) != (2, 2):
            return y, *(halve_chroma(plane, 2 // rows, 2 // columns) for plane in (u, v))
        return y, u, v

    def _plane(self, plane: Any, width: int, height: int) -> np.ndarray[Any, Any]:
        if self._format == "grayf32le":
            reals = np.frombuffer(plane, "<f4").reshape(-1, plane.line_size // 4)
            codes = np.nan_to_num(reals[:height, :width]).clip(0, 1) * 65535
            rounded: np.ndarray[Any, Any] = np.rint(codes).astype(np.uint16)
            return rounded
        dtype = np.dtype(np.uint8 if self.bit_depth == 8 else f"{self._order}u2")
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        return rows[:height, :width].astype(dtype.newbyteorder("="))


def _top_down(frame: Any) -> Any:
    """The frame with its rows from the top to the bottom in memory; some decoders go upwards."""
    if frame.planes[0].line_size >= 0:
        return frame
    import av.filter

    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 25),
        ),
        graph.add("copy"),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    return graph.pull()
