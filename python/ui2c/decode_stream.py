"""One stream being decoded, between its first and its last byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ui2c import _core
from ui2c.errors import Error, LimitError, UnsupportedError
from ui2c.options import DecoderOptions
from ui2c.picture.color import UNSPECIFIED, WEIGHTS, yuv420_to_rgb
from ui2c.picture.frames import YUV420
from ui2c.runtime import coding_threads
from ui2c.unit.coder import DecodedUnit, UnitDecoder
from ui2c.unit.planes import Geometry

if TYPE_CHECKING:
    from ui2c.network.model import Model

WORK_SPACE = 64 << 20, 96, 2
"""What PyTorch takes: bytes, bytes per pixel, and bytes per pixel and channel of the trunk.

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
        self._output = options.output
        self._decoder = _core.Decoder(
            _Finder(options, models),
            limits=options.limits,
            verify=options.verify,
            skip=options.on_error == "skip",
            threads=options.threads,
        )
        self._limits = options.limits
        self._held: Any = None
        """A frame that `gather` could not take."""
        self.position = 0
        """Number of the frame that `frames` gave last."""

    @property
    def closed(self) -> bool:
        return self._decoder.closed

    @property
    def header(self) -> _core.SequenceHeader | None:
        return self._decoder.header

    @property
    def metadata(self) -> dict[str, str]:
        return self._decoder.metadata

    @property
    def lost(self) -> list[tuple[int, int | None]]:
        """Frames skipped because of damage: first, and last or None for "to the end"."""
        return self._decoder.lost

    @property
    def damage(self) -> Error | None:
        """The first fault."""
        return self._decoder.damage

    def feed(self, data: bytes) -> None:
        if data:
            self._decoder.feed(data)

    def close(self) -> None:
        """Says that no more bytes follow."""
        self._decoder.close()

    def seek(self, offset: int, *, frame: int, last_pts: int) -> None:
        """What is fed next comes from `offset`, a random-access point whose first frame has that
        number; `last_pts` is the time of the frame before it. The header must be known."""
        self._decoder.seek(offset, frame=frame, last_pts=last_pts)

    def gather(self, frames: list[Any]) -> None:
        """Adds the frames that the bytes fed so far complete.

        Raises LimitError where all together would take more than `max_memory`; the next call goes
        on.
        """
        for frame in self.frames():
            if (len(frames) + 1) * size_of(frame) > self._limits.max_memory:
                self._held = frame
                check_returned(len(frames) + 1, size_of(frame), self._limits)
            frames.append(frame)

    def frames(self) -> Iterator[Any]:
        """The frames that the bytes fed so far complete."""
        if self._held is not None:
            held, self._held = self._held, None
            yield held
        while (decoded := self._decoder.next_frame()) is not None:
            header = self._decoder.header
            assert header is not None
            self.position, pts, planes = decoded
            frame = YUV420(*planes, header.bit_depth, header.full_range, pts)
            if self._output == "rgb":
                yield yuv420_to_rgb(frame, matrix=header.matrix)
            else:
                yield frame


def size_of(frame: Any) -> int:
    """Bytes of a picture's samples."""
    planes = frame.planes if isinstance(frame, YUV420) else (frame,)
    return sum(plane.nbytes for plane in planes)


def check_returned(count: int, size: int, limits: _core.Limits) -> None:
    """Raises LimitError where so many frames of so many bytes are more than one call may return."""
    if count * size > limits.max_memory:
        raise LimitError(
            f"{count} frames at once take {count * size} bytes, at most {limits.max_memory} are "
            "wanted (max_memory): take them one by one"
        )


class _Finder:
    """Finds what runs a stream's networks."""

    def __init__(self, options: DecoderOptions, models: ModelSource) -> None:
        self._options, self._models = options, models

    def __call__(self, header: _core.SequenceHeader) -> _core.Model | _core.ForeignUnits:
        if self._options.output == "rgb" and header.matrix not in (*WEIGHTS, UNSPECIFIED[2]):
            raise UnsupportedError(
                f"no conversion to RGB from CICP matrix {header.matrix}: take the frames as YUV"
            )
        model = self._models.find(header.model_id)
        return model.native or SeamUnits(model, header, self._options.threads)


class SeamUnits:
    """A stream's units, decoded over the seam to the networks: see `_core.ForeignUnits`."""

    def __init__(
        self, model: Model, header: _core.SequenceHeader, threads: int | None = None
    ) -> None:
        self._model, self._threads = model, threads
        self._geometry = Geometry(header.width, header.height, header.bit_depth)
        self._decoder: UnitDecoder | None = None
        self.frames_per_unit = model.config.frames_per_unit
        fixed, each, per_channel = WORK_SPACE
        pixels = self._geometry.coded_width * self._geometry.coded_height
        self.work_space = fixed + pixels * (each + per_channel * model.config.trunk)

    def decode(
        self, stream: bytes, *, qp: int, intra: bool, motion_step: int, log2_lanes: int
    ) -> DecodedUnit:
        with coding_threads(self._threads):
            if self._decoder is None:
                self._decoder = UnitDecoder(self._model, self._geometry)
            return self._decoder.decode(
                stream, qp=qp, intra=intra, motion_step=motion_step, log2_lanes=log2_lanes
            )
