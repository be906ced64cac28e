"""A ui2c stream as a sequence of frames, any of which can be had at once."""

from __future__ import annotations

import bisect
import io
import itertools
import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ui2c import _core
from ui2c.arguments import BufferFile, Exclusive, exact_seconds, view_of
from ui2c.decode_stream import DecodeStream, ModelSource
from ui2c.errors import CorruptError, Error, TruncatedError
from ui2c.options import DecoderOptions

if TYPE_CHECKING:
    from types import TracebackType

    SeekableSource = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

CHUNK = 1 << 16

TRAILER = 8
"""Bytes at the end of a stream that tell the size of the index: see docs/bitstream.md."""


class Reader(Sequence[Any]):
    """The frames of one stream, as `Decoder.open` gives it: `len()`, `[i]`, `[a:b]`, iteration.

    A frame is decoded from the nearest random-access unit before it, or from where the last
    access ended if that is nearer, and is the one that decoding from the start gives, bit for
    bit. Frames are as the decoder's `output` says; `[a:b]` is a list of them, or one array
    `[frames, height, width, 3]` for RGB.

    The index at the end of the stream tells the random-access units. Where it is missing, or where
    every frame has a time of its own, opening reads all units once, without decoding any. Where
    what it reads is damaged or has no end, it raises an error of `ui2c.errors`, or with the
    decoder's `on_error="skip"` goes by what is left; only asking for a lost frame raises then.

    Not for several threads at once.
    """

    def __init__(
        self, source: SeekableSource, options: DecoderOptions, models: ModelSource
    ) -> None:
        self._options, self._models = options, models
        self._busy = Exclusive("Reader")
        self._played: DecodeStream | None = None
        self._file, self._owned = _open(source)
        try:
            self._size = self._file.seek(0, os.SEEK_END)
            self._survey()
        except BaseException:
            self.close()
            raise
        self._frames: Iterator[Any] | None = None
        self._next = 0
        """Number of the frame that `_frames` gives next."""

    @property
    def header(self) -> _core.SequenceHeader:
        """What holds for the whole sequence."""
        return self._header

    @property
    def metadata(self) -> dict[str, str]:
        """What stands before the first frame."""
        return dict(self._metadata)

    @property
    def random_access(self) -> tuple[int, ...]:
        """Numbers of the frames where decoding can begin."""
        return tuple(self._point_frames)

    @property
    def lost(self) -> list[tuple[int, int | None]]:
        """Frames that the last `play` left out because of damage, as (first, last).

        The last is None, "to the end", where nobody knows.
        """
        return self._played.lost if self._played else []

    @property
    def damage(self) -> Error | None:
        """The first fault that the last `play` skipped."""
        return self._played.damage if self._played else None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(range(*index.indices(self._length)))
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"frames are numbered by integers, not {type(index).__name__}"
            ) from None
        if not -self._length <= number < self._length:
            raise IndexError(f"frame {number} of a stream of {self._length} frames")
        return self._frame(number % self._length)

    def __iter__(self) -> Iterator[Any]:
        return map(self._frame, range(self._length))

    def time(self, index: int) -> Fraction:
        """When a frame is shown, in seconds from the start of the stream's clock."""
        if not 0 <= index < self._length:
            raise IndexError(f"frame {index} of a stream of {self._length} frames")
        return self._ticks(index) * Fraction(*self._header.timebase)

    def index_at(self, seconds: Fraction | float) -> int:
        """Number of the frame that is shown at that time.

        A float is taken as the nearest fraction with a denominator of at most a million. The
        first frame is also shown before its time. Raises ValueError before 0, and after the last
        frame, which counts as shown without end where frames have times of their own.
        """
        time = exact_seconds(seconds)
        if time < 0:
            raise ValueError(f"seconds must be 0 or more, not {seconds}")
        ticks = time / Fraction(*self._header.timebase)
        step = self._header.frame_ticks
        if not step and self._times:
            return self._timed[max(0, bisect.bisect_right(self._times, ticks) - 1)]
        if ticks >= self._length * step:
            end = self._length * step * Fraction(*self._header.timebase)
            raise ValueError(f"nothing is shown at {float(time):g} s: {float(end):g} s are all")
        return int(ticks // step)

    def frame_at(self, seconds: Fraction | float) -> Any:
        """The frame that is shown at that time; errors as in `index_at`."""
        return self[self.index_at(seconds)]

    def play(self, start: int = 0) -> Iterator[Any]:
        """The frames from number `start` on, one after the other.

        Unlike iteration it goes by the decoder's `on_error`: with "skip" lost frames are left
        out, and `lost` and `damage` tell about them.
        """
        if not 0 <= start <= self._length:
            raise IndexError(f"frame {start} of a stream of {self._length} frames")
        point = max(0, bisect.bisect_right(self._point_frames, start) - 1)
        if start == self._length or not self._points:
            return iter(())
        stream = self._played = DecodeStream(self._options, self._models)
        return self._one_at_a_time(self._from(start, self._decode_from(point, stream), stream))

    def _one_at_a_time(self, frames: Iterator[Any]) -> Iterator[Any]:
        """The frames, each decoded while no other call is in here."""
        while True:
            with self._busy:
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def __reduce__(self) -> Any:
        raise TypeError("a Reader cannot be pickled: open the stream anew from its path or bytes")

    def close(self) -> None:
        """Closes the file, if it was opened here."""
        if self._owned:
            self._file.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ticks(self, frame: int) -> int:
        """When a frame is shown; of a lost one, when the last before it was."""
        if self._header.frame_ticks:
            return frame * self._header.frame_ticks
        return self._times[max(0, bisect.bisect_right(self._timed, frame) - 1)]

    def _slice(self, wanted: range) -> Any:
        # Forwards whatever the direction, so that nothing is decoded twice.
        ascending = sorted(wanted)
        frames = [self._frame(number) for number in ascending]
        if wanted.step < 0:
            frames.reverse()
        if self._options.output == "yuv":
            return frames
        shape = 0, self._header.height, self._header.width, 3
        return np.stack(frames) if frames else np.empty(shape, np.uint8)

    def _frame(self, number: int) -> Any:
        with self._busy:
            return self._decoded(number)

    def _decoded(self, number: int) -> Any:
        point = bisect.bisect_right(self._point_frames, number) - 1
        if point < 0:
            raise CorruptError(f"frame {number} is lost: no random-access unit stands before it")
        if self._frames is None or not self._point_frames[point] <= self._next <= number:
            self._next = self._point_frames[point]
            strict = replace(self._options, on_error="raise")
            self._frames = self._decode_from(point, DecodeStream(strict, self._models))
        try:
            while True:
                frame = next(self._frames)
                self._next += 1
                if self._next > number:
                    return frame
        except StopIteration:
            raise TruncatedError(f"the stream ends before frame {number}") from None
        except BaseException:
            # A generator that has raised gives nothing more.
            self._frames = None
            raise

    def _from(self, start: int, frames: Iterator[Any], stream: DecodeStream) -> Iterator[Any]:
        """Only those frames whose number is at least `start`."""
        return (frame for frame in frames if stream.position >= start)

    def _decode_from(self, point: int, stream: DecodeStream) -> Iterator[Any]:
        """The frames from a random-access unit to the end of the stream."""
        offset, frame = self._points[point]
        stream.feed(self._head)
        for _ in stream.frames():
            raise CorruptError("a frame stands before the first random-access unit")
        before = self._ticks(frame - 1) if frame else -self._header.frame_ticks
        stream.seek(offset, frame=frame, last_pts=before)
        for piece in self._read(offset):
            stream.feed(piece)
            yield from stream.frames()
        stream.close()
        yield from stream.frames()

    def _read(self, offset: int) -> Iterator[bytes]:
        """The file from there on; whoever gave it may move it in between."""
        while True:
            self._file.seek(offset)
            piece = self._file.read(CHUNK)
            if not piece:
                return
            offset += len(piece)
            yield piece

    def _survey(self) -> None:
        """Reads what is to be known before anything is decoded."""
        parser = _core.Parser(self._options.limits)
        self._metadata: dict[str, str] = {}
        self._head = self._read_head(parser)
        index = self._index()
        survey = _Survey(parser, forgiving=self._options.on_error == "skip")
        if index and self._header.frame_ticks:
            # From the last random-access unit on, for the number of frames.
            offset, survey.frame = index[-1]
        else:
            index, offset = None, len(self._head)
        if not self._empty:
            parser.seek(offset)
            survey.read(self._read(offset))
        self._points = list(index or survey.points)
        self._point_frames = [frame for _, frame in self._points]
        self._length = survey.frame
        self._timed, self._times = survey.timed, survey.times

    def _read_head(self, parser: _core.Parser) -> bytes:
        """Everything before the first random-access unit."""
        head = bytearray()
        header = None
        self._empty = False
        for piece in self._read(0):
            head += piece
            parser.feed(piece)
            while unit := parser.next_unit():
                match unit:
                    case _core.SequenceUnit() if header is None:
                        header = unit.header
                    case _core.MetadataUnit():
                        self._metadata[unit.key] = unit.value
                    case _core.SequenceUnit() | _core.CodedUnit() | _core.EndUnit():
                        self._header = self._checked(header)
                        self._empty = isinstance(unit, _core.EndUnit)
                        return bytes(head[: unit.offset])
        parser.close()
        while parser.next_unit():
            pass
        self._header = self._checked(header)
        return bytes(head)

    def _checked(self, header: _core.SequenceHeader | None) -> _core.SequenceHeader:
        if header is None:
            raise CorruptError("the stream has no sequence header")
        return header

    def _index(self) -> tuple[tuple[int, int], ...] | None:
        """The index at the end of the file, if there is one."""
        self._file.seek(max(0, self._size - TRAILER))
        size = int.from_bytes(self._file.read(4), "little")
        if not TRAILER < size < self._size:
            return None
        self._file.seek(self._size - size)
        index = _core.index_at_end(self._file.read(size), self._size)
        # What contradicts itself would send the reader astray; the units themselves are right.
        if index and any(b[1] < a[1] for a, b in itertools.pairwise(index)):
            return None
        return index


class _Survey:
    """What the units of a stream say about its frames, without decoding any."""

    def __init__(self, parser: _core.Parser, *, forgiving: bool) -> None:
        self.parser = parser
        self.forgiving = forgiving
        self.frame = 0
        """Number of the next frame; in the end, of all frames."""
        self.points: list[tuple[int, int]] = []
        self.timed: list[int] = []
        """Numbers of the frames that are there, and when they are shown, in ticks; both only
        where every unit carries timing."""
        self.times: list[int] = []
        self._header_at: int | None = None
        self._ended = False

    def read(self, pieces: Iterator[bytes]) -> None:
        """Reads pieces that begin at a random-access unit and go on to the end."""
        for piece in pieces:
            self.parser.feed(piece)
            self._units()
        self.parser.close()
        self._units()
        if not self._ended and not self.forgiving:
            raise TruncatedError("the stream ends without an end unit")

    def _units(self) -> None:
        while True:
            try:
                unit = self.parser.next_unit()
            except Error:
                if not self.forgiving or not self.parser.resync():
                    if self.forgiving:
                        return
                    raise
                continue
            if unit is None:
                return
            self._take(unit)

    def _take(self, unit: _core.Unit) -> None:
        match unit:
            case _core.SequenceUnit():
                self._header_at = unit.offset
            case _core.CodedUnit():
                self._take_coded(unit)
            case _core.EndUnit():
                self._advance(unit.frames)
                self._ended = True

    def _take_coded(self, unit: _core.CodedUnit) -> None:
        if unit.intra:
            at = unit.offset if self._header_at is None else self._header_at
            self._advance(unit.frame)
            self.points.append((at, unit.frame))
        for number, ticks in enumerate(unit.ticks or (), self.frame):
            self.times.append((self.times[-1] if self.times else 0) + ticks)
            self.timed.append(number)
        self.frame += unit.shown
        self._header_at = None

    def _advance(self, frame: int) -> None:
        """Lost frames count as if they were there."""
        if frame != self.frame and not self.forgiving:
            raise CorruptError(f"frame {frame} where frame {self.frame} must follow")
        self.frame = max(self.frame, frame)


def _open(source: Any) -> tuple[BinaryIO, bool]:
    """A seekable file, and whether it is ours to close."""
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb"), True
    if (view := view_of(source)) is not None:
        return io.BufferedReader(BufferFile(view)), True
    if not hasattr(source, "read") or not hasattr(source, "seekable"):
        raise TypeError(f"source must be bytes, a path or a file, not {type(source).__name__}")
    if not source.seekable():
        raise ValueError("source must be seekable: decode_iter takes pipes")
    return source, False
