"""Reading everything that is not y4m or raw, through PyAV."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ui2c.errors import CorruptError
from ui2c.picture.color import BT709, halve_chroma, rgb_to_yuv420
from ui2c.picture.frames import YUV420, chroma_size
from ui2c.video.description import Description, conversion_note
from ui2c.video.timing import Timing, read_timing

if TYPE_CHECKING:
    from ui2c._core import Plane

PLANAR = re.compile(r"yuvj?(420|422|444|440|411|410)p(\d+le)?|gray(\d+le)?")
SUBSAMPLED = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "440": (2, 1)}
"""By FFmpeg's names: luma rows and columns that a chroma sample stands for."""
MIN_SEEK = 50
"""Frames that it takes for seeking to be worth while."""
FULL_RANGE = 2
"""FFmpeg's number for the full range of codes; its numbers for colours are those of CICP."""


def import_av() -> ModuleType:
    """PyAV, or an ImportError that says how to get it."""
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "this format needs PyAV: pip install 'ui2c[video]' (y4m and yuv work without)"
        ) from error
    return av


class ContainerSource:
    """Pictures of the first video stream of a file."""

    def __init__(self, path: str, fps: Fraction | None = None) -> None:
        self._path = path
        self._av = import_av()
        # A pipe with a name is not to be opened twice.
        timing = self._timing() if os.path.isfile(path) or not fps else None
        self._regular = timing.fps if timing else None
        """The true rate, which tells where to seek."""
        if fps:
            timing = Timing(fps, 1 / fps, timing.frames if timing else None)
        assert timing is not None
        self._container, video = self._open()
        self._decoded = self._container.decode(video)
        self._first: Any = None
        try:
            first = self._decode()
        except StopIteration:
            raise CorruptError(f"{path} holds no picture") from None
        self._first = first
        self._last_time = 0
        self._origin = first.pts or 0
        self._convert = Converter(first)
        sides, aspect = (first.width, first.height), _aspect(video.sample_aspect_ratio)
        if self._convert.turned:
            sides, aspect = sides[::-1], aspect[::-1]
        self.description = Description(
            width=sides[0],
            height=sides[1],
            bit_depth=self._convert.bit_depth,
            fps=timing.fps,
            timebase=timing.timebase,
            sample_aspect=aspect,
            full_range=self._convert.full_range,
            color=self._convert.color,
            frames=timing.frames,
        )
        self.notes = [f"{path}: {note}" for note in (*self._convert.notes, *_ignored(first))]

    def __iter__(self) -> Iterator[YUV420]:
        return self

    def __next__(self) -> YUV420:
        frame = self._decode()
        if self.description.fps is not None:
            return self._convert(frame, None)
        # A frame without a time, or out of order, is shown right after the one before.
        time = self._last_time if frame.pts is None else frame.pts - self._origin
        self._last_time = max(self._last_time, time)
        return self._convert(frame, self._last_time)

    def skip(self, count: int) -> None:
        """Seeks where frames come regularly, if the keyframe found is where it should be."""
        if self._first is not None and self._regular is not None and count >= MIN_SEEK:
            if self._seek(count):
                return
            self._container.close()
            self._container, video = self._open()
            self._decoded = self._container.decode(video)
            self._first = None
        for _ in range(count):
            try:
                frame = self._decode()
            except StopIteration:
                return
            if frame.pts is not None:
                self._last_time = max(self._last_time, frame.pts - self._origin)

    def _seek(self, count: int) -> bool:
        """Makes frame number `count`, from the first, the next; False if it was not found.

        Decoding begins at a keyframe, from where a decoder gives what it gives from the start.
        """
        assert self._regular is not None
        video = self._container.streams.video[0]
        tick = 1 / (self._regular * video.time_base)
        wanted = self._origin + round(count * tick)
        try:
            self._container.seek(wanted, stream=video)
            self._decoded = self._container.decode(video)
            for frame in self._decoded:
                if frame.pts is None or frame.pts > wanted + tick / 2:
                    return False
                if frame.pts >= wanted - tick / 2:
                    self._first = frame
                    return True
        except self._av.FFmpegError:
            pass
        return False

    def close(self) -> None:
        self._container.close()

    def _open(self) -> tuple[Any, Any]:
        try:
            container = self._av.open(self._path)
        except self._av.FFmpegError as error:
            raise CorruptError(
                f"{self._path} is not a video that FFmpeg can read ({_explain(error)})"
            ) from None
        if not container.streams.video:
            container.close()
            raise CorruptError(f"{self._path} has no video stream")
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        return container, video

    def _timing(self) -> Timing:
        container, video = self._open()
        try:
            return read_timing(container, video)
        except self._av.FFmpegError as error:
            raise CorruptError(f"{self._path} is damaged ({_explain(error)})") from None
        finally:
            container.close()

    def _decode(self) -> Any:
        if self._first is not None:
            frame, self._first = self._first, None
            return frame
        try:
            return next(self._decoded)
        except self._av.FFmpegError as error:
            raise CorruptError(f"{self._path} is damaged ({_explain(error)})") from None


class Converter:
    """Makes YUV420 of PyAV's frames, all of the kind of the first.

    Planar 4:2:0 is taken as it is; of planar 4:2:2, 4:4:0, 4:4:4 and grey chroma is halved, and RGB
    converted, as `ui2c.picture.color` does, the rest by FFmpeg. A rotation by
    quarter turns, as of telephones held upright, is applied.
    """

    def __init__(self, first: Any) -> None:
        name = first.format.name
        self.notes: list[str] = []
        self.bit_depth = max(8, first.format.components[0].bits)
        self.full_range = first.color_range == FULL_RANGE or name.startswith("yuvj")
        self.color = (first.color_primaries, first.color_trc, first.colorspace)
        self._rgb = first.format.is_rgb
        self._turns = _quarter_turns(first)
        planar = PLANAR.fullmatch(name)
        self._halve = (1, 1)
        self._grey = False
        if self._rgb:
            self.bit_depth, self.full_range, self.color = 8, False, BT709
            self.notes.append(f"converted from {name} to 8-bit 4:2:0, BT.709, limited range")
        elif planar and name.startswith("gray"):
            self._format, self._grey = name, True
            self.notes.append(conversion_note("grey"))
        elif planar and planar[1] in SUBSAMPLED:
            self._format = name
            rows, columns = SUBSAMPLED[planar[1]]
            self._halve = 2 // rows, 2 // columns
            if planar[1] != "420":
                self.notes.append(conversion_note(":".join(planar[1])))
        else:
            depth = f"{self.bit_depth}le" if self.bit_depth > 8 else ""
            self._format = f"yuv{'j' if self.full_range and not depth else ''}420p{depth}"
            self.notes.append(f"converted from {name} to {self._format} by FFmpeg")
        if self._turns:
            self.notes.append(f"turned by {90 * self._turns} degrees, as it asks to be shown")

    @property
    def turned(self) -> bool:
        """Whether width and height change places."""
        return bool(self._turns % 2)

    def __call__(self, frame: Any, pts: int | None) -> YUV420:
        planes = self._planes(frame)
        if self._turns:
            planes = tuple(np.ascontiguousarray(np.rot90(p, self._turns)) for p in planes)
        y, u, v = planes
        return YUV420(y, u, v, self.bit_depth, self.full_range, pts)

    def _planes(self, frame: Any) -> tuple[Plane, ...]:
        if self._rgb:
            return rgb_to_yuv420(frame.to_ndarray(format="rgb24")).planes
        if frame.format.name != self._format:
            frame = frame.reformat(
                format=self._format,
                src_color_range=frame.color_range,
                dst_color_range=frame.color_range,
            )
        y = self._plane(frame.planes[0], frame.width, frame.height)
        width, height = chroma_size(frame.width, frame.height)
        if self._grey:
            middle = np.full((height, width), 1 << (self.bit_depth - 1), y.dtype)
            return y, middle, middle.copy()
        rows, columns = self._halve
        stored = (width if columns == 1 else frame.width, height if rows == 1 else frame.height)
        u, v = (self._plane(plane, *stored) for plane in frame.planes[1:3])
        if rows * columns == 1:
            return y, u, v
        return y, halve_chroma(u, rows, columns), halve_chroma(v, rows, columns)

    def _plane(self, plane: Any, width: int, height: int) -> np.ndarray[Any, Any]:
        dtype = np.dtype(np.uint8 if self.bit_depth == 8 else "<u2")
        rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        return rows[:height, :width].astype(dtype.newbyteorder("="))


def _explain(error: Any) -> str:
    """FFmpeg's words without number and path."""
    return str(error.strerror or error).removesuffix(".").lower()


def _ignored(frame: Any) -> list[str]:
    """What the file asks for that is not done."""
    notes = []
    if (rotation := getattr(frame, "rotation", 0)) % 90:
        notes.append(f"its rotation by {rotation} degrees is not applied")
    if frame.interlaced_frame:
        notes.append("interlaced, both fields are coded as one picture")
    return notes


def _quarter_turns(frame: Any) -> int:
    """Counterclockwise, 0 to 3; FFmpeg's angles count in the same direction."""
    rotation = getattr(frame, "rotation", 0)
    return 0 if rotation % 90 else rotation // 90 % 4


def _aspect(value: Fraction | None) -> tuple[int, int]:
    """Sample aspect ratio; unknown (none or 0) counts as square."""
    return (value.numerator, value.denominator) if value else (1, 1)
