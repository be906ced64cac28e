"""A ui2c stream as a sequence of frames, any of which can be had at once."""

from __future__ import annotations

import bisect
import io
import operator
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ui2c import _core
from ui2c.arguments import BufferFile, Exclusive, exact_seconds, view_of
from ui2c.decode_stream import DecodeStream, ModelSource, check_returned
from ui2c.errors import CorruptError, Error, LimitError, TruncatedError, UnsupportedError
from ui2c.options import DecoderOptions
from ui2c.picture.frames import chroma_size

if TYPE_CHECKING:
    from types import TracebackType

    SeekableSource = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

CHUNK = 1 << 16

TRAILER = 8
"""Bytes at the end of a stream that tell the size of the index: see docs/bitstream.md."""

FIRST_UNIT = 10
"""Where the stream's first header stands; other headers belong to random-access points."""

INDEX = 0x85
"""The first byte of an index."""

METADATA_ENTRY = 256
"""What a key with its value takes beside their text."""


class Reader(Sequence[Any]):
    """The frames of one stream, as `Decoder.open` gives it: `len()`, `[i]`, `[a:b]`, iteration.

    A frame is decoded from the nearest random-access unit before it, or from where the last
    access ended if that is nearer, and is the one that decoding from the start gives, bit for
    bit. Frames are as the decoder's `output` says; `[a:b]` is a list of them, or one array
    `[frames, height, width, 3]` for RGB.

    The index at the end of the stream tells the random-access units. Where it is missing or units
    contradict it, or where every frame has a time of its own, all units are read once, without
    decoding any. Where what is read is damaged or has no end, that raises an error of
    `ui2c.errors`, or with the decoder's `on_error="skip"` goes by what is left; only asking for a
    lost frame raises then.

    What it holds counts towards `max_memory` of the decoder's limits, and so does what a slice
    returns: LimitError beyond, before anything is decoded.

    Not for several threads at once.
    """

    def __init__(
        self, source: SeekableSource, options: DecoderOptions, models: ModelSource
    ) -> None:
        self._options, self._models = options, models
        self._busy = Exclusive("Reader")
        self._played: DecodeStream | None = None
        self._file, self._owned = _open(source)
        self._frames: Iterator[Any] | None = None
        self._next = 0
        """Number of the frame that `_frames` gives next."""
        try:
            self._size = self._file.seek(0, os.SEEK_END)
            self._survey()
        except BaseException:
            self.close()
            raise

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
        return tuple(map(int, self._frames_at))

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
        if start and start == self._length:
            return iter(())
        point = max(0, self._point_before(start))
        stream = self._played = DecodeStream(self._options, self._models)
        frames = self._decode_from(point, stream) if point else self._decode_all(stream)
        return self._one_at_a_time(self._from(start, frames, stream))

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
        width, height = self._header.width, self._header.height
        rgb = self._options.output == "rgb"
        columns, rows = chroma_size(width, height)
        samples = 3 * width * height if rgb else width * height + 2 * columns * rows
        size = samples if rgb or self._header.bit_depth == 8 else 2 * samples
        check_returned(len(wanted), size, self._options.limits)
        # Forwards whatever the direction, so that nothing is decoded twice.
        ascending = wanted if wanted.step > 0 else wanted[::-1]
        if rgb:
            pictures = np.empty((len(wanted), height, width, 3), np.uint8)
            for place, number in enumerate(ascending):
                pictures[place] = self._frame(number)
            return pictures if wanted.step > 0 else pictures[::-1]
        frames = [self._frame(number) for number in ascending]
        return frames if wanted.step > 0 else frames[::-1]

    def _frame(self, number: int) -> Any:
        with self._busy:
            return self._decoded(number)

    def _decoded(self, number: int) -> Any:
        point = self._point_before(number)
        if point < 0:
            raise CorruptError(f"frame {number} is lost: no random-access unit stands before it")
        if self._frames is None or not self._frames_at[point] <= self._next <= number:
            self._next = int(self._frames_at[point])
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
        offset, frame = int(self._offsets[point]), int(self._frames_at[point])
        # Nothing else of what stands before the first frame is needed.
        stream.feed(self._start)
        for _ in stream.frames():
            raise AssertionError("a header shows no frames")
        before = self._ticks(frame - 1) if frame else -self._header.frame_ticks
        stream.seek(offset, frame=frame, last_pts=before)
        yield from self._decode_pieces(self._read(offset), stream)

    def _decode_all(self, stream: DecodeStream) -> Iterator[Any]:
        """The frames of the whole stream, as decoding it without a reader gives them."""
        yield from self._decode_pieces(self._read(0), stream)

    def _decode_pieces(self, pieces: Iterator[bytes], stream: DecodeStream) -> Iterator[Any]:
        for piece in pieces:
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
        head = _Survey(self._options)
        head.read(self._read(0), first=True)
        assert head.header is not None
        self._header, self._metadata = head.header, head.metadata
        self._start = _core.Writer(self._header).start()
        self._sure: set[int] | None = set()
        """Points of the index that were compared with their units; None where all are known."""
        if not self._take_index(head):
            self._scan()

    def _scan(self) -> None:
        """Reads all units once."""
        survey = _Survey(self._options)
        survey.read(self._read(0))
        self._offsets: Any = survey.offsets
        self._frames_at: Any = survey.frames_at
        self._length = survey.frame
        self._timed, self._times = survey.timed, survey.times
        self._sure = None

    def _take_index(self, head: _Survey) -> bool:
        """Goes by the index, if there is one and the units that are read do not contradict it."""
        if not head.offsets or head.damage or not self._header.frame_ticks:
            return False
        index = self._index()
        if index is None or not len(index) or np.any(index[1:, 1] < index[:-1, 1]):
            return False
        (first, last), found = (index[0].tolist(), index[-1].tolist()), _Survey(self._options)
        if first != [head.offsets[0], head.frames_at[0]]:
            return False
        # From the last random-access unit on, for the number of frames.
        try:
            found.read(self._read(last[0]), start=self._start, offset=last[0], frame=last[1])
        except Error:
            return False
        if found.damage or [*found.offsets, *found.frames_at] != last:
            return False
        self._offsets, self._frames_at = index[:, 0], index[:, 1]
        self._length = found.frame
        self._timed, self._times = found.timed, found.times
        return True

    def _index(self) -> Any:
        """The index at the end of the file, `[points, 2]`; None if there is none that can be used.

        What is wrong with it is told by reading all units.
        """
        self._file.seek(max(0, self._size - TRAILER))
        size = int.from_bytes(self._file.read(4), "little")
        limits = self._options.limits
        if not TRAILER < size < self._size or size > min(limits.max_unit_bytes, limits.max_memory):
            return None
        self._file.seek(self._size - size)
        kind = self._file.read(1)
        if kind != bytes([INDEX]):
            return None
        try:
            return _core.index_at_end(kind + self._file.read(size - 1), self._size, limits)
        except Error:
            return None

    def _point_before(self, frame: int) -> int:
        """Number of the random-access point from which a frame can be decoded; -1 for none."""
        while True:
            point = bisect.bisect_right(self._frames_at, frame) - 1
            if point < 0 or self._sure is None or point in self._sure:
                return point
            if self._is_there(point):
                self._sure.add(point)
                return point
            # The index was wrong, or its unit is damaged.
            self._frames = None
            self._scan()

    def _is_there(self, point: int) -> bool:
        """Whether the index is right about a point."""
        place = [int(self._offsets[point]), int(self._frames_at[point])]
        survey = _Survey(self._options)
        try:
            survey.read(self._read(place[0]), first=True, start=self._start, offset=place[0])
        except Error:
            return False
        return not survey.damage and [*survey.offsets, *survey.frames_at] == place


class _Survey:
    """What the units of a stream say about its frames, without decoding any."""

    def __init__(self, options: DecoderOptions) -> None:
        self._limits = options.limits
        self._forgiving = options.on_error == "skip"
        self._parser = _core.Parser(options.limits)
        self.header: _core.SequenceHeader | None = None
        self.metadata: dict[str, str] = {}
        """What stands before the first frame."""
        self.frame = 0
        """Number of the next frame; in the end, of all frames."""
        self.offsets, self.frames_at = array("Q"), array("Q")
        """Random-access points, and the numbers of their first frames."""
        self.timed, self.times = array("Q"), array("Q")
        """Numbers of the frames that are there, and when they are shown, in ticks; both only
        where every unit carries timing."""
        self.damage: Error | None = None
        """The first fault that was skipped."""
        self._held = 0
        self._header_at: int | None = None
        self._ended = False

    def read(
        self,
        pieces: Iterator[bytes],
        *,
        first: bool = False,
        start: bytes = b"",
        offset: int = 0,
        frame: int | None = None,
    ) -> None:
        """Reads pieces to the end, or with `first` to the first coded unit or the end unit.

        They begin at the start of the stream, or with `start`, a stream's start with its header, at
        a random-access point at `offset` whose first frame is `frame`, or any for None.
        """
        if start:
            self._parser.feed(start)
            self._units(first)
            self._parser.seek(offset)
        self._any_frame = bool(start) and frame is None
        self.frame = frame or 0
        if not self._find(pieces, first):
            self._parser.close()
            found = self._units(first)
            if not (found or self._ended or self._forgiving):
                raise TruncatedError("the stream ends without an end unit")
        if self.header is None:
            raise self.damage or CorruptError("the stream has no sequence header")

    def _find(self, pieces: Iterator[bytes], first: bool) -> bool:
        """Takes pieces; true as soon as no more is wanted."""
        for piece in pieces:
            self._parser.feed(piece)
            if self._units(first):
                return True
        return False

    def _units(self, first: bool) -> bool:
        """Takes what was fed; true if no more is wanted."""
        while True:
            try:
                unit = self._parser.next_unit()
                if unit is None:
                    return False
                self._take(unit)
            except UnsupportedError:
                # Nobody can tell what follows.
                raise
            except Error as error:
                if not self._forgiving:
                    raise
                self.damage = self.damage or error
                if not self._parser.resync():
                    return False
                continue
            if first and (self._ended or self.offsets):
                return True

    def _take(self, unit: _core.Unit) -> None:
        match unit:
            case _core.SequenceUnit():
                if self.header is None:
                    self.header = unit.header
                if unit.offset > FIRST_UNIT:
                    self._header_at = unit.offset
            case _core.MetadataUnit() if not self.offsets:
                before = self.metadata.get(unit.key)
                self._hold(len(unit.value.encode()) - len((before or "").encode()))
                if before is None:
                    self._hold(METADATA_ENTRY + len(unit.key.encode()))
                self.metadata[unit.key] = unit.value
            case _core.CodedUnit():
                self._take_coded(unit)
            case _core.EndUnit():
                self._advance(unit.frames)
                self._ended = True

    def _take_coded(self, unit: _core.CodedUnit) -> None:
        if unit.intra:
            at = unit.offset if self._header_at is None else self._header_at
            if self._any_frame:
                self.frame, self._any_frame = unit.frame, False
            self._advance(unit.frame)
            self._hold(16)
            self.offsets.append(at)
            self.frames_at.append(unit.frame)
        for number, ticks in enumerate(unit.ticks or (), self.frame):
            self._hold(16)
            self.times.append((self.times[-1] if self.times else 0) + ticks)
            self.timed.append(number)
        self.frame += unit.shown
        self._header_at = None

    def _hold(self, size: int) -> None:
        """Counts bytes that are kept."""
        self._held += size
        if self._held > (most := self._limits.max_memory):
            raise LimitError(
                f"what is known of the stream before decoding takes more than the {most} bytes "
                "that are wanted (max_memory)"
            )

    def _advance(self, frame: int) -> None:
        """Lost frames count as if they were there."""
        if frame != self.frame and not self._forgiving:
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
