"""Where pictures go: y4m and raw YUV through the core, H.264 in a container through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ui2c import _core
from ui2c.files import OutputFile, check_output, is_rereadable, naming
from ui2c.picture.frames import YUV420
from ui2c.video.container import import_av
from ui2c.video.convert import FULL_RANGE
from ui2c.video.description import Description
from ui2c.video.timing import DEFAULT_RATE

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
SEEKING = (".mp4", ".m4v", ".mov")
"""Containers whose beginning is written in the end."""
H264_OPTIONS = {"crf": "12", "preset": "medium"}
"""Near the threshold of visible loss; whoever needs the exact samples writes y4m or yuv."""

LARGEST = 1_000_000_000
"""Of a fraction's parts that FFmpeg takes."""


class Sink(Protocol):
    """Takes pictures; the file has its name only after `close`, and never after `discard`."""

    def write(self, frame: YUV420) -> None: ...
    def close(self) -> None: ...
    def discard(self) -> None: ...


def open_sink(
    path: str | os.PathLike[str], description: Description, *, overwrite: bool = False
) -> Sink:
    """Opens a video for writing.

    By its ending: .y4m, .yuv (raw planar 4:2:0; two little-endian bytes above 8 bits), or .mp4,
    .m4v, .mov and .mkv (H.264 at crf 12, not lossless; even sizes and 8 or 10 bits only). "-" is
    y4m on standard output, and what is no regular file is y4m unless its ending says otherwise.
    Raises ValueError where the format cannot hold the video, OSError where
    the file cannot be written.
    """
    name, suffix = os.fspath(path), check_sink(path, overwrite=overwrite)
    if suffix in CONTAINERS:
        _check_h264(name, description)
    output = OutputFile(name, overwrite=overwrite)
    try:
        if suffix in SEEKING and not output.file.seekable():
            raise ValueError(f"{name}: {suffix} needs a regular file; .mkv and .y4m do not")
        if suffix in CONTAINERS:
            return ContainerSink(output, CONTAINERS[suffix], description)
        return CoreSink(output, suffix, description)
    except BaseException:
        output.discard()
        raise


def check_sink(path: str | os.PathLike[str], *, overwrite: bool = False) -> str:
    """Whether `open_sink` will take the path, before the video is known; the ending it goes by."""
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix not in (".y4m", ".yuv", *CONTAINERS):
        if name == "-" or (os.path.exists(name) and not is_rereadable(name)):
            return ".y4m"
        raise ValueError(
            f"{name}: the output must end in .y4m, .yuv, {', '.join(CONTAINERS)}, or be -"
        )
    if suffix in CONTAINERS:
        import_av()
    check_output(name, overwrite=overwrite)
    return suffix


class CoreSink:
    """Pictures to the native writer."""

    def __init__(self, output: OutputFile, suffix: str, description: Description) -> None:
        self._output = output
        file = output.file.fileno()
        size = {
            "width": description.width,
            "height": description.height,
            "bit_depth": description.bit_depth,
        }
        self._writer: _core.VideoWriter | None
        if suffix == ".yuv":
            self._writer = _core.VideoWriter.yuv(file, **size)
        else:
            # y4m knows no frame times: an irregular video is declared at the default rate.
            rate = description.fps or DEFAULT_RATE
            with naming(output.name):
                self._writer = _core.VideoWriter.y4m(
                    file,
                    **size,
                    frame_rate=rate.as_integer_ratio(),
                    sample_aspect=description.sample_aspect,
                    full_range=description.full_range,
                    color=description.color,
                )

    def write(self, frame: YUV420) -> None:
        if self._writer is None:
            raise ValueError("the video has been closed")
        with naming(self._output.name):
            self._writer.write(frame.planes)

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with naming(self._output.name):
                writer.close()
            self._output.commit()

    def discard(self) -> None:
        self._writer = None
        self._output.discard()


class ContainerSink:
    """Pictures to H.264 in a container."""

    def __init__(self, output: OutputFile, container: str, description: Description) -> None:
        self._output = output
        self._description = description
        self._av = import_av()
        self._next_time = 0
        self._container = self._av.open(output.file, "w", format=container)
        rate = _small(description.fps or DEFAULT_RATE)
        self._timebase = _small(description.timebase) if description.fps is None else 1 / rate
        self._ticks = description.timebase / self._timebase
        """Of the file in one of the video."""
        video = self._container.add_stream("libx264", rate=rate, options=dict(H264_OPTIONS))
        video.width, video.height = description.width, description.height
        video.pix_fmt = "yuv420p" if description.bit_depth == 8 else "yuv420p10le"
        video.time_base = self._timebase
        context = video.codec_context
        context.time_base = self._timebase
        context.sample_aspect_ratio = _small(Fraction(*description.sample_aspect))
        context.color_primaries, context.color_trc, context.colorspace = description.color
        context.color_range = FULL_RANGE if description.full_range else 1
        self._video = video

    def write(self, frame: YUV420) -> None:
        picture = self._av.VideoFrame(frame.width, frame.height, self._video.pix_fmt)
        for plane, samples in zip(picture.planes, frame.planes, strict=True):
            _fill(plane, samples)
        # Containers want ascending times: one that is none comes a tick after the one before.
        irregular = self._description.fps is None and frame.pts is not None
        time = round((frame.pts or 0) * self._ticks) if irregular else self._next_time
        picture.pts = max(self._next_time, time)
        picture.time_base = self._timebase
        self._next_time = picture.pts + 1
        self._mux(picture)

    def close(self) -> None:
        if not self._next_time:
            raise ValueError(
                f"{self._output.name}: no frame to write; only y4m and yuv can be without any"
            )
        with self._file_errors():
            self._mux(None)
            self._container.close()
            self._output.commit()

    def discard(self) -> None:
        try:
            self._container.close()
        except self._av.FFmpegError:
            # Nobody wants the file any more.
            pass
        finally:
            self._output.discard()

    def _mux(self, picture: Any) -> None:
        with self._file_errors():
            for packet in self._video.encode(picture):
                self._container.mux(packet)

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        """FFmpeg's errors as those of a file."""
        with naming(self._output.name):
            try:
                yield
            except self._av.FFmpegError as error:
                raise OSError(error.errno, error.strerror, self._output.name) from error


def _small(value: Fraction) -> Fraction:
    """The nearest fraction that FFmpeg's signed numbers of 32 bits hold with room for arithmetic;
    one that is next to nothing is the least there is."""
    if value < Fraction(1, LARGEST):
        return Fraction(1, LARGEST)
    if value > LARGEST:
        return Fraction(LARGEST)
    fraction = value.limit_denominator(LARGEST)
    if fraction.numerator > LARGEST:
        fraction = 1 / (1 / value).limit_denominator(LARGEST)
    return fraction


def _fill(plane: Any, samples: Any) -> None:
    """Copies samples into PyAV's plane, whose rows are padded."""
    itemsize = samples.dtype.itemsize
    rows = np.frombuffer(plane, samples.dtype).reshape(-1, plane.line_size // itemsize)
    rows[: samples.shape[0], : samples.shape[1]] = samples


def _check_h264(name: str, description: Description) -> None:
    if description.width % 2 or description.height % 2:
        raise ValueError(
            f"{name}: H.264 needs even sizes, not {description.width}x{description.height}; "
            "write y4m or yuv"
        )
    if description.bit_depth not in (8, 10):
        raise ValueError(
            f"{name}: H.264 is written at 8 or 10 bits, not {description.bit_depth}; "
            "write y4m or yuv"
        )
