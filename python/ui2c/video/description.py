"""What is known of a video beside its samples."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ui2c.picture.color import UNSPECIFIED


@dataclass(frozen=True)
class Description:
    """Size, timing and colour of a video.

    `fps` is None where frames come at irregular times; then every frame has a `pts` in ticks of
    `timebase`. `color` is CICP primaries, transfer and matrix. `frames` is None where nobody knows
    before the end.
    """

    width: int
    height: int
    bit_depth: int = 8
    fps: Fraction | None = Fraction(25)
    timebase: Fraction = Fraction(1, 25)
    sample_aspect: tuple[int, int] = (1, 1)
    full_range: bool = False
    color: tuple[int, int, int] = UNSPECIFIED
    frames: int | None = None

    def __str__(self) -> str:
        rate = "irregular frame times" if self.fps is None else f"{float(self.fps):.6g} fps"
        count = "" if self.frames is None else f", {self.frames} frames"
        return f"{self.width}x{self.height}, {self.bit_depth} bits, {rate}{count}"


def conversion_note(chroma: str) -> str:
    """What is done with a chroma format other than 4:2:0."""
    if chroma == "grey":
        return "grey, coded as 4:2:0 without colour"
    if chroma == "4:1:1":
        return "converted from 4:1:1 to 4:2:0, chroma interpolated in its rows, a mean of two rows"
    return f"converted from {chroma} to 4:2:0, each chroma sample the mean of those it covers"
