"""Whether a file's frames come at a constant rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ui2c.picture.frames import YUV420

DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class Timing:
    """`fps` is None where frames are irregular; `timebase` is in seconds per tick."""

    fps: Fraction | None
    timebase: Fraction
    frames: int | None


def read_timing(container: Any, video: Any) -> Timing:
    """Timing of one stream of an open PyAV container, from its packets alone."""
    times, packets = set(), 0
    for packet in container.demux(video):
        if packet.size and not packet.is_discard:
            packets += 1
            times.add(packet.pts)
    said = [rate for rate in (video.guessed_rate, video.average_rate) if rate]
    if None in times or len(times) < 2:
        # Of a bare stream only the guess looks at what its headers say.
        nominal = said[0] if said else DEFAULT_RATE
        return Timing(nominal, 1 / nominal, packets)
    # Packets that share a time with another are not shown: VP8 has such.
    rate = regular_rate(sorted(times), video.time_base, said)
    return Timing(rate, video.time_base if rate is None else 1 / rate, len(times))


def regular_rate(
    times: Sequence[int], timebase: Fraction, said: Sequence[Fraction]
) -> Fraction | None:
    """The constant frame rate of ascending times, in ticks, or None if there is none.

    Times in a coarse timebase, such as Matroska's milliseconds, are rounded: one tick to either
    side is still constant. Of the rates `said` by the file the first that agrees is reported.
    """
    ticks = Fraction(times[-1] - times[0], len(times) - 1)
    if not ticks or any(
        abs(time - times[0] - index * ticks) > 1 for index, time in enumerate(times)
    ):
        return None
    rate = 1 / (ticks * timebase)
    for nominal in said:
        if abs(nominal / rate - 1) * (times[-1] - times[0]) <= 2:
            return nominal
    return rate.limit_denominator(1001)


def rebased(frames: Iterable[YUV420]) -> Iterator[YUV420]:
    """The frames, their times counted from that of the first of them."""
    origin = None
    for frame in frames:
        if frame.pts is not None:
            origin = frame.pts if origin is None else origin
            frame = replace(frame, pts=frame.pts - origin)
        yield frame
