"""One stream being decoded, between its first and its last byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ui2c import _core
from ui2c.errors import (
    CorruptError,
    Error,
    LimitError,
    MismatchError,
    TruncatedError,
    UnsupportedError,
)
from ui2c.options import DecoderOptions
from ui2c.picture.color import UNSPECIFIED, WEIGHTS, yuv420_to_rgb
from ui2c.picture.frames import YUV420
from ui2c.runtime import coding_threads
from ui2c.unit.coder import UnitDecoder
from ui2c.unit.planes import Geometry, Planes

if TYPE_CHECKING:
    from ui2c.network.model import Model

WORK_SPACE = 64 << 20, 96, 2
"""What the network takes: bytes, bytes per pixel, and bytes per pixel and channel of its trunk.

More than decoding three frames of noise with small (128 channels) was seen to take on a CPU: 705 MB
for 1920x1080, 343 MB for 1280x720, 83 MB for 640x368.
"""


class ModelSource(Protocol):
    """Where a stream's model comes from."""

    def find(self, model_id: bytes) -> Model:
        """The model of that id; raises `ui2c.UnsupportedError` where there is none."""


class DecodeStream:
    """The state of one stream between its first and its last byte."""

    def __init__(self, options: DecoderOptions, models: ModelSource) -> None:
        self._options, self._models = options, models
        self._parser = _core.Parser(options.limits)
        self._coder: UnitDecoder | None = None
        self._state_hash = 0
        self._ended = self._searching = False
        self._failure: Error | None = None
        self._next_frame = self._units = 0
        self._last_pts = 0
        self.closed = False
        self.header: _core.SequenceHeader | None = None
        self.metadata: dict[str, str] = {}
        self.lost: list[tuple[int, int | None]] = []
        """Frames skipped because of damage: first, and last or None for "to the end"."""
        self.damage: Error | None = None
        """The first fault."""
        self.position = 0
        """Number of the frame that `frames` gave last."""

    def feed(self, data: bytes) -> None:
        if self._failure is None and data:
            self._parser.feed(data)

    def close(self) -> None:
        """Says that no more bytes follow."""
        if not self.closed:
            self.closed = True
            self._parser.close()

    def seek(self, offset: int, *, frame: int, last_pts: int) -> None:
        """What is fed next comes from `offset`, a random-access point whose first frame has that
        number; `last_pts` is the time of the frame before it. The header must be known."""
        self._parser.seek(offset)
        self._next_frame = frame
        self._last_pts = last_pts

    def frames(self) -> Iterator[Any]:
        """The frames that the bytes fed so far complete."""
        while True:
            if self._failure is not None:
                raise self._failure
            if self._searching:
                self._searching = not self._parser.resync()
            if self._searching:
                break
            try:
                unit = self._parser.next_unit()
                if unit is None:
                    break
                frames = self._take(unit)
            except Error as error:
                self._damage(error)
                continue
            for number, frame in enumerate(frames, self._next_frame - len(frames)):
                self.position = number
                yield frame
        if self.closed and not self._ended:
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
        if self._options.output == "rgb" and header.matrix not in (*WEIGHTS, UNSPECIFIED[2]):
            raise UnsupportedError(
                f"no conversion to RGB from CICP matrix {header.matrix}: take the frames as YUV"
            )
        model = self._models.find(header.model_id)
        if model.config.frames_per_unit != header.frames_per_unit:
            raise CorruptError(
                f"the header says {header.frames_per_unit} frames per unit, "
                f"its model has {model.config.frames_per_unit}"
            )
        geometry = Geometry(header.width, header.height, header.bit_depth)
        fixed, each, per_channel = WORK_SPACE
        pixels = geometry.coded_width * geometry.coded_height
        needed = fixed + pixels * (each + per_channel * model.config.trunk)
        if needed > self._options.limits.max_memory:
            raise LimitError(
                f"{header.width}x{header.height} takes about {needed} bytes to decode, "
                f"at most {self._options.limits.max_memory} are wanted"
            )
        self._coder = UnitDecoder(model, geometry)
        self.header = header
        self._last_pts = -header.frame_ticks

    def _decode(self, unit: _core.CodedUnit) -> list[Any]:
        header, coder = self.header, self._coder
        if header is None or coder is None or not (unit.intra or self._units):
            kind = "intra" if unit.intra else "inter"
            raise CorruptError(f"byte {unit.offset}: an {kind} unit comes too early")
        self._skip_to(unit.frame)
        with coding_threads(self._options.threads):
            decoded = coder.decode(
                unit.stream,
                qp=unit.qp,
                intra=unit.intra,
                motion_step=unit.motion_step,
                log2_lanes=unit.log2_lanes,
            )
        if unit.shown > len(decoded.shown):
            raise CorruptError(
                f"byte {unit.offset}: {unit.shown} frames in a unit of {len(decoded.shown)}"
            )
        self._units += 1
        self._state_hash = decoded.feature_hash
        self._verify(unit, f"frames {self._next_frame} to {self._next_frame + unit.shown - 1}")
        if unit.ticks and self._next_frame == 0:
            self._last_pts = 0
        ticks = unit.ticks or (header.frame_ticks,) * unit.shown
        return [self._show(header, *shown) for shown in zip(decoded.shown, ticks, strict=False)]

    def _show(self, header: _core.SequenceHeader, planes: Planes, ticks: int) -> Any:
        """A decoded picture as the caller wants it; `ticks` after the one before."""
        self._last_pts += ticks
        self._next_frame += 1
        frame = YUV420(*planes, header.bit_depth, header.full_range, self._last_pts)
        if self._options.output == "rgb":
            return yuv420_to_rgb(frame, matrix=header.matrix)
        return frame

    def _verify(self, unit: _core.CodedUnit | _core.EndUnit, what: str) -> None:
        """Compares this decoder's state with the encoder's, where the stream tells it."""
        if not self._options.verify or unit.feature_hash is None:
            return
        if unit.feature_hash != self._state_hash:
            raise MismatchError(
                f"unit {self._units - 1} ({what}, byte {unit.offset}): decoding here gives another "
                "state than encoding did, so the pictures would be wrong; the stream was probably "
                "made on another kind of machine; --no-verify (verify=False) decodes all the same"
            )

    def _end(self, unit: _core.EndUnit) -> None:
        self._ended = True
        if self.header is None:
            # Without a header nothing can be said of frames, not even that so many are lost.
            missing = CorruptError(f"byte {unit.offset}: the stream ends before any header")
            self._failure = self.damage or missing
            raise self._failure
        self._skip_to(unit.frames)
        if not self.lost and self._units:
            self._verify(unit, "the last one")

    def _skip_to(self, frame: int) -> None:
        """Notes what is missing before the frame of that number."""
        if frame == self._next_frame:
            return
        if frame < self._next_frame or self._options.on_error == "raise":
            raise CorruptError(f"frame {frame} where frame {self._next_frame} must follow")
        assert self.header is not None
        if self.damage is None:
            self.damage = CorruptError(f"frames before frame {frame} are missing")
        self.lost.append((self._next_frame, frame - 1))
        self._last_pts += (frame - self._next_frame) * self.header.frame_ticks
        self._next_frame = frame

    def _damage(self, error: Error) -> None:
        """Begins the search for the next random-access unit, unless there is no going on."""
        self.damage = self.damage or error
        final = isinstance(error, (MismatchError, UnsupportedError))
        if final or self._options.on_error == "raise":
            self._failure = error
            raise error
        self._searching = True

    def _end_missing(self) -> None:
        if self.damage is None:
            self.damage = TruncatedError("the stream ends without an end unit")
        if self._options.on_error == "raise" or self.header is None:
            self._failure = self.damage
            raise self.damage
        self._ended = True
        self.lost.append((self._next_frame, None))
