"""Which qp each unit gets: a fixed one, one that holds a bitrate, one that meets a size.

All of them predict what a unit will cost from what others have cost by one model: from qp 0 to a
higher one the bits fall by the same factor, whatever the content; see `fall`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from ui2c.statistics import Statistics, UnitStatistics

LINEAR, SQUARE = 0.0864, 0.0000598
"""Of `fall`; fitted to inter units of three clips at qp 0 to 63 with the model `small`."""
TYPICAL = -2.16
"""log2 of the bits per pixel of an ordinary inter unit at qp 0, to begin with something."""
INTRA = 3.2
"""log2 of how much more an intra unit takes."""
MEMORY = 0.2
"""Weight of the latest unit in what is expected of the next."""
DOWN, UP = 3, 4
"""At most so much does qp change from unit to unit, where the buffer does not ask for more."""
REPAY = 4
"""Over so many buffers a debt is paid back: the first unit makes a large one."""
SETTLING, STEEP = 8, 8
"""So many units at the beginning, while little is known of the clip, may change it by that."""
HIGHEST = 63


def fall(qp: float) -> float:
    """log2 of the bits at qp 0 over those at this one."""
    return LINEAR * qp + SQUARE * qp * qp


def qp_at(fallen: float) -> float:
    """The inverse of `fall`; below 0 it goes on as straight as it is there."""
    if fallen < 0:
        return fallen / LINEAR
    return (math.sqrt(LINEAR * LINEAR + 4 * SQUARE * fallen) - LINEAR) / (2 * SQUARE)


@dataclass(frozen=True, slots=True)
class Plan:
    """A unit about to be coded."""

    index: int
    intra: bool
    frames: int
    pixels: int
    """Luma samples of all its frames."""
    seconds: float
    """How long its frames are shown."""


class RateControl(ABC):
    """Asked before each unit, told after it."""

    @abstractmethod
    def qp(self, plan: Plan) -> int: ...

    def too_large(self, plan: Plan, qp: int, bits: int) -> bool:
        """Whether the unit, coded with this qp, is to be coded again with a higher one."""
        return False

    def spent(self, plan: Plan, qp: int, bits: int) -> None:  # noqa: B027 - need not care
        """What the unit took."""


class FixedQp(RateControl):
    """The same qp for all."""

    def __init__(self, qp: int) -> None:
        self._qp = qp

    def qp(self, plan: Plan) -> int:
        return self._qp


class HoldBitrate(RateControl):
    """One pass towards a bitrate, through a buffer that a receiver would have.

    The buffer of `buffer` seconds starts full, is filled at the bitrate and emptied by the units;
    a unit that would empty it altogether is coded again with a higher qp. What has been spent too
    much or too little is made up for over REPAY times as many seconds; towards the end of a clip
    whose `duration` is known over those that are left, but no fewer than a quarter of the buffer.
    """

    def __init__(
        self,
        bitrate: float,
        buffer: float,
        lowest: int,
        highest: int = HIGHEST,
        *,
        duration: float | None = None,
    ) -> None:
        self._bitrate, self._seconds = bitrate, buffer
        self._left = math.inf if duration is None else duration
        self._lowest, self._highest = lowest, highest
        self._level = bitrate * buffer
        self._debt = 0.0
        self._expected: dict[bool, float] = {}
        """Bits per pixel at qp 0, of inter (False) and intra units."""
        self._seen = {False: 0, True: 0}
        """How many of them there have been."""
        self._last: int | None = None

    def qp(self, plan: Plan) -> int:
        fair = self._bitrate * plan.seconds
        window = min(REPAY * self._seconds, max(self._left, self._seconds / 4))
        wanted = max(fair / 4, fair - self._debt * plan.seconds / window)
        qp = qp_at(self._estimate(False) - math.log2(wanted / plan.pixels))
        if self._last is not None:
            settling = sum(self._seen.values()) < SETTLING
            down, up = (STEEP, STEEP) if settling else (DOWN, UP)
            qp = min(max(qp, self._last - down), self._last + up)
        # An intra unit gets the qp of its neighbours, and is paid for by all of them; only the
        # buffer may ask for more. A fifth of it stays for what the prediction does not see.
        room = 0.8 * min(self._level + fair, self._bitrate * self._seconds)
        fitting = qp_at(self._estimate(plan.intra) - math.log2(max(room, 1) / plan.pixels))
        return self._bounded(round(max(qp, fitting)))

    def too_large(self, plan: Plan, qp: int, bits: int) -> bool:
        return qp < self._highest and bits > self._level + self._bitrate * plan.seconds

    def spent(self, plan: Plan, qp: int, bits: int) -> None:
        fair = self._bitrate * plan.seconds
        self._debt += bits - fair
        self._left -= plan.seconds
        self._level = min(self._level + fair - bits, self._bitrate * self._seconds)
        seen = bits / plan.pixels * 2 ** fall(qp)
        known = self._expected.get(plan.intra, seen)
        self._seen[plan.intra] += 1
        # The mean of all, until there are so many that the latest count for more.
        weight = max(MEMORY, 1 / self._seen[plan.intra])
        self._expected[plan.intra] = known + weight * (seen - known)
        self._last = qp

    def _estimate(self, intra: bool) -> float:
        """log2 of what is expected; from the other kind where this one has not been seen."""
        if intra in self._expected:
            return math.log2(self._expected[intra])
        if not self._expected:
            return TYPICAL + INTRA * intra
        return math.log2(self._expected[not intra]) + (INTRA if intra else -INTRA)

    def _bounded(self, qp: int) -> int:
        return min(max(qp, self._lowest), self._highest)


class MeetSize(RateControl):
    """The second pass towards a size: as even a qp as the first pass lets one foresee.

    Before each unit the qp is found with which all that is left would fill what is left of the
    size, from the bits of the same units in the first pass and how far these have been off so far.
    """

    def __init__(
        self,
        size: int,
        first_pass: Sequence[UnitStatistics],
        overhead: int,
        lowest: int,
        highest: int = HIGHEST,
    ) -> None:
        self._left = 8.0 * (size - overhead)
        self._lowest, self._highest = lowest, highest
        costs = [8 * unit.bytes * 2 ** fall(unit.qp + unit.lead) for unit in first_pass]
        self._costs = costs
        """Bits at qp 0, by the model."""
        self._ahead = [0.0]
        for cost in reversed(costs):
            self._ahead.append(self._ahead[-1] + cost)
        self._ahead.reverse()
        self._error = 0.0
        """log2 of true bits over predicted ones, lately."""
        self._last: int | None = None

    def qp(self, plan: Plan) -> int:
        ahead = self._ahead[min(plan.index, len(self._costs))]
        if ahead <= 0 and self._last is not None:
            return self._last
        qp = qp_at(math.log2(max(ahead, 1) / max(self._left, 1)) + self._error)
        if self._last is not None:
            qp = min(max(qp, self._last - DOWN), self._last + UP)
        return min(max(round(qp), self._lowest), self._highest)

    def spent(self, plan: Plan, qp: int, bits: int) -> None:
        self._left -= bits
        self._last = qp
        if plan.index < len(self._costs):
            seen = math.log2(bits / self._costs[plan.index]) + fall(qp)
            self._error += MEMORY / 2 * (seen - self._error)


def typical_qp(bits_per_pixel: float) -> int:
    """With which an ordinary clip takes about so many bits; for a first pass."""
    qp = qp_at(TYPICAL - math.log2(max(bits_per_pixel, 1e-6)))
    return min(max(round(qp), 0), HIGHEST)


@dataclass(frozen=True)
class Target:
    """What an encoder is to aim at: exactly one of `qp`, `bitrate`, `size`; `qp` 32 if none.

    Raises ValueError where an argument is out of range or does not go with another.
    """

    qp: int | None = None
    bitrate: float | None = None
    buffer: float = 2.0
    duration: float | None = None
    size: int | None = None
    first_pass: Statistics | None = None
    qp_range: tuple[int, int] = (0, HIGHEST)

    def __post_init__(self) -> None:
        given = [name for name in ("qp", "bitrate", "size") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: give one of them")
        if self.qp is not None and self.qp not in range(HIGHEST + 1):
            raise ValueError(
                f"qp must be an integer from 0 (best) to 63 (smallest), not {self.qp!r}"
            )
        for name in ("bitrate", "buffer", "duration", "size"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0, not {value}")
        low, high = self.qp_range
        if not 0 <= low <= high <= HIGHEST:
            raise ValueError(f"qp_range must be (lowest, highest) in 0 … 63, not ({low}, {high})")
        if (self.size is None) != (self.first_pass is None):
            raise ValueError("size and first_pass go together: give the statistics of a first pass")

    def control(self) -> RateControl:
        """A rate control for one stream."""
        low, high = self.qp_range
        if self.bitrate is not None:
            return HoldBitrate(self.bitrate, self.buffer, low, high, duration=self.duration)
        if self.size is not None and self.first_pass is not None:
            units = self.first_pass.units
            overhead = self.first_pass.bytes - sum(unit.bytes for unit in units)
            return MeetSize(self.size, units, overhead, low, high)
        return FixedQp(32 if self.qp is None else int(self.qp))
