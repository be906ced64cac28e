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
    classes: float | None
    """Over all: the mean over classes of the means of their sequences."""
    count: int
    """How many sequences have a figure."""
    of: int


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
    for codec in (name for name in codecs if name != anchor):
        own: list[Against] = []
        classes: list[Means] = []
        for group in groups:
            first, second = (
                [p for p in points if (p.codec, p.group) == (name, group)]
                for name in (anchor, codec)
            )
            wanted = names(point.sequence for point in first)
            found = []
            for name in wanted:
                a, b = ([p for p in side if p.sequence == name] for side in (first, second))
                if bd := _bd(a, b, quality):
                    found.append(Against(codec, group, name, bd))
            shared = frozenset(wanted) & {point.sequence for point in second}
            whole = _bd(mean_points(first, shared), mean_points(second, shared), quality)
            if whole:
                curves.append(Against(codec, group, None, whole))
            curve = whole.percent.get("pchip") if whole else None
            classes.append(_means(codec, group, found, curve, None, len(wanted)))
            own += found
        overall = (_mean(m.curve for m in classes), _mean(m.sequences for m in classes))
        means += [*classes, _means(codec, None, own, *overall, sum(m.of for m in classes))]
        sequences += own
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


def _bd(first: list[Point], second: list[Point], quality: str) -> BdRate | None:
    """In bits per pixel, or where one has none in kbit/s."""
    for unit in ("bpp", "kbps"):
        anchor, test = curve(first, quality, unit), curve(second, quality, unit)
        if anchor and test:
            return bd_rate(anchor, test)
    return None


def _means(
    codec: str,
    group: str | None,
    found: Sequence[Against],
    curve: float | None,
    classes: float | None,
    of: int,
) -> Means:
    values = [against.bd.percent.get("pchip") for against in found]
    count = len(values) - values.count(None)
    return Means(codec, group, _mean(values), curve, classes, count, of)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
