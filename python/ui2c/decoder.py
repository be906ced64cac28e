"""A ui2c stream in, frames out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from ui2c import _core
from ui2c.picture.color import UNSPECIFIED, WEIGHTS, yuv420_to_rgb
from ui2c.errors import (
    CorruptError,
    Error,
    LimitError,
    MismatchError,
    TruncatedError,
    UnsupportedError,
)
from ui2c.picture.frames import YUV420
from ui2c.network.config import CYCLE
from ui2c.runtime import check_device, check_threads, coding_threads, resolve_device

if TYPE_CHECKING:
    from types import TracebackType

    from ui2c.motion import Planes
    from ui2c.network.weights import Model
    from ui2c.pair import PairCoder
    from ui2c.reader import Reader, SeekableSource

    Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | Iterable[bytes]

CHUNK = 1 << 16

WORK_SPACE = 64 << 20, 96, 2
"""What the network takes: bytes, bytes per pixel, and bytes per pixel and channel of its trunk.

More than decoding three frames of noise with small (128 channels) was seen to take on a CPU: 705 MB
for 1920x1080, 343 MB for 1280x720, 83 MB for 640x368.
"""


class Decoder:
    """Decodes ui2c streams; keeps the network, so one object serves many streams.

    `decode` takes a whole stream, `decode_iter` gives frames as they come from a file or other
    source, `open` gives any frame of a file at once, `push` and `flush` take bytes in pieces of
    any size. Memory does not grow with the clip but by what is returned.

    - `output`: "yuv" gives YUV420 pictures as coded; "rgb" gives uint8 `[height, width, 3]`,
      converted by the stream's matrix (BT.709 where it names none).
    - `model`: weights to use (path, name or loaded) instead of the shipped ones that the stream
      asks for; they must be those it was made with.
    - `device`: "auto", "cpu", "cuda" or "cuda:N".
    - `threads`: PyTorch's threads while coding; None leaves them as they are.
    - `verify`: compare the decoder's state with the hashes in the stream; MismatchError where this
      machine's arithmetic differs from the encoder's.
    - `limits`: what a stream may ask for; LimitError beyond.
    - `on_error`: "raise", or "skip" to go on at the next random-access unit after damage; what is
      missing then stands in `lost`.

    Raises ValueError where an argument is out of range; the errors of `ui2c.errors` for bad data.
    """

    def __init__(
        self,
        *,
        output: Literal["yuv", "rgb"] = "yuv",
        model: str | os.PathLike[str] | Model | None = None,
        device: str = "auto",
        threads: int | None = None,
        verify: bool = True,
        limits: _core.Limits | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        if output not in ("yuv", "rgb"):
            raise ValueError(f'output must be "yuv" or "rgb", not {output!r}')
        if on_error not in ("raise", "skip"):
            raise ValueError(f'on_error must be "raise" or "skip", not {on_error!r}')
        self.output = output
        self.device = check_device(device)
        self.threads = check_threads(threads)
        self.verify = verify
        self.limits = limits
        self.on_error = on_error
        self._given = model
        self._loaded: Model | None = None
        self._stream = Stream(self)

    @property
    def header(self) -> _core.SequenceHeader | None:
        """The sequence header of the current or last stream, once it has come."""
        return self._stream.header

    @property
    def metadata(self) -> dict[str, str]:
        """The stream's metadata so far."""
        return self._stream.metadata

    @property
    def lost(self) -> list[tuple[int, int | None]]:
        """Frames skipped because of damage, as (first, last), counted from 0.

        The last is None, "to the end", where the end unit was lost too, so that nobody knows.
        """
        return self._stream.lost

    @property
    def damage(self) -> Error | None:
        """The first fault that was skipped, even if it cost no frame."""
        return self._stream.first_damage

    def decode(self, data: bytes) -> Any:
        """All frames of a whole stream.

        A list of YUV420, or for RGB one uint8 array `[frames, height, width, 3]`.
        """
        frames = list(self.decode_iter(data))
        if self.output == "yuv":
            return frames
        header = self._stream.header
        shape = (0, 0, 0, 3) if header is None else (0, header.height, header.width, 3)
        return np.stack(frames) if frames else np.empty(shape, np.uint8)

    def decode_iter(self, source: Source) -> Iterator[Any]:
        """The frames of a stream, each as soon as it is there.

        `source` is the stream itself, the path of a file, an open binary file, or any iterable of
        pieces of bytes.
        """
        self._restart()
        stream = self._stream
        for piece in _pieces(source):
            stream.feed(piece)
            yield from stream.frames()
        stream.close()
        yield from stream.frames()

    def open(self, source: SeekableSource) -> Reader:
        """A stream as a sequence of frames, for random access.

        `source` is the stream itself, the path of a file, or a seekable binary file, which stays
        open when the reader is closed. Raises the errors of `ui2c.errors` for bad data.
        """
        from ui2c.reader import Reader

        return Reader(self, source)

    def push(self, data: bytes) -> list[Any]:
        """Takes the next bytes of a stream, returns the frames that they complete.

        Where an error follows some frames, the frames are returned and the next call raises it.
        """
        if self._stream.closed:
            self._restart()
        self._stream.feed(data)
        frames: list[Any] = []
        try:
            for frame in self._stream.frames():
                frames.append(frame)
        except Error:
            # The stream keeps the error and raises it again when asked for more.
            if not frames:
                raise
        return frames

    def flush(self) -> list[Any]:
        """Says that the stream ends here; returns the frames that are left.

        Raises TruncatedError if the stream has no proper end. The next push begins a new stream.
        """
        self._stream.close()
        return list(self._stream.frames())

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restart()

    def _restart(self) -> None:
        self._stream = Stream(self)

    def _model(self, model_id: bytes) -> Model:
        """The weights that the stream was made with."""
        from ui2c.network.weights import load_model, model_for_id

        if self._loaded is None and self._given is not None:
            if isinstance(self._given, (str, os.PathLike)):
                self._loaded = load_model(os.fspath(self._given), resolve_device(self.device))
            else:
                self._loaded = self._given
        if self._loaded is not None and self._loaded.model_id == model_id:
            return self._loaded
        if self._given is not None and self._loaded is not None:
            raise UnsupportedError(
                f"the stream was made with model {model_id.hex()}, the given weights are "
                f"{self._loaded.model_id.hex()} ({self._loaded.config.name})"
            )
        self._loaded = model_for_id(model_id, resolve_device(self.device))
        return self._loaded


class Stream:
    """The state of one stream between its first and its last byte."""

    def __init__(self, decoder: Decoder, on_error: str | None = None) -> None:
        self.options = decoder
        self.on_error = on_error or decoder.on_error
        self.parser = _core.Parser(decoder.limits)
        self.closed = self.ended = False
        self.header: _core.SequenceHeader | None = None
        self.metadata: dict[str, str] = {}
        self.lost: list[tuple[int, int | None]] = []
        self.failure: Error | None = None
        self.first_damage: Error | None = None
        self.searching = False
        self.coder: PairCoder | None = None
        self.next_frame = 0
        self.position = 0
        """Number of the frame that `frames` gave last."""
        self.last_pts = 0
        self.units = 0
        self.since_intra = 0

    def feed(self, data: bytes) -> None:
        if self.failure is None and data:
            self.parser.feed(data)

    def close(self) -> None:
        """Says that no more bytes follow."""
        if not self.closed:
            self.closed = True
            self.parser.close()

    def seek(self, offset: int, *, frame: int, last_pts: int) -> None:
        """What is fed next comes from `offset`, a random-access point whose first frame has that
        number; `last_pts` is the time of the frame before it. The header must be known."""
        self.parser.seek(offset)
        self.next_frame = frame
        self.last_pts = last_pts

    def frames(self) -> Iterator[Any]:
        """The frames that the bytes fed so far complete."""
        while True:
            if self.failure is not None:
                raise self.failure
            if self.searching:
                self.searching = not self.parser.resync()
            if self.searching:
                break
            try:
                unit = self.parser.next_unit()
                if unit is None:
                    break
                frames = self._take(unit)
            except Error as error:
                self._damage(error)
                continue
            for number, frame in enumerate(frames, self.next_frame - len(frames)):
                self.position = number
                yield frame
        if self.closed and not self.ended:
            self._end_missing()

    def _take(self, unit: _core.Unit) -> list[Any]:
        match unit:
            case _core.SequenceUnit() if self.header is None:
                self._begin(unit.header)
            case _core.MetadataUnit():
                self.metadata[unit.key] = unit.value
            case _core.CodedUnit():
                return self._decode(unit)
            case _core.EndUnit():
                self._end(unit)
        return []

    def _begin(self, header: _core.SequenceHeader) -> None:
        if self.options.output == "rgb" and header.matrix not in (*WEIGHTS, UNSPECIFIED[2]):
            raise UnsupportedError(
                f"no conversion to RGB from CICP matrix {header.matrix}: take the frames as YUV"
            )
        model = self.options._model(header.model_id)
        if model.config.frames_per_unit != header.frames_per_unit:
            raise CorruptError(
                f"the header says {header.frames_per_unit} frames per unit, "
                f"its model has {model.config.frames_per_unit}"
            )
        limits = self.options.limits or _core.Limits()
        pixels = -(-header.width // 16) * 16 * (-(-header.height // 16) * 16)
        fixed, each, per_channel = WORK_SPACE
        needed = fixed + pixels * (each + per_channel * model.config.trunk)
        if needed > limits.max_memory:
            raise LimitError(
                f"{header.width}x{header.height} takes about {needed} bytes to decode, "
                f"at most {limits.max_memory} are wanted"
            )
        from ui2c.pair import PairCoder

        self.coder = PairCoder(
            model, width=header.width, height=header.height, bit_depth=header.bit_depth
        )
        self.header = header
        self.last_pts = -header.frame_ticks

    def _decode(self, unit: _core.CodedUnit) -> list[Any]:
        header, coder = self.header, self.coder
        if header is None or coder is None or not (unit.intra or self.units):
            kind = "intra" if unit.intra else "inter"
            raise CorruptError(f"byte {unit.offset}: an {kind} unit comes too early")
        self._skip_to(unit.frame)
        if unit.intra:
            self.since_intra = 0
        with coding_threads(self.options.threads):
            decoded = coder.decode(
                unit.stream,
                qp=unit.qp,
                cycle=self.since_intra % CYCLE,
                intra=unit.intra,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
            )
        if unit.shown > len(decoded):
            raise CorruptError(
                f"byte {unit.offset}: {unit.shown} frames in a unit of {len(decoded)}"
            )
        self.units += 1
        self.since_intra += 1
        self._verify(unit, f"frames {self.next_frame} to {self.next_frame + unit.shown - 1}")
        if unit.ticks and self.next_frame == 0:
            self.last_pts = 0
        ticks = unit.ticks or (header.frame_ticks,) * unit.shown
        return [self._show(header, *shown) for shown in zip(decoded, ticks, strict=False)]

    def _show(self, header: _core.SequenceHeader, planes: Planes, ticks: int) -> Any:
        """A decoded picture as the caller wants it; `ticks` after the one before."""
        self.last_pts += ticks
        self.next_frame += 1
        # The coder goes on predicting from its own arrays; these are the caller's.
        y, u, v = (plane.copy() for plane in planes)
        frame = YUV420(y, u, v, header.bit_depth, header.full_range, self.last_pts)
        if self.options.output == "rgb":
            return yuv420_to_rgb(frame, matrix=header.matrix)
        return frame

    def _verify(self, unit: _core.CodedUnit | _core.EndUnit, what: str) -> None:
        """Compares this decoder's state with the encoder's, where the stream tells it."""
        if not self.options.verify or unit.feature_hash is None or self.coder is None:
            return
        if unit.feature_hash != self.coder.feature_hash:
            raise MismatchError(
                f"unit {self.units - 1} ({what}, byte {unit.offset}): decoding here gives another "
                "state than encoding did, so the pictures would be wrong; the stream was probably "
                "made on another kind of machine; --no-verify (verify=False) decodes all the same"
            )

    def _end(self, unit: _core.EndUnit) -> None:
        self.ended = True
        if self.header is None:
            # Without a header nothing can be said of frames, not even that so many are lost.
            missing = CorruptError(f"byte {unit.offset}: the stream ends before any header")
            self.failure = self.first_damage or missing
            raise self.failure
        self._skip_to(unit.frames)
        if not self.lost and self.units:
            self._verify(unit, "the last one")

    def _skip_to(self, frame: int) -> None:
        """Notes what is missing before the frame of that number."""
        if frame == self.next_frame:
            return
        if frame < self.next_frame or self.on_error == "raise":
            raise CorruptError(f"frame {frame} where frame {self.next_frame} must follow")
        assert self.header is not None
        if self.first_damage is None:
            self.first_damage = CorruptError(f"frames before frame {frame} are missing")
        self.lost.append((self.next_frame, frame - 1))
        self.last_pts += (frame - self.next_frame) * self.header.frame_ticks
        self.next_frame = frame

    def _damage(self, error: Error) -> None:
        """Begins the search for the next random-access unit, unless there is no going on."""
        self.first_damage = self.first_damage or error
        if self.on_error == "raise" or isinstance(error, (MismatchError, UnsupportedError)):
            self.failure = error
            raise error
        self.searching = True

    def _end_missing(self) -> None:
        if self.first_damage is None:
            self.first_damage = TruncatedError("the stream ends without an end unit")
        if self.on_error == "raise" or self.header is None:
            self.failure = self.first_damage
            raise self.first_damage
        self.ended = True
        self.lost.append((self.next_frame, None))


def _pieces(source: Source) -> Iterator[bytes]:
    """Any source as pieces of bytes."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield from _pieces(file)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(source).cast("B")
        for start in range(0, len(view), CHUNK):
            yield bytes(view[start : start + CHUNK])
    elif hasattr(source, "read"):
        # What is there at once, where the file can tell: a live stream is not to wait for a chunk.
        read = getattr(source, "read1", source.read)
        while piece := read(CHUNK):
            yield piece
    else:
        yield from source
