"""When frames are shown: whether they come at a constant rate, and where a clock starts anew."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ui2c.picture.frames import YUV420
from ui2c.video.entry import is_entry, is_shown

DEFAULT_RATE = Fraction(25)
COARSE = 3
"""Ticks; where frames are nearer to each other, a tick is too much to be an error of rounding."""
RATES = (Fraction(1, 10**9), Fraction((1 << 31) - 1))
"""The lowest and the highest that a stream can hold."""
BACKWARD = Fraction(1, 10)
FORWARD = Fraction(10)
"""Seconds; FFmpeg too takes what is more for a clock that starts anew."""
STAYS = Fraction(3, 2)
"""A last frame this many times as long as the others is meant to stay."""


@dataclass(frozen=True)
class Timing:
    """What is known of a stream's times from its packets.

    `fps` is None where frames are irregular; `timebase` is in seconds per tick of `fps`, or of the
    times of frames. `times`, ascending and in ticks of the file, are those of all frames, and
    empty where they are not known; `entries` are those of them at which decoding may begin.
    `joined` tells that clocks have been made one, `stays` how many seconds the last frame is to be
    shown, if longer than the others.
    """

    fps: Fraction | None
    timebase: Fraction
    frames: int | None
    times: Sequence[int] = ()
    entries: Sequence[int] = field(default=(), repr=False)
    joined: bool = False
    stays: Fraction | None = None

    def slot(self, time: int) -> int:
        """The number of the frame that is shown at that time, or else nearest before it."""
        return max(0, bisect_right(self.times, time) - 1)

    def entry(self, time: int) -> int | None:
        """The last time up to the given one at which decoding may begin, but for the first."""
        number = bisect_right(self.entries, time) - 1
        return self.entries[number] if number >= 0 else None


class Clock:
    """Makes one clock of those of files that were joined.

    Where decoding times go back by more than 0.1 s or, in formats made for joining, forward by more
    than 10, the packet follows the one before, as FFmpeg does; all after it move with it. Frames
    coded out of order announce a true gap: one shown after it comes before those shown before it.
    """

    def __init__(self, timebase: Fraction, period: Fraction, *, forward: bool) -> None:
        self.joined = False
        self._period = max(1, round(period / timebase))
        self._back = BACKWARD / timebase
        self._forward = FORWARD / timebase if forward else None
        self._offset = 0
        self._last: int | None = None
        self._next = self._reached = 0

    def __call__(self, packet: Any) -> None:
        """Sets the packet's times right; packets are to come in the order of the file."""
        if packet.dts is None:
            # Presentation times need not ascend: they do not tell.
            if packet.pts is not None:
                packet.pts += self._offset
            return
        time = packet.dts + self._offset
        jumps = self._last is not None and (
            time + self._back < self._last
            or (self._forward is not None and time - self._reached > self._forward)
        )
        if jumps:
            self.joined = True
            self._offset += self._next - time
            time = self._next
        if self._offset:
            packet.pts = None if packet.pts is None else packet.pts + self._offset
            packet.dts = time
        self._last = time
        self._next = time + (packet.duration or self._period)
        shown = time if packet.pts is None else packet.pts
        self._reached = max(self._next, shown) if jumps else max(self._reached, self._next, shown)


def read_timing(packets: Iterable[Any], video: Any, clock: Clock) -> Timing:
    """Timing of one stream of an open PyAV container, from its packets alone.

    The packets must have passed `clock`.
    """
    times: list[int] = []
    decoding: list[int | None] = []
    entries: list[int] = []
    last = (-1, 0)
    codec = video.codec_context
    for packet in packets:
        if not packet.size or packet.is_discard or not is_shown(codec, packet):
            continue
        decoding.append(packet.dts)
        if packet.pts is not None:
            times.append(packet.pts)
            last = max(last, (packet.pts, packet.duration or 0))
            if packet.is_keyframe and is_entry(codec, packet):
                entries.append(packet.pts)
    said = [rate for rate in (video.guessed_rate, video.average_rate) if rate]
    said = [rate for rate in said if RATES[0] <= rate <= RATES[1]]
    nominal = said[0] if said else DEFAULT_RATE
    if len(decoding) < 2 or not (times or any(time is not None for time in decoding)):
        # Of a bare stream only the guess looks at what its headers say.
        return Timing(nominal, 1 / nominal, len(decoding))
    if not has_presentation_times(video):
        # Frames are shown in this order, if not at these very times.
        stamps = sorted(time for time in decoding if time is not None)
        rate = regular_rate(stamps, video.time_base, said)
        if rate is not None:
            return Timing(rate, 1 / rate, len(decoding))
        return Timing(None, video.time_base, len(decoding))
    times.sort()
    rate = regular_rate(times, video.time_base, said)
    if rate is None:
        return Timing(None, video.time_base, len(decoding), joined=clock.joined)
    stays = last[1] * video.time_base
    return Timing(
        rate,
        1 / rate,
        len(times),
        times,
        [] if clock.joined else sorted(entries),
        clock.joined,
        stays if stays * rate > STAYS else None,
    )


def has_presentation_times(video: Any) -> bool:
    """Whether the times of a stream's packets are those at which frames are shown.

    AVI holds none; what FFmpeg makes up for it is wrong where frames are not coded in order.
    """
    return str(video.container.format.name) != "avi"


def regular_rate(
    times: Sequence[int], timebase: Fraction, said: Sequence[Fraction]
) -> Fraction | None:
    """The constant frame rate of ascending times, in ticks, or None if there is none.

    Times in a coarse timebase, such as Matroska's milliseconds, are rounded: one tick to either
    side is still constant, unless frames are only a tick or two apart: then that is a gap. Of the
    rates `said` by the file the first that agrees is reported.
    """
    ticks = Fraction(times[-1] - times[0], max(1, len(times) - 1))
    tolerance = 1 if ticks >= COARSE else 0
    if not ticks or any(
        abs(time - times[0] - index * ticks) > tolerance for index, time in enumerate(times)
    ):
        return None
    exact = 1 / (ticks * timebase)
    span = times[-1] - times[0]
    for rate in (*said, exact.limit_denominator(1001), exact):
        agrees = abs(rate / exact - 1) * span <= 2 * tolerance if rate else False
        if agrees and RATES[0] <= rate <= RATES[1] and max(rate.as_integer_ratio()) < 1 << 32:
            return rate
    return None


def guessed_time(frame: Any, video: Any) -> int | None:
    """When a frame of PyAV's is shown, as far as its container can tell."""
    time: int | None = frame.pts if has_presentation_times(video) else frame.dts
    return time


def rebased(frames: Iterable[YUV420]) -> Iterator[YUV420]:
    """The frames, their times counted from that of the first of them."""
    origin = None
    for frame in frames:
        if frame.pts is not None:
            origin = frame.pts if origin is None else origin
            frame = replace(frame, pts=frame.pts - origin)
        yield frame
