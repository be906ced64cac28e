"""BD-rates of codecs against an anchor: per sequence, per class, over all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ui2c.evaluate.bdrate import BdRate, Curve, bd_rate
from ui2c.evaluate.errors import ConfigError
from ui2c.evaluate.results import QUALITIES, Point


@dataclass(frozen=True)
class Against:
    """One codec against the anchor, on one sequence or on a class's mean curve."""

    codec: str
    group: str
    sequence: str | None
    bd: BdRate


@dataclass(frozen=True)
class Means:
    """A codec's figures of a class (or of all), by PCHIP, in per cent; None where there is none."""

    codec: str
    group: str | None
    sequences: float | None
    """The mean of the sequences' BD-rates; over all: of all sequences."""
    curve: float | None
    """The BD-rate of the mean curve of the class, DCVC's convention; over all: the mean of the
    classes."""
    classes: float | None = None
    """Over all: the mean over classes of the means of their sequences."""
    count: int = 0
    """How many sequences have a figure."""
    of: int = 0


@dataclass(frozen=True)
class Comparison:
    """All codecs against one anchor by one quality."""

    anchor: str
    quality: str
    codecs: tuple[str, ...]
    groups: tuple[str, ...]
    sequences: tuple[Against, ...]
    curves: tuple[Against, ...]
    """Of the mean curves of the classes."""
    means: tuple[Means, ...]

    def mean(self, codec: str, group: str | None) -> Means:
        return next(m for m in self.means if (m.codec, m.group) == (codec, group))

    def warnings(self) -> list[str]:
        return [
            f"{against.codec} on {against.sequence or 'the mean of ' + against.group}: {text}"
            for against in (*self.sequences, *self.curves)
            for text in against.bd.warnings
        ]


def names(values: Iterable[str]) -> tuple[str, ...]:
    """Each once, in the order of first coming."""
    return tuple(dict.fromkeys(values))


def compare(points: Sequence[Point], anchor: str, quality: str = "psnr") -> Comparison:
    """ConfigError where the anchor has no results of that quality."""
    if quality not in QUALITIES:
        raise ConfigError(f"quality must be one of {', '.join(QUALITIES)}, not {quality!r}")
    codecs = names(point.codec for point in points)
    if anchor not in codecs:
        raise ConfigError(f"the anchor must be one of {', '.join(codecs)}, not {anchor!r}")
    groups = names(point.group for point in points if point.codec == anchor)
    sequences: list[Against] = []
    curves: list[Against] = []
    means: list[Means] = []
    for codec in codecs:
        if codec == anchor:
            continue
        for group in groups:
            first = [p for p in points if (p.codec, p.group) == (anchor, group)]
            second = [p for p in points if (p.codec, p.group) == (codec, group)]
            found = list(_by_sequence(codec, group, first, second, quality))
            sequences += found
            whole = _by_mean(codec, group, first, second, quality)
            if whole:
                curves.append(whole)
            means.append(_class_means(codec, group, found, whole, first))
        means.append(_overall(codec, means, sequences))
    return Comparison(
        anchor,
        quality,
        tuple(codec for codec in codecs if codec != anchor),
        groups,
        tuple(sequences),
        tuple(curves),
        tuple(means),
    )


def curve(points: Sequence[Point], quality: str, unit: str = "bpp") -> Curve | None:
    """The curve of one codec's points on one sequence; None without any."""
    pairs = [
        (point.rates[unit], value)
        for point in points
        if unit in point.rates and (value := point.quality(quality)) is not None
    ]
    return Curve.of(pairs) if pairs else None


def mean_points(points: Sequence[Point], only: frozenset[str]) -> list[Point]:
    """A codec's class as one: at every point that all of `only` have, means weighted by frames."""
    kept = [point for point in points if point.sequence in only]
    result = []
    for value in sorted({point.point for point in kept}):
        row = [point for point in kept if point.point == value]
        if {point.sequence for point in row} != only:
            continue
        total = sum(point.frames for point in row)
        shared = set.intersection(*(set(point.values) for point in row))
        units = set.intersection(*(set(point.rates) for point in row))
        result.append(
            Point(
                codec=row[0].codec,
                label=row[0].label,
                sequence="",
                group=row[0].group,
                point=value,
                rates={u: sum(p.rates[u] * p.frames for p in row) / total for u in units},
                values={k: sum(p.values[k] * p.frames for p in row) / total for k in shared},
                frames=total,
            )
        )
    return result


def _by_sequence(
    codec: str, group: str, first: list[Point], second: list[Point], quality: str
) -> Iterable[Against]:
    for sequence in names(point.sequence for point in first):
        parts = [[p for p in side if p.sequence == sequence] for side in (first, second)]
        bd = _bd(parts[0], parts[1], quality)
        if bd:
            yield Against(codec, group, sequence, bd)


def _by_mean(
    codec: str, group: str, first: list[Point], second: list[Point], quality: str
) -> Against | None:
    """Over the sequences that both have."""
    only = frozenset(p.sequence for p in first) & frozenset(p.sequence for p in second)
    bd = _bd(mean_points(first, only), mean_points(second, only), quality)
    return Against(codec, group, None, bd) if bd else None


def _bd(first: list[Point], second: list[Point], quality: str) -> BdRate | None:
    """In bits per pixel, or where one has none in kbit/s."""
    for unit in ("bpp", "kbps"):
        anchor, test = curve(first, quality, unit), curve(second, quality, unit)
        if anchor and test:
            return bd_rate(anchor, test)
    return None


def _class_means(
    codec: str, group: str, found: list[Against], whole: Against | None, first: list[Point]
) -> Means:
    values = [a.bd.percent["pchip"] for a in found if a.bd.percent]
    return Means(
        codec,
        group,
        _mean(values),
        whole.bd.percent.get("pchip") if whole else None,
        count=len(values),
        of=len(names(point.sequence for point in first)),
    )


def _overall(codec: str, means: list[Means], sequences: list[Against]) -> Means:
    own = [m for m in means if m.codec == codec and m.group is not None]
    values = [a.bd.percent["pchip"] for a in sequences if a.codec == codec and a.bd.percent]
    return Means(
        codec,
        None,
        _mean(values),
        _mean([m.curve for m in own if m.curve is not None]),
        _mean([m.sequences for m in own if m.sequences is not None]),
        count=len(values),
        of=sum(m.of for m in own),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
