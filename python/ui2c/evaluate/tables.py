"""The tables of a report as rows of text, whatever they are shown as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ui2c.evaluate import figures
from ui2c.evaluate.compare import Comparison, names
from ui2c.evaluate.published import Published
from ui2c.evaluate.report import Report
from ui2c.evaluate.results import QUALITIES, Point

EXTRAS = {"motion_share": "motion", "real_over_estimate": "real / estimate"}
"""What ui2c tells of itself: the share of the motion field in the file, and the entropy coder's
output over the networks' own estimate."""


@dataclass(frozen=True)
class Rows:
    """A table; its first `left` columns are text, the others numbers."""

    head: list[str]
    rows: list[list[str]]
    left: int = 1


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f} %"


def summary(comparison: Comparison, labels: dict[str, str]) -> Rows:
    """A row for each codec, two columns for each class, and the means."""
    head = ["codec"]
    for group in comparison.groups:
        head += [group, f"{group}, mean curve"]
    head += ["all sequences", "mean of classes", "mean of classes, mean curve"]
    rows = []
    for codec in comparison.codecs:
        row = [labels[codec]]
        for group in comparison.groups:
            mean = comparison.mean(codec, group)
            row += [_counted(mean.sequences, mean.count, mean.of), percent(mean.curve)]
        whole = comparison.mean(codec, None)
        row.append(_counted(whole.sequences, whole.count, whole.of))
        rows.append([*row, percent(whole.classes), percent(whole.curve)])
    return Rows(head, rows)


def _counted(value: float | None, count: int, of: int) -> str:
    """A mean, with the number of sequences in it where some are missing."""
    return percent(value) + ("" if count == of or value is None else f" ({count} of {of})")


def details(comparison: Comparison, labels: dict[str, str]) -> Rows:
    """A row for each codec and sequence, with every method and the overlap."""
    rows = []
    for against in comparison.sequences:
        bd = against.bd
        row = [against.group, against.sequence or "", labels[against.codec]]
        row += [percent(bd.percent.get(method)) for method in ("pchip", "akima", "cubic")]
        row += [f"{bd.low:.2f} to {bd.high:.2f}" if bd.percent else "none", f"{bd.overlap:.0%}"]
        rows.append(row)
    head = ["class", "sequence", "codec", "PCHIP", "Akima", "cubic", "overlap", "share"]
    return Rows(head, rows, left=3)


def published_rows(
    found: Published, comparisons: Sequence[Comparison], labels: dict[str, str]
) -> Rows:
    """The published figures; below them, where the columns are classes, what was measured here.

    That is the BD-rate of the class's mean curve, the convention of the published ones.
    """
    rows = [
        [name, *("–" if value is None else f"{value:g}" for value in values)]
        for name, values in found.rows
    ]
    for comparison in comparisons:
        if not set(found.columns) & set(comparison.groups):
            continue
        for codec in comparison.codecs:
            pair = f"{labels[codec]} against {labels[comparison.anchor]}"
            row = [f"measured here: {pair}, {QUALITIES[comparison.quality]}"]
            for column in found.columns:
                curve = None
                if column in (*comparison.groups, "mean"):
                    curve = comparison.mean(codec, None if column == "mean" else column).curve
                row.append("" if curve is None else f"{curve:.1f}")
            rows.append(row)
    return Rows(["", *found.columns], rows)


def published_source(found: Published) -> str:
    return f"Source: {found.source}." + (f" Note: {found.note}." if found.note else "")


def cuts(report: Report) -> Rows | None:
    """How codecs take the cuts of joined clips; None where there are none."""
    rows = [
        row
        for sequence in report.sequences
        for row in figures.recovery(report.of(sequence), report.codecs)
    ]
    head = ["sequence", "codec", "point", "bpp", "dB before the cut", "dB at the cut"]
    head += ["dB after (second half)", "frames until within 0.5 dB"]
    return Rows(head, rows, left=2) if rows else None


def drift(report: Report) -> Rows | None:
    """How quality holds over the clips without a cut; None where they are too short."""
    rows = [
        row
        for sequence in report.sequences
        for row in figures.drift(report.of(sequence), report.codecs)
    ]
    head = ["sequence", "codec", "point", "bpp", "bpp after the first second"]
    head += ["dB, tenth pair", "dB, last pair", "change"]
    return Rows(head, rows, left=2) if rows else None


def point_rows(points: Sequence[Point]) -> Rows:
    """Every point with all its numbers."""
    head = ["sequence", "codec", "point", "bpp", "kbit/s", "PSNR Y", "U", "V", "6:1:1", "RGB"]
    head += ["MS-SSIM", "VMAF", "enc fps", "dec fps", "enc MiB", "dec MiB"]
    shown = {key for point in points for key in point.raw.get("extra", {})}
    head += [name for key, name in EXTRAS.items() if key in shown]
    rows = []
    for point in points:
        row = [point.sequence, point.label, f"{point.point:g}"]
        row += [_number(point.rates.get("bpp"), 5), _number(point.rates.get("kbps"), 1)]
        for key in ("psnr_y", "psnr_u", "psnr_v", "psnr", "psnr_rgb"):
            row.append(_number(point.values.get(key), 2))
        row += [_number(point.values.get("ms_ssim"), 5), _number(point.values.get("vmaf"), 2)]
        efforts = [point.raw.get(direction) or {} for direction in ("encode", "decode")]
        for effort in efforts:
            seconds = effort.get("seconds")
            row.append(_number(point.frames / seconds if seconds else None, 1))
        for effort in efforts:
            peak = effort.get("peak_bytes")
            row.append(_number(peak / 2**20 if peak else None, 0))
        extra = point.raw.get("extra", {})
        row += [_number(extra.get(key), 4) for key in EXTRAS if key in shown]
        rows.append(row)
    return Rows(head, rows, left=2)


def conditions(report: Report) -> str:
    """What was compared on what, in words."""
    own = [point.raw for point in report.points if point.raw]
    counted = "; ".join(
        f"{report.labels[codec]}: {raw['counted']}"
        for codec, raw in {point.codec: point.raw for point in report.points if point.raw}.items()
    )
    frames = sorted({raw["sequence"]["frames"] for raw in own})
    depths = sorted({raw["sequence"]["bit_depth"] for raw in own})
    machines = names(f"{r['machine']['processor']} ({r['machine']['cores']} cores)" for r in own)
    parts = [
        f"{len(report.sequences)} sequences, {len(report.codecs)} codecs, "
        f"{len(report.points)} points."
    ]
    if own:
        parts += [
            f"{_span(frames)} frames of each sequence, {_span(depths)} bits, 4:2:0, "
            "compared at the source's bit depth and size.",
            "PSNR is the mean over frames, 6:1:1 is (6 Y + U + V) / 8.",
            f"Bits are those of real files: {counted}.",
            f"Made on {'; '.join(machines)}.",
        ]
    return " ".join(parts)


def commands(points: Sequence[Point]) -> list[str]:
    """One example of each codec's command, and its versions."""
    lines = []
    for codec in names(p.codec for p in points if p.raw):
        raw = next(p.raw for p in points if p.codec == codec and p.raw)
        told = {
            f"{key} {value}"
            for p in points
            if p.codec == codec and p.raw
            for key, value in p.raw["versions"].items()
            if not key.endswith("_path")
        }
        notes = "".join(f"; {note}" for note in raw["notes"])
        lines.append(
            f"{raw['codec']['label']}: {raw['encode']['command']} "
            f"[{', '.join(sorted(told))}; {raw['codec']['threads']} thread(s){notes}]"
        )
    return lines


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _span(values: Sequence[int]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"
