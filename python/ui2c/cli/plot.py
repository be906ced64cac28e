"""The option --plot of encode and info."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from ui2c import _core
from ui2c.evaluate.over_time import Moment, page
from ui2c.files import write_whole
from ui2c.statistics import UnitStatistics


def of_statistics(units: Sequence[UnitStatistics], seconds: float) -> list[Moment]:
    """What an encoder has told, its frames as evenly spread over the time as they mostly are."""
    frames = sum(unit.frames for unit in units)
    each = seconds / frames if frames else 0.0
    moments = []
    for unit in units:
        psnr = [frame.yuv for frame in unit.psnr]
        known = sum(psnr) / len(psnr) if psnr else math.inf
        moments.append(
            Moment(
                unit.first_frame * each,
                unit.frames * each,
                8 * unit.bytes,
                unit.qp,
                unit.intra,
                known if math.isfinite(known) else None,
            )
        )
    return moments


def of_units(header: _core.SequenceHeader, units: Iterable[_core.Unit]) -> list[Moment]:
    """What the units of a stream tell."""
    timebase = Fraction(*header.timebase)
    moments, time = [], 0
    for unit in units:
        if isinstance(unit, _core.CodedUnit):
            lasts = sum(unit.ticks) if unit.ticks else unit.shown * header.frame_ticks
            moments.append(
                Moment(
                    float(time * timebase),
                    float(lasts * timebase),
                    8 * unit.size,
                    unit.qp,
                    unit.intra,
                )
            )
            time += lasts
    return moments


def write(path: str, title: str, moments: Sequence[Moment], *, overwrite: bool) -> None:
    write_whole(path, page(title, moments).encode(), overwrite=overwrite)
