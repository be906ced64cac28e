"""Where pictures come from: y4m and raw YUV through the core, the rest through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ui2c import _core
from ui2c.errors import CorruptError, Error, TruncatedError
from ui2c.files import display_name, is_rereadable, is_sequence, naming, open_input, read_start
from ui2c.picture.frames import YUV420, chroma_size
from ui2c.video.description import Description, conversion_note
from ui2c.video.timing import RATES

Y4M_MAGIC = b"YUV4MPEG2 "
UI2C_MAGIC = b"\x8bUI2C\r\n\x1a"
MAX_Y4M_HEADER = 1 << 12
ON_ERROR = ("stop", "skip")
"""What to do about what cannot be decoded."""


class Source(Protocol):
    """An iterator of pictures that knows what it gives."""

    description: Description
    notes: list[str]
    """What the user should know of how the file is read, a sentence each."""

    @property
    def losses(self) -> list[str]:
        """What could not be read and was passed over, a sentence each, as far as has been read."""
        ...

    def __iter__(self) -> Iterator[YUV420]: ...
    def __next__(self) -> YUV420: ...
    def skip(self, count: int) -> None:
        """Passes over pictures, quicker than reading them; to the end where there are fewer."""
        ...

    def close(self) -> None: ...


def open_source(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    bit_depth: int | None = None,
    fps: Fraction | None = None,
    stream: int | None = None,
    on_error: str = "stop",
    resize: bool = False,
) -> Source:
    """Opens a video.

    A file is y4m if it begins like one, raw planar 4:2:0 if it ends in .yuv (8 bits, or 9 to 16 in
    two little-endian bytes), otherwise whatever PyAV can read, numbered pictures ("in%04d.png")
    among it. What is no regular file, such as a named pipe or standard input, "-", is opened once,
    and raw where width and height are given. `width`, `height` and `bit_depth` are for raw video
    only;
    `fps` replaces what the file says. Of more than one video stream the one with the number
    `stream`, from 0, is read; unless given, the one that FFmpeg takes.

    Reading ends with an error at what cannot be decoded, or goes on after it with `on_error`
    "skip"; and where the picture's size changes, unless `resize` scales it to that of the first.
    In y4m and raw files neither can be.

    Raises OSError where the file cannot be read, an error of `ui2c.errors` where it is not what it
    should be, ValueError where an argument is missing or too much.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be one of {', '.join(ON_ERROR)}, not {on_error!r}")
    path = os.fspath(path)
    options = {"stream": stream, "skip_damage": on_error == "skip", "resize": resize}
    geometry = width is not None or height is not None or bit_depth is not None
    if is_sequence(path):
        if geometry:
            raise ValueError(_no_geometry(path))
        return _open_container(path, fps, **options)
    with ExitStack() as stack:
        file = stack.enter_context(open_input(path))
        regular = is_rereadable(path)
        with naming(display_name(path)):
            begun = read_start(file, len(Y4M_MAGIC))
        y4m = begun == Y4M_MAGIC
        if begun.startswith(UI2C_MAGIC):
            raise CorruptError(
                f"{display_name(path)} is a ui2c stream: ui2c decode makes a video of it"
            )
        raw = not y4m and (Path(path).suffix.lower() == ".yuv" or (geometry and not regular))
        if stream and (raw or y4m):
            raise ValueError(f"{display_name(path)} has one video stream, number 0, not {stream}")
        if raw and (width is None or height is None):
            raise ValueError(
                f"{display_name(path)} is raw video: its width and height are needed "
                "(of the command: --input-res WxH)"
            )
        if geometry and not raw:
            raise ValueError(_no_geometry(path))
        if not begun and not regular:
            raise TruncatedError(f"{display_name(path)} is empty")
        if regular:
            file.seek(0)
            begun = b""
        if raw and width is not None and height is not None:
            return _open_yuv(path, file, begun, (width, height, bit_depth or 8), fps)
        if y4m:
            return _open_y4m(path, file, begun, fps)
        if regular:
            return _open_container(path, fps, **options)
        source = _open_container(path, fps, pipe=Pipe(path, file, begun), **options)
        stack.pop_all()
        return source


def _open_container(path: str, fps: Fraction | None, **options: Any) -> Source:
    from ui2c.video.container import ContainerSource

    return ContainerSource(path, fps, **options)


def _no_geometry(path: str) -> str:
    return f"{display_name(path)} is not raw video: it has a size and bit depth of its own"


class Pipe:
    """What can be read once, for PyAV: first what has been read of it already."""

    def __init__(self, name: str, file: BinaryIO, begun: bytes) -> None:
        self.name = name
        """FFmpeg tells some formats by the ending alone."""
        self._file, self._begun = file, begun

    def read(self, size: int) -> bytes:
        begun, self._begun = self._begun[:size], self._begun[size:]
        return begun or self._file.read(size)

    def close(self) -> None:
        self._file.close()


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Errors of the data inside the block carry the name of the file."""
    try:
        yield
    except Error as error:
        raise type(error)(f"{display_name(path)}: {error}") from error


class CoreSource:
    """Pictures from the native reader."""

    def __init__(self, path: str, reader: _core.VideoReader, description: Description) -> None:
        self.description = description
        self.notes: list[str] = []
        self._path = path
        self._reader = reader

    def __iter__(self) -> Iterator[YUV420]:
        return self

    def __next__(self) -> YUV420:
        with reading(self._path):
            planes = self._reader.read()
        if planes is None:
            raise StopIteration
        return YUV420(*planes, self.description.bit_depth, self.description.full_range)

    def skip(self, count: int) -> None:
        with reading(self._path):
            self._reader.skip(count)

    @property
    def losses(self) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing to do: the reader goes with the object."""


def _open_yuv(
    path: str, file: BinaryIO, begun: bytes, size: tuple[int, int, int], fps: Fraction | None
) -> CoreSource:
    width, height, bit_depth = size
    with reading(path):
        reader = _core.VideoReader.yuv(
            file.fileno(), begun, width=width, height=height, bit_depth=bit_depth
        )
    fps = fps or Fraction(25)
    frames = _whole_frames(path, 0, frame_bytes(width, height, bit_depth))
    video = Description(width, height, bit_depth, fps, 1 / fps, frames=frames)
    return CoreSource(path, reader, video)


def _open_y4m(path: str, file: BinaryIO, begun: bytes, fps: Fraction | None) -> CoreSource:
    with reading(path):
        reader = _core.VideoReader.y4m(file.fileno(), begun)
    numerator, denominator = reader.frame_rate
    if fps is None:
        fps = Fraction(numerator, denominator)
        if not RATES[0] <= fps <= RATES[1]:
            raise CorruptError(
                f"{display_name(path)}: {numerator}:{denominator} is no frame rate "
                "(of the command: --fps R gives another)"
            )
    header = begin = 0
    if is_rereadable(path):
        with open(path, "rb") as file:
            header = len(file.readline(MAX_Y4M_HEADER))
            begin = len(file.readline(MAX_Y4M_HEADER))
    size = frame_bytes(reader.width, reader.height, reader.bit_depth, reader.chroma)
    description = Description(
        reader.width,
        reader.height,
        reader.bit_depth,
        fps,
        1 / fps,
        reader.sample_aspect,
        bool(reader.full_range),
        reader.color,
        _whole_frames(path, header, begin + size),
    )
    source = CoreSource(path, reader, description)
    if reader.chroma != "4:2:0":
        source.notes.append(f"{display_name(path)}: {conversion_note(reader.chroma)}")
    return source


def _whole_frames(path: str, header: int, size: int) -> int | None:
    """How many frames of that size a file holds; None of what is no regular file."""
    return (os.path.getsize(path) - header) // size if is_rereadable(path) else None


def frame_bytes(width: int, height: int, bit_depth: int, chroma: str = "4:2:0") -> int:
    """Bytes of one raw picture."""
    chroma_width, chroma_height = {
        "4:2:0": chroma_size(width, height),
        "4:2:2": ((width + 1) // 2, height),
        "4:1:1": ((width + 3) // 4, height),
        "4:4:4": (width, height),
        "4:4:4 with alpha": (width, height),
        "grey": (0, 0),
    }[chroma]
    samples = width * height + 2 * chroma_width * chroma_height
    if chroma == "4:4:4 with alpha":
        samples += width * height
    return samples * (1 if bit_depth == 8 else 2)
