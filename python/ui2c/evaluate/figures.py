"""The plots of a report, from points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ui2c.evaluate.compare import Comparison, mean_points, names
from ui2c.evaluate.plot import Axis, Line, plot
from ui2c.evaluate.results import QUALITIES, Point

RATE = Axis("bit/pixel", logarithmic=True)


def rate_curves(title: str, points: Sequence[Point], styles: dict[str, int], quality: str) -> str:
    """A line for each codec of one sequence, or of a class's means."""
    lines = []
    for codec, style in styles.items():
        own = sorted(
            (p for p in points if p.codec == codec and "bpp" in p.rates), key=lambda p: p.point
        )
        pairs = [(p, value) for p in own if (value := p.quality(quality)) is not None]
        pairs.sort(key=lambda pair: pair[0].rates["bpp"])
        lines.append(
            Line(
                name=own[0].label if own else codec,
                points=tuple((p.rates["bpp"], value) for p, value in pairs),
                style=style,
                titles=tuple(
                    f"{p.label}, point {p.point:g}: {p.rates['bpp']:.5g} bpp, {value:.2f}"
                    for p, value in pairs
                ),
            )
        )
    return plot(title, lines, RATE, Axis(QUALITIES[quality]))


def class_curves(group: str, points: Sequence[Point], styles: dict[str, int], quality: str) -> str:
    """The mean curves of a class, over the sequences that all of its codecs have."""
    own = [point for point in points if point.group == group]
    codecs = names(point.codec for point in own)
    shared = frozenset.intersection(
        *(frozenset(p.sequence for p in own if p.codec == codec) for codec in codecs)
    )
    if not shared:
        return plot(f"{group}: no sequence that all codecs have", [], RATE, RATE)
    rows = [
        p for codec in codecs for p in mean_points([q for q in own if q.codec == codec], shared)
    ]
    return rate_curves(f"{group}, mean of {len(shared)} sequences", rows, styles, quality)


def at_equal_rate(points: Sequence[Point], codecs: Sequence[str]) -> list[Point]:
    """Of one sequence, each codec's point nearest to a rate in the middle of what all reach."""
    rated = [p for p in points if p.raw and p.codec in codecs]
    ranges = [
        [math.log(p.rates["bpp"]) for p in rated if p.codec == codec]
        for codec in names(p.codec for p in rated)
    ]
    if not ranges:
        return []
    low, high = max(min(r) for r in ranges), min(max(r) for r in ranges)
    middle = (low + high) / 2
    return [
        min(
            (p for p in rated if p.codec == codec),
            key=lambda p: abs(math.log(p.rates["bpp"]) - middle),
        )
        for codec in names(p.codec for p in rated)
    ]


def frame_plots(sequence: str, chosen: Sequence[Point], styles: dict[str, int]) -> list[str]:
    """Bits and PSNR of every frame, of one point of each codec."""
    lines: dict[str, list[Line]] = {"bits": [], "psnr": []}
    cuts: list[int] = []
    for point in chosen:
        cuts = point.raw["sequence"]["cuts"]
        for key, into in lines.items():
            values = point.raw["frames"].get(key)
            if values:
                # A frame that costs nothing, such as a repeated one, stands at one bit.
                shown = [max(value, 1.0) for value in values]
                name = f"{point.label}, point {point.point:g} ({point.rates['bpp']:.4g} bpp)"
                into.append(Line(name, tuple(enumerate(shown)), styles[point.codec], marks=False))
    wide = {"width": 560, "height": 260}
    frame, psnr = Axis("frame"), Axis(QUALITIES["psnr"])
    return [
        plot(f"{sequence}: bits", lines["bits"], frame, Axis("bits", True), marks=cuts, **wide),
        plot(f"{sequence}: quality", lines["psnr"], frame, psnr, marks=cuts, **wide),
    ]


def speed(points: Sequence[Point], codec: str, direction: str) -> float | None:
    """Mega-samples of luma per second, over all of a codec's own points together."""
    samples = seconds = 0.0
    for point in points:
        effort = point.raw.get(direction) if point.codec == codec else None
        if effort:
            size = point.raw["sequence"]
            samples += size["width"] * size["height"] * size["frames"]
            seconds += effort["seconds"]
    return samples / seconds / 1e6 if seconds else None


def speed_plots(
    points: Sequence[Point], comparison: Comparison, styles: dict[str, int]
) -> list[str]:
    """BD-rate over the speed of each direction; the anchor stands at zero."""
    labels = {point.codec: point.label for point in points}
    svgs = []
    for direction, title in (("encode", "encoding"), ("decode", "decoding")):
        lines = []
        for codec, style in styles.items():
            pace = speed(points, codec, direction)
            rate: float | None = 0.0
            if codec != comparison.anchor:
                rate = comparison.mean(codec, None).sequences
            if pace is not None and rate is not None:
                name = f"{labels[codec]}: {pace:.3g} Mpx/s, {rate:+.1f} %"
                lines.append(Line(name, ((pace, rate),), style, joined=False, titles=(name,)))
        axis = Axis(f"{title}, million luma samples per second", logarithmic=True)
        svgs.append(plot(f"BD-rate over speed of {title}", lines, axis, Axis("BD-rate, %")))
    return svgs


def recovery(points: Sequence[Point], codecs: Sequence[str]) -> list[list[str]]:
    """For joined clips: PSNR before and after the cut, and when it is level again.

    Level again: the first frame from the cut on that comes within 0.5 dB of the mean of the last
    half of what follows the cut.
    """
    rows = []
    for point in at_equal_rate(points, codecs):
        cuts, psnr = point.raw["sequence"]["cuts"], point.raw["frames"]["psnr"]
        for cut in cuts:
            after = psnr[cut:]
            steady = sum(after[len(after) // 2 :]) / len(after[len(after) // 2 :])
            delay = next(i for i, value in enumerate(after) if value >= steady - 0.5)
            quality = [f"{value:.2f}" for value in (psnr[cut - 1], after[0], steady)]
            rows.append([*_named(point), *quality, str(delay)])
    return rows


DRIFT_PAIRS = (9, 8)
"""A clip is long enough to look for drift with its tenth pair and eight more after that."""


def drift(points: Sequence[Point], codecs: Sequence[str]) -> list[list[str]]:
    """How quality holds without refresh: PSNR of the tenth and of the last pair of frames.

    The bits after the first second show what a steady scene costs. Clips with cuts are left out.
    """
    rows = []
    for point in at_equal_rate(points, codecs):
        psnr, bits = (point.raw["frames"].get(key) or [] for key in ("psnr", "bits"))
        frames, size = len(psnr) // 2 * 2, point.raw["sequence"]
        if size["cuts"] or frames // 2 <= sum(DRIFT_PAIRS) or len(bits) != len(psnr):
            continue
        first = 2 * DRIFT_PAIRS[0]
        early, late = sum(psnr[first : first + 2]) / 2, sum(psnr[frames - 2 : frames]) / 2
        tail = bits[math.ceil(Fraction(size["fps"])) :]
        rate = sum(tail) / (len(tail) * size["width"] * size["height"]) if tail else None
        row = [*_named(point), "" if rate is None else f"{rate:.4f}"]
        rows.append([*row, f"{early:.2f}", f"{late:.2f}", f"{late - early:+.2f}"])
    return rows


def _named(point: Point) -> list[str]:
    """What a row about one point begins with."""
    return [point.sequence, point.label, f"{point.point:g}", f"{point.rates['bpp']:.4f}"]
