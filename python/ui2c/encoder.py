"""Frames in, a ui2c stream out."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ui2c import _core
from ui2c.control.lead import INTER_UNITS, LONGEST, find_lead, frames_ahead, lead_of
from ui2c.control.rate import HIGHEST, Plan, Target
from ui2c.control.scenecut import SceneCut
from ui2c.motion import usual_effort
from ui2c.network.config import CYCLE
from ui2c.picture.color import BT709, UNSPECIFIED, luma_weights, rgb_to_yuv420
from ui2c.picture.frames import BIT_DEPTHS, YUV420, check_frame, iterate
from ui2c.picture.metrics import Psnr, frame_psnr
from ui2c.runtime import check_threads, coding_threads, resolve_device
from ui2c.statistics import Statistics, UnitStatistics

if TYPE_CHECKING:
    from types import TracebackType

    from ui2c.network.weights import Model
    from ui2c.pair import CodedUnit
    from ui2c.picture.frames import Frame, Frames

RETRY_STEP = 4
"""By how much the qp rises for a unit that was too large."""
MOTION_EFFORTS = ("fast", "default", "slow")
HASH_INTERVAL = 16
"""Every so many units from an intra unit on, and there, the stream lets a decoder check itself."""


class Encoder:
    """Encodes video; holds the network, so one object serves many clips of any size.

    Either give a whole clip to `encode`, or frame by frame to `push`, ended by `flush`; both give
    the same bytes, and after each a new stream begins. Memory does not grow with the clip, but
    for some numbers per unit in `statistics`.

    - `qp`: 0 (best) … 63 (smallest), 32 unless `bitrate` or `size` is given instead.
    - `bitrate`: bits per second to hold, in one pass, through a buffer of `buffer` seconds;
      the seconds of the whole clip, `duration`, help to end exactly.
    - `size`: bytes to meet with the whole stream. It needs `first_pass`, the statistics of an
      encoder with the same options and some `qp` after the same frames.
    - `qp_range`: lowest and highest qp that `bitrate` and `size` may choose.
    - `model`: the name of a shipped model, the path of a weights file, or a loaded model.
    - `device`: "auto", "cpu", "cuda" or "cuda:N".
    - `threads`: PyTorch's threads while coding; None leaves them as they are.
    - `keyint`: a random-access unit at least this often, in frames (rounded up to whole units);
      0: only the first. See also `force_intra`.
    - `scenecut`: a random-access unit also at every cut that `ui2c.control.scenecut` sees.
    - `lead`: by how much the qp of a random-access unit is lower than that of the units after it
      (5 less in the next one, or half if that is more), beside what the model does by itself.
      None: 0, 5, … or 35, whichever a trial of the first units finds best; a random-access unit
      then waits for the four frames after it. 0: nothing waits longer than for the second frame of
      a pair.
    - `motion`: how long to search for motion: "fast", "default" or "slow"; None: slow where that
      takes little beside the networks (`ui2c.motion.usual_effort`).
    - `width`, `height`, `bit_depth`: checked against the frames; without them the first frame
      decides. A clip without frames needs width and height.
    - `fps`: frames per second. Alternatively `timebase`, in seconds per tick: then each frame is
      a YUV420 with its own `pts`.
    - `sample_aspect`: width to height of a sample.
    - `color`: CICP primaries, transfer and matrix; (1, 1, 1), BT.709, for RGB and (2, 2, 2),
      unspecified, for YUV420 unless given. RGB is converted by this matrix.
    - `full_range`: of RGB after conversion (False unless given), checked against YUV420.
    - `psnr`: measure each frame.
    - `reconstruction`: called with every frame in turn as a decoder will show it.

    Raises ValueError where an argument is out of range, FileNotFoundError for missing weights.
    """

    def __init__(
        self,
        *,
        qp: int | None = None,
        bitrate: float | None = None,
        buffer: float = 2.0,
        duration: float | None = None,
        size: int | None = None,
        first_pass: Statistics | None = None,
        qp_range: tuple[int, int] = (0, 63),
        model: str | os.PathLike[str] | Model = "small",
        device: str = "auto",
        threads: int | None = None,
        keyint: int = 0,
        scenecut: bool = False,
        lead: int | None = None,
        motion: str | None = None,
        width: int | None = None,
        height: int | None = None,
        bit_depth: int | None = None,
        fps: Fraction | float | str = 25,
        timebase: Fraction | float | str | None = None,
        sample_aspect: tuple[int, int] = (1, 1),
        color: tuple[int, int, int] | None = None,
        full_range: bool | None = None,
        psnr: bool = False,
        reconstruction: Callable[[YUV420], None] | None = None,
    ) -> None:
        self.target = Target(qp, bitrate, buffer, duration, size, first_pass, qp_range)
        if keyint < 0:
            raise ValueError(f"keyint must be 0 (only the first unit) or more, not {keyint}")
        if lead is not None and lead not in range(64):
            raise ValueError(f"lead must be an integer from 0 to 63, not {lead!r}")
        if motion is not None and motion not in MOTION_EFFORTS:
            raise ValueError(f"motion must be fast, default or slow, not {motion!r}")
        for name, side in (("width", width), ("height", height)):
            if side is not None and side < 1:
                raise ValueError(f"{name} must be at least 1, not {side}")
        if bit_depth is not None and bit_depth not in BIT_DEPTHS:
            raise ValueError(f"bit_depth must be 8 to 16, not {bit_depth}")
        self.keyint = keyint
        self.scenecut = scenecut
        self.lead = lead
        self.width, self.height, self.bit_depth = width, height, bit_depth
        self.fps = _fraction("fps", fps)
        self.timebase = None if timebase is None else _fraction("timebase", timebase)
        self.sample_aspect = sample_aspect
        self.color, self.full_range = color, full_range
        self.threads = check_threads(threads)
        self.measure_psnr = psnr
        self.reconstruction = reconstruction
        self._model = _load(model, device)
        self.motion = motion or usual_effort(self._model)
        self._stream: _Stream | None = None
        self._forced = False
        self._statistics = Statistics()

    @property
    def model(self) -> Model:
        return self._model

    @property
    def statistics(self) -> Statistics:
        """Of the stream being coded; after its end, of that stream until the next begins."""
        return self._statistics

    def encode(self, frames: Frames) -> bytes:
        """The whole stream of a clip.

        `frames` is RGB as uint8 `[frames, height, width, 3]` (NumPy or torch), or any iterable of
        YUV420 or RGB pictures of one size. Raises ValueError for anything else, and for a clip
        without frames unless the encoder was given width and height.
        """
        if self._stream is not None:
            raise ValueError("a stream is being pushed: end it by flush() before encode()")
        try:
            parts = [self.push(frame) for frame in iterate(frames)]
            return b"".join([*parts, self.flush()])
        finally:
            self._stream = None

    def push(self, frame: Frame) -> bytes:
        """Takes one frame; returns what the stream has gained by it, often nothing."""
        picture = check_frame(frame)
        stream, start = (self._stream, b"") if self._stream else self._begin(picture)
        data = start + stream.push(picture, forced=self._forced)
        self._forced = False
        # Only now: a first frame that is refused must not leave a stream without a beginning.
        self._stream = stream
        return self._count(data)

    def force_intra(self) -> None:
        """Makes the frame pushed next begin a random-access unit.

        If it would have been the second of a unit, the unit before gets one frame less.
        """
        self._forced = True

    def flush(self) -> bytes:
        """Ends the stream: codes what is left and returns the last bytes."""
        stream, start = (self._stream, b"") if self._stream else self._begin(None)
        self._stream, self._forced = None, False
        return self._count(start + stream.flush())

    def __enter__(self) -> Encoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream = None

    def _begin(self, first: Any) -> tuple[_Stream, bytes]:
        width, height = self.width, self.height
        bit_depth, full_range = self.bit_depth or 8, bool(self.full_range)
        color = self.color or UNSPECIFIED
        if isinstance(first, YUV420):
            width, height = width or first.width, height or first.height
            bit_depth = self.bit_depth or first.bit_depth
            full_range = first.full_range if self.full_range is None else full_range
        elif first is not None:
            width, height = width or first.shape[1], height or first.shape[0]
            color = self.color or BT709
            luma_weights(color[2])
        if width is None or height is None:
            raise ValueError("frames must hold at least one frame, or width and height be given")
        timebase = self.timebase or 1 / self.fps
        header = _core.SequenceHeader(
            width=width,
            height=height,
            bit_depth=bit_depth,
            color_primaries=color[0],
            transfer=color[1],
            matrix=color[2],
            full_range=full_range,
            timebase=timebase.as_integer_ratio(),
            frame_ticks=0 if self.timebase else 1,
            sample_aspect=self.sample_aspect,
            frames_per_unit=self._model.config.frames_per_unit,
            model_id=self._model.model_id,
        )
        self._statistics = Statistics(width=width, height=height)
        stream = _Stream(self, header, self._statistics)
        return stream, stream.start()

    def _count(self, data: bytes) -> bytes:
        self._statistics.bytes += len(data)
        return data


class _Stream:
    """The state of one stream between its first and its last byte."""

    def __init__(
        self, encoder: Encoder, header: _core.SequenceHeader, statistics: Statistics
    ) -> None:
        from ui2c.pair import PairCoder

        self.options = encoder
        self.header = header
        self.statistics = statistics
        self.rate = encoder.target.control()
        self.writer = _core.Writer(header)
        self.coder = PairCoder(
            encoder.model,
            width=header.width,
            height=header.height,
            bit_depth=header.bit_depth,
            motion=encoder.motion,
        )
        self.cut = SceneCut() if encoder.scenecut else None
        self.waiting: list[YUV420] = []
        self.lead = 0
        self.intra_wanted = True
        self.since_intra = 0
        self.frames_since_intra = 0
        self.last_pts = 0
        self.feature_hash: int | None = None

    def start(self) -> bytes:
        return b"".join(
            [
                self.writer.start(),
                self.writer.metadata("encoder", f"ui2c {_core.__version__}"),
                self.writer.metadata("model", self.options.model.config.name),
            ]
        )

    def push(self, picture: Any, *, forced: bool) -> bytes:
        frame = self._admit(picture)
        data = b""
        if (self.cut is not None and self.cut(frame.y, frame.bit_depth)) or forced:
            data = self._drain()
            self.intra_wanted = True
        self.waiting.append(frame)
        while len(self.waiting) >= self._needed():
            data += self._code()
        return data

    def _needed(self) -> int:
        """How many frames must wait before the next unit can be coded."""
        intra, config = self._begins_blank(), self.options.model.config
        if intra and config.still and self.options.lead is None:
            return frames_ahead(config.frames_per_unit)
        return config.unit_frames(intra)

    def _drain(self) -> bytes:
        """Codes all that waits; what comes after it is of no use."""
        data = b""
        while self.waiting:
            data += self._code()
        return data

    def _begins_blank(self) -> bool:
        """Whether the next unit is a random-access unit."""
        return self.intra_wanted or 0 < self.options.keyint <= self.frames_since_intra

    def flush(self) -> bytes:
        # Not in one expression: the end's hash is that of the last unit.
        last = self._drain()
        return last + self.writer.end(self.feature_hash)

    def _admit(self, picture: Any) -> YUV420:
        """The picture as this stream's YUV420, owning its samples: the caller may reuse his."""
        header = self.header
        if isinstance(picture, YUV420):
            y, u, v = (np.array(plane, order="C") for plane in picture.planes)
            frame = replace(picture, y=y, u=u, v=v)
        else:
            frame = rgb_to_yuv420(picture, matrix=header.matrix, full_range=header.full_range)
        if (frame.width, frame.height) != (header.width, header.height):
            raise ValueError(
                f"frame {self._next_frame()} must be {header.width}x{header.height} like the "
                f"stream, not {frame.width}x{frame.height}"
            )
        if (frame.bit_depth, frame.full_range) != (header.bit_depth, header.full_range):
            raise ValueError(
                f"frame {self._next_frame()} must have {header.bit_depth} bits and "
                f"full_range={header.full_range} like the stream, not {frame.bit_depth} bits and "
                f"full_range={frame.full_range}"
            )
        if header.frame_ticks == 0:
            earlier = self.waiting[-1].pts if self.waiting else self.last_pts
            if frame.pts is None or earlier is None or frame.pts < earlier:
                raise ValueError(
                    f"frame {self._next_frame()} must be a YUV420 with a pts of at least "
                    f"{earlier}, since the encoder was given a timebase, not {frame.pts}"
                )
        return frame

    def _next_frame(self) -> int:
        return self.statistics.frames + len(self.waiting)

    def _code(self) -> bytes:
        index = len(self.statistics.units)
        intra = self._begins_blank()
        count = self.options.model.config.unit_frames(intra)
        frames, ahead = self.waiting[:count], self.waiting
        self.waiting = self.waiting[count:]
        if intra:
            self.since_intra = self.frames_since_intra = 0
            self.intra_wanted = False
        ticks = self._ticks(frames)
        plan = self._plan(index, intra, frames, ticks)
        qp, before = self.rate.qp(plan), self.coder.state
        if intra:
            self.lead = self._find_lead(ahead, qp)
        unit = self._encode(frames, qp, intra)
        while self.rate.too_large(plan, unit.qp, 8 * len(unit.stream)):
            # What cannot be paid for is no investment.
            qp = qp if self.lead else min(qp + RETRY_STEP, HIGHEST)
            self.lead //= 2
            self.coder.state = before
            unit = self._encode(frames, qp, intra)
        self.feature_hash = unit.feature_hash
        data = self.writer.unit(
            intra=intra,
            qp=unit.qp,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
            shown=len(frames),
            stream=unit.stream,
            feature_hash=None if self.since_intra % HASH_INTERVAL else unit.feature_hash,
            ticks=ticks,
            repeat_header=intra and index > 0,
        )
        self.rate.spent(plan, qp, 8 * len(data))
        self._record(unit, frames, len(data), qp - unit.qp)
        self.since_intra += 1
        self.frames_since_intra += len(frames)
        return data

    def _encode(self, frames: list[YUV420], qp: int, intra: bool) -> CodedUnit:
        with coding_threads(self.options.threads):
            return self.coder.encode(
                [frame.planes for frame in frames],
                qp=max(0, qp - lead_of(self.lead, self.since_intra)),
                cycle=self.since_intra % CYCLE,
                intra=intra,
            )

    def _find_lead(self, ahead: list[YUV420], qp: int) -> int:
        """For the random-access unit that begins with the first of these frames."""
        options = self.options
        if options.lead is not None:
            return options.lead
        config = options.model.config
        needed = frames_ahead(config.frames_per_unit)
        if not config.still or len(ahead) < needed:
            return 0
        left = options.keyint // config.frames_per_unit - INTER_UNITS
        most = min(LONGEST, max(left, 1)) if options.keyint else LONGEST
        with coding_threads(options.threads):
            return find_lead(self.coder, [f.planes for f in ahead[:needed]], qp, most)

    def _plan(
        self, index: int, intra: bool, frames: list[YUV420], ticks: tuple[int, ...] | None
    ) -> Plan:
        header = self.header
        numerator, denominator = header.timebase
        duration = sum(ticks) if ticks else len(frames) * header.frame_ticks
        # Two frames at one time still cost bits: no unit is planned as if it took no time.
        seconds = max(duration, 1) * numerator / denominator
        return Plan(index, intra, len(frames), len(frames) * header.width * header.height, seconds)

    def _ticks(self, frames: list[YUV420]) -> tuple[int, ...] | None:
        if self.header.frame_ticks:
            return None
        times = [self.last_pts, *(frame.pts or 0 for frame in frames)]
        self.last_pts = times[-1]
        return tuple(after - before for before, after in itertools.pairwise(times))

    def _seconds(self) -> float:
        """How long the frames coded so far are shown; the last irregular one counts as none."""
        ticks = self.statistics.frames if self.header.frame_ticks else self.last_pts
        numerator, denominator = self.header.timebase
        return ticks * numerator / denominator

    def _record(self, unit: CodedUnit, frames: list[YUV420], size: int, lead: int) -> None:
        psnr: list[Psnr] = []
        if self.options.measure_psnr or self.options.reconstruction:
            for source, planes in zip(frames, self.coder.decoded, strict=False):
                y, u, v = (plane.copy() for plane in planes)
                shown = replace(source, y=y, u=u, v=v)
                if self.options.measure_psnr:
                    psnr.append(frame_psnr(source, shown))
                if self.options.reconstruction:
                    self.options.reconstruction(shown)
        statistics = self.statistics
        statistics.units.append(
            UnitStatistics(
                index=len(statistics.units),
                intra=unit.intra,
                first_frame=statistics.frames,
                frames=len(frames),
                qp=unit.qp,
                bytes=size,
                stream_bytes=len(unit.stream),
                estimated_bytes=unit.estimated_bits / 8,
                motion_bytes=unit.motion_bits / 8,
                psnr=tuple(psnr),
                lead=lead,
            )
        )
        statistics.frames += len(frames)
        statistics.motion_bytes += unit.motion_bits / 8
        statistics.seconds = self._seconds()


def _load(model: str | os.PathLike[str] | Model, device: str) -> Model:
    if not isinstance(model, (str, os.PathLike)):
        return model
    from ui2c.network.weights import load_model

    return load_model(os.fspath(model), resolve_device(device))


def _fraction(name: str, value: Fraction | float | str) -> Fraction:
    """A positive fraction with parts that fit the header; a float as the simple one it means."""
    try:
        fraction = Fraction(value).limit_denominator(10**6 if isinstance(value, float) else 10**9)
    except (TypeError, ValueError, OverflowError):
        fraction = Fraction(0)
    if not 0 < fraction < 1 << 31:
        raise ValueError(f"{name} must be a positive number, not {value!r}")
    return fraction
