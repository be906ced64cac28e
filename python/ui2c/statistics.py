"""What coding cost and what came of it, unit by unit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from ui2c.picture.metrics import Psnr, mean_psnr


@dataclass(frozen=True, slots=True)
class UnitStatistics:
    """One coded unit: one or two frames."""

    index: int
    intra: bool
    first_frame: int
    frames: int
    qp: int
    bytes: int
    """Framing and checksum included."""
    stream_bytes: int
    """Of the entropy coder alone."""
    motion_bytes: float
    psnr: tuple[Psnr, ...]
    """Per frame, where it was asked for; empty otherwise."""
    lead: int = 0
    """By how much `qp` is below what was asked for, since much refers to this unit."""


@dataclass(slots=True)
class Statistics:
    """One stream so far."""

    width: int = 0
    height: int = 0
    frames: int = 0
    seconds: float = 0.0
    """How long the coded frames are shown."""
    bytes: int = 0
    """Of the whole stream, headers and index included."""
    motion_bytes: float = 0.0
    units: list[UnitStatistics] = field(default_factory=list)

    def add(self, unit: UnitStatistics) -> None:
        """Counts one more unit; its bytes are counted as the stream's are."""
        self.units.append(unit)
        self.frames += unit.frames
        self.motion_bytes += unit.motion_bytes

    @property
    def bits_per_pixel(self) -> float:
        """Of the whole stream, per luma sample; 0 where there are no frames."""
        pixels = self.width * self.height * self.frames
        return 8 * self.bytes / pixels if pixels else 0.0

    @property
    def kbits_per_second(self) -> float:
        """Of the whole stream; 0 where it takes no time."""
        return 8 * self.bytes / self.seconds / 1000 if self.seconds else 0.0

    @property
    def psnr(self) -> Psnr:
        """The mean over all measured frames; NaN where there are none."""
        return mean_psnr(frame for unit in self.units for frame in unit.psnr)

    @property
    def psnr_deviation(self) -> float:
        """Standard deviation over the measured frames, 6:1:1; NaN where there are none."""
        return _deviation([frame.yuv for unit in self.units for frame in unit.psnr])

    @property
    def qp(self) -> float:
        """The mean over all frames; NaN where there are none."""
        return sum(unit.qp * unit.frames for unit in self.units) / (self.frames or math.nan)

    @property
    def qp_deviation(self) -> float:
        """Standard deviation over all frames; NaN where there are none."""
        return _deviation([unit.qp for unit in self.units for _ in range(unit.frames)])


def _deviation(values: Sequence[float]) -> float:
    return statistics.pstdev(values) if values else math.nan
