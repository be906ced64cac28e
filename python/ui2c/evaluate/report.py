"""What a report is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ui2c.evaluate.compare import Comparison, compare, names
from ui2c.evaluate.published import Published
from ui2c.evaluate.results import Point

COMPARED = ("psnr", "psnr_rgb", "ms_ssim", "vmaf")
"""Qualities that get a table of BD-rates, where they were measured."""


@dataclass(frozen=True)
class Report:
    """What goes into a page."""

    title: str
    points: Sequence[Point]
    anchor: str
    published: Sequence[Published] = ()
    picture_size: tuple[int, int] = (320, 240)
    """Pictures are cut to their middle of that size; 0 leaves them out."""

    @property
    def codecs(self) -> tuple[str, ...]:
        return names(point.codec for point in self.points)

    @property
    def labels(self) -> dict[str, str]:
        return {point.codec: point.label for point in self.points}

    @property
    def sequences(self) -> tuple[str, ...]:
        return names(point.sequence for point in self.points)

    def of(self, sequence: str) -> list[Point]:
        return [point for point in self.points if point.sequence == sequence]

    def comparisons(self) -> list[Comparison]:
        """By every quality that the anchor and another codec have."""
        return [
            compare(self.points, self.anchor, quality)
            for quality in COMPARED
            if self.anchor in {p.codec for p in self.points if quality in p.values}
            and len({p.codec for p in self.points if quality in p.values}) > 1
        ]

    def measured(self, quality: str) -> bool:
        return any(quality in point.values for point in self.points)
