"""One stream being encoded, between its first and its last byte."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ui2c import _core
from ui2c.control.lead import INTER_UNITS, LONGEST, find_lead, frames_ahead, lead_of
from ui2c.control.rate import HIGHEST, Plan
from ui2c.control.scenecut import SceneCut
from ui2c.network.native_engine import NativeEngine
from ui2c.options import EncoderOptions
from ui2c.picture.color import rgb_to_yuv420
from ui2c.picture.frames import YUV420
from ui2c.picture.metrics import Psnr, frame_psnr
from ui2c.runtime import coding_threads
from ui2c.statistics import Statistics, UnitStatistics
from ui2c.unit.coder import EncodedUnit, UnitEncoder
from ui2c.unit.motion import usual_effort
from ui2c.unit.planes import Geometry

if TYPE_CHECKING:
    from ui2c.network.model import Model

RETRY_STEP = 4
"""By how much the qp rises for a unit that was too large."""
HASH_INTERVAL = 16
"""Every so many units from an intra unit on, and there, the stream lets a decoder check itself."""


class EncodeStream:
    """The state of one stream between its first and its last byte."""

    def __init__(
        self,
        options: EncoderOptions,
        model: Model,
        header: _core.SequenceHeader,
        statistics: Statistics,
    ) -> None:
        # Either engine is told its threads in a way of its own.
        self._torch_threads = options.threads if model.native is None else None
        if model.native is not None:
            model = replace(model, engine=NativeEngine(model.native, options.threads))
        self._options, self._model, self._header = options, model, header
        self._statistics = statistics
        self._rate = options.target.control()
        self._writer = _core.Writer(header)
        geometry = Geometry(header.width, header.height, header.bit_depth)
        self._coder = UnitEncoder(model, geometry, motion=options.motion or usual_effort(model))
        self._cut = SceneCut() if options.scenecut else None
        self._waiting: list[YUV420] = []
        self._lead = 0
        self._intra_wanted = True
        self._units = self._frames = 0
        """Coded so far, as the next two since the last intra unit, itself included."""
        self._since_intra = self._frames_since_intra = 0
        self._last_pts = 0
        self._feature_hash: int | None = None

    def start(self) -> bytes:
        return b"".join(
            [
                self._writer.start(),
                self._writer.metadata("encoder", f"ui2c {_core.__version__}"),
                self._writer.metadata("model", self._model.config.name),
            ]
        )

    def push(self, picture: Any, *, forced: bool) -> bytes:
        frame = self._admit(picture)
        data = b""
        if (self._cut is not None and self._cut(frame.y, frame.bit_depth)) or forced:
            data = self._drain()
            self._intra_wanted = True
        self._waiting.append(frame)
        while len(self._waiting) >= self._needed():
            data += self._code()
        return data

    def _needed(self) -> int:
        """How many frames must wait before the next unit can be coded."""
        intra, config = self._begins_blank(), self._model.config
        if intra and self._options.lead is None:
            return frames_ahead(config.frames_per_unit)
        return config.unit_frames(intra)

    def _drain(self) -> bytes:
        """Codes all that waits; what comes after it is of no use."""
        data = b""
        while self._waiting:
            data += self._code()
        return data

    def _begins_blank(self) -> bool:
        """Whether the next unit is a random-access unit."""
        return self._intra_wanted or 0 < self._options.keyint <= self._frames_since_intra

    def flush(self) -> bytes:
        # Not in one expression: the end's hash is that of the last unit.
        last = self._drain()
        return last + self._writer.end(self._feature_hash)

    def _admit(self, picture: Any) -> YUV420:
        """The picture as this stream's YUV420, owning its samples: the caller may reuse his."""
        header = self._header
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
            earlier = self._waiting[-1].pts if self._waiting else self._last_pts
            if frame.pts is None or earlier is None or frame.pts < earlier:
                raise ValueError(
                    f"frame {self._next_frame()} must be a YUV420 with a pts of at least "
                    f"{earlier}, since the encoder was given a timebase, not {frame.pts}"
                )
        return frame

    def _next_frame(self) -> int:
        return self._frames + len(self._waiting)

    def _code(self) -> bytes:
        """Codes the next unit of what waits."""
        intra = self._begins_blank()
        count = self._model.config.unit_frames(intra)
        frames, ahead = self._waiting[:count], self._waiting
        self._waiting = self._waiting[count:]
        if intra:
            self._since_intra = self._frames_since_intra = 0
            self._intra_wanted = False
        ticks = self._ticks(frames)
        plan = self._plan(intra, frames, ticks)
        qp, before = self._rate.qp(plan), self._coder.save()
        if intra:
            self._lead = self._find_lead(ahead, qp)
        unit = self._encode(frames, qp, intra)
        while self._rate.too_large(plan, unit.qp, 8 * len(unit.stream)):
            # What cannot be paid for is no investment.
            qp = qp if self._lead else min(qp + RETRY_STEP, HIGHEST)
            self._lead //= 2
            self._coder.restore(before)
            unit = self._encode(frames, qp, intra)
        self._feature_hash = unit.feature_hash
        data = self._writer.unit(
            intra=intra,
            qp=unit.qp,
            motion_step=unit.motion_step,
            log2_lanes=unit.log2_lanes,
            shown=len(frames),
            stream=unit.stream,
            feature_hash=None if self._since_intra % HASH_INTERVAL else unit.feature_hash,
            ticks=ticks,
            repeat_header=intra and self._units > 0,
        )
        self._rate.spent(plan, qp, 8 * len(data))
        self._record(unit, frames, len(data), qp - unit.qp)
        self._units += 1
        self._frames += len(frames)
        self._since_intra += 1
        self._frames_since_intra += len(frames)
        self._statistics.seconds = self._seconds()
        return data

    def _encode(self, frames: list[YUV420], qp: int, intra: bool) -> EncodedUnit:
        with coding_threads(self._torch_threads):
            return self._coder.encode(
                [frame.planes for frame in frames],
                qp=max(0, qp - lead_of(self._lead, self._since_intra)),
                intra=intra,
            )

    def _find_lead(self, ahead: list[YUV420], qp: int) -> int:
        """For the random-access unit that begins with the first of these frames."""
        options, per_unit = self._options, self._model.config.frames_per_unit
        if options.lead is not None:
            return options.lead
        needed = frames_ahead(per_unit)
        if len(ahead) < needed:
            return 0
        left = options.keyint // per_unit - INTER_UNITS
        most = min(LONGEST, max(left, 1)) if options.keyint else LONGEST
        with coding_threads(self._torch_threads):
            return find_lead(self._coder, [f.planes for f in ahead[:needed]], qp, most)

    def _plan(self, intra: bool, frames: list[YUV420], ticks: tuple[int, ...] | None) -> Plan:
        header = self._header
        numerator, denominator = header.timebase
        duration = sum(ticks) if ticks else len(frames) * header.frame_ticks
        # Two frames at one time still cost bits: no unit is planned as if it took no time.
        seconds = max(duration, 1) * numerator / denominator
        pixels = len(frames) * header.width * header.height
        return Plan(self._units, intra, len(frames), pixels, seconds)

    def _ticks(self, frames: list[YUV420]) -> tuple[int, ...] | None:
        if self._header.frame_ticks:
            return None
        times = [self._last_pts, *(frame.pts or 0 for frame in frames)]
        self._last_pts = times[-1]
        return tuple(after - before for before, after in itertools.pairwise(times))

    def _seconds(self) -> float:
        """How long the frames coded so far are shown; the last irregular one counts as none."""
        ticks = self._frames if self._header.frame_ticks else self._last_pts
        numerator, denominator = self._header.timebase
        return ticks * numerator / denominator

    def _record(self, unit: EncodedUnit, frames: list[YUV420], size: int, lead: int) -> None:
        """Tells statistics and callback what became of the frames."""
        psnr: list[Psnr] = []
        if self._options.psnr or self._options.reconstruction:
            for source, (y, u, v) in zip(frames, unit.shown, strict=False):
                shown = replace(source, y=y, u=u, v=v)
                if self._options.psnr:
                    psnr.append(frame_psnr(source, shown))
                if self._options.reconstruction:
                    self._options.reconstruction(shown)
        self._statistics.add(
            UnitStatistics(
                index=self._units,
                intra=unit.intra,
                first_frame=self._frames,
                frames=len(frames),
                qp=unit.qp,
                bytes=size,
                stream_bytes=len(unit.stream),
                motion_bytes=unit.motion_bits / 8,
                psnr=tuple(psnr),
                lead=lead,
            )
        )
