"""How much better a random-access unit should be than what follows it.

Where a picture stays as it is, all that follows refers to the first frame, and bits spent there
come back; where it moves on or changes, they do not. How much depends on noise, detail and motion
in ways that features of the source do not tell; so the encoder codes the first units with several
leads and sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ui2c.motion import Planes
    from ui2c.pair import PairCoder

TRIED = (0, 5, 10, 15)
"""In this order, as long as it pays."""

INTER_UNITS = 2
"""Units coded for a trial after the random-access unit."""

HORIZON = 12
"""So many units are taken to be like the last of a trial, unless the next random-access unit comes
sooner. Found on training clips of 49 frames: 8 to 18 are as good."""


def frames_ahead(frames_per_unit: int) -> int:
    """Frames that a trial needs, the random-access unit's one included."""
    return 1 + INTER_UNITS * frames_per_unit


def lead_of(lead: int, since_intra: int) -> int:
    """By how much a unit's qp is lower: the first has all of it, the second half."""
    return (lead, lead // 2)[since_intra] if since_intra < 2 else 0


def find_lead(coder: PairCoder, frames: Sequence[Planes], qp: int, horizon: int = HORIZON) -> int:
    """The lead with which the first units of `frames` promise the least rate and distortion.

    `frames` are as many as `frames_ahead` says; the coder is left as it was.
    """
    best, least = 0, np.inf
    before = coder.state
    for lead in TRIED:
        if lead > qp:
            break
        cost = _cost(coder, frames, qp, lead, horizon)
        coder.state = before
        if cost >= least:
            break
        best, least = lead, cost
    return best


def _cost(coder: PairCoder, frames: Sequence[Planes], qp: int, lead: int, horizon: int) -> float:
    """Bits and λ times squared error of the units, the last for all to come."""
    config = coder.model.config
    weight = config.distortion_weight(63 - qp) / ((1 << coder.bit_depth) - 1) ** 2
    cost, first = 0.0, 0
    for index in range(1 + INTER_UNITS):
        intra = index == 0
        part = frames[first : first + config.unit_frames(intra)]
        first += len(part)
        unit = coder.encode(part, qp=qp - lead_of(lead, index), cycle=index, intra=intra)
        error = 0.0
        for source, shown in zip(part, coder.decoded, strict=False):
            # 6:1:1, times the luma samples of a frame.
            parts = zip((6, 1, 1), source, shown, strict=True)
            error += sum(w * np.square(a.astype(np.float32) - b).mean() for w, a, b in parts)
        squares = error / 8 * part[0][0].size
        count = horizon if index == INTER_UNITS else 1
        cost += count * (8 * len(unit.stream) + weight * float(squares))
    return cost
