"""Bjøntegaard delta rate: the mean difference in rate at equal quality.

After G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001.
The logarithm of the rate is interpolated over quality, the two curves are integrated exactly over
the qualities that both reach, and the mean difference is turned back into per cent. Negative means
that the tested codec needs fewer bits.

- `pchip`: piecewise cubic, monotone (Fritsch and Carlson 1980; slopes by Fritsch and Butland 1984).
  What JVET and DCVC use, and the figure to quote.
- `akima`: piecewise cubic with Akima's slopes (1970), less bent by a single point.
- `cubic`: one polynomial of degree three, VCEG-M33 itself; a cross-check, unreliable for long
  curves. Needs four points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

INTERPOLANTS = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}
METHODS = (*INTERPOLANTS, "cubic")
LITTLE = 0.5
"""Share of the shorter curve's range below which an overlap is called small."""


@dataclass(frozen=True)
class Curve:
    """Rates, in any one unit, and qualities, both rising strictly."""

    rates: tuple[float, ...]
    qualities: tuple[float, ...]
    dropped: int = 0
    """Points left out because another one has more quality for no more rate."""

    @classmethod
    def of(cls, points: Sequence[tuple[float, float]]) -> Curve:
        """The curve through (rate, quality) in any order, without points that others dominate.

        ValueError for a rate that is not positive, or numbers that are not finite.
        """
        for rate, quality in points:
            if not (rate > 0 and math.isfinite(rate) and math.isfinite(quality)):
                raise ValueError(f"a point must be finite, its rate positive, not {rate, quality}")
        kept: list[tuple[float, float]] = []
        for rate, quality in sorted(points, key=lambda point: (point[0], -point[1])):
            if not kept or quality > kept[-1][1]:
                kept.append((rate, quality))
        return cls(
            tuple(rate for rate, _ in kept),
            tuple(quality for _, quality in kept),
            len(points) - len(kept),
        )


@dataclass(frozen=True)
class BdRate:
    """The comparison of two curves."""

    percent: dict[str, float]
    """By method; a method that these curves do not allow is absent. Empty without overlap."""
    low: float
    high: float
    """The qualities that both curves reach; `low` is above `high` where there are none."""
    overlap: float
    """The share of the shorter curve's range of qualities that lies in the other's, 0 … 1."""
    warnings: tuple[str, ...]


def bd_rate(anchor: Curve, test: Curve) -> BdRate:
    """The rate of `test` over that of `anchor`, minus one, in per cent, by every method."""
    low = max(anchor.qualities[0], test.qualities[0])
    high = min(anchor.qualities[-1], test.qualities[-1])
    spans = [curve.qualities[-1] - curve.qualities[0] for curve in (anchor, test)]
    warnings = []
    for curve, name in ((anchor, "the anchor"), (test, "the codec")):
        if curve.dropped:
            warnings.append(f"{name} has {curve.dropped} dominated points, left out")
        if len(curve.rates) < 4:
            warnings.append(f"{name} has only {len(curve.rates)} points")
    if min(spans) == 0 or high <= low:
        return BdRate({}, low, high, 0.0, (*warnings, "the curves do not overlap"))
    overlap = (high - low) / min(spans)
    if overlap < LITTLE:
        warnings.append(f"the curves hardly overlap ({overlap:.0%} of the shorter)")
    percent = {}
    for method in METHODS:
        if method == "cubic" and min(len(anchor.rates), len(test.rates)) < 4:
            continue
        parts = [_integral(curve, low, high, method) for curve in (test, anchor)]
        percent[method] = 100 * math.expm1((parts[0] - parts[1]) / (high - low))
    return BdRate(percent, low, high, overlap, tuple(warnings))


def _integral(curve: Curve, low: float, high: float, method: str) -> float:
    """Of the logarithm of the rate over qualities."""
    x, y = np.array(curve.qualities), np.log(np.array(curve.rates))
    if method == "cubic":
        # Centred: high powers of values near 40 would lose digits.
        centre = float(x.mean())
        whole = np.polyint(np.polyfit(x - centre, y, 3))
        return float(np.polyval(whole, high - centre) - np.polyval(whole, low - centre))
    return float(INTERPOLANTS[method](x, y).integrate(low, high))
