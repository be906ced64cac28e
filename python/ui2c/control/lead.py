"""How much better a random-access unit should be than what follows it.

Where a picture stays as it is, all that follows refers to the first frame, and bits spent there
come back; where it moves on or changes, they do not. How much depends on noise, detail and motion
in ways that features of the source do not tell; so the encoder codes the first units with several
leads and sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ui2c.network.config import lagrangian_of

if TYPE_CHECKING:
    from ui2c.unit.coder import UnitEncoder
    from ui2c.unit.planes import Planes

TRIED = (0, 5, 10, 15, 20, 25, 30, 35)
"""In this order, as long as it pays."""

INTER_UNITS = 2
"""Units coded for a trial after the random-access unit."""

LONGEST = 48
"""Most units that a lead may be taken to serve: a shot ends some time."""

RENEWED = 1.75
"""A unit replaces what was known of the picture by as much as it takes of the bits that all of it
took. So of a lead a share is left that falls from unit to unit, and what it brings altogether are
the quotient of the two, times this (found on training clips: 1.5 to 2), of the units coded last."""


class Coded(NamedTuple):
    """What one unit of a trial took."""

    bits: int
    error: float
    """Squared error of a frame, in 8-bit codes, 6:1:1."""
    frames: int


def frames_ahead(frames_per_unit: int) -> int:
    """Frames that a trial needs, the random-access unit's one included."""
    return 1 + INTER_UNITS * frames_per_unit


def lead_of(lead: int, since_intra: int) -> int:
    """By how much a unit's qp is lower: the first has all of it, the second 5 less or half."""
    return (lead, max(lead // 2, lead - 5))[since_intra] if since_intra < 2 else 0


def find_lead(coder: UnitEncoder, frames: Sequence[Planes], qp: int, most: int = LONGEST) -> int:
    """The lead with which the first units of `frames` promise the least rate and distortion.

    `frames` are as many as `frames_ahead` says, `most` units are taken to profit at most; the coder
    is left as it was.
    """
    lambda_ = lagrangian_of(qp) / 255**2
    plain = _try(coder, frames, qp, 0)
    horizon = min(RENEWED * plain[0].bits / plain[-1].bits, most)
    best, least = 0, math.inf
    for lead in TRIED:
        if lead > qp:
            break
        cost = _cost(_try(coder, frames, qp, lead) if lead else plain, plain, lambda_, horizon)
        if cost >= least:
            break
        best, least = lead, cost
    return best


def _cost(coded: Sequence[Coded], plain: Sequence[Coded], lambda_: float, horizon: float) -> float:
    """Bits, and λ times the error, of all units; the last stands for those to come.

    What counts is the mean of decibels, so an error is as much worse as its logarithm is; as large
    as without a lead it weighs what λ says.
    """
    usual = max(plain[-1].error, 1.0)
    cost = 0.0
    for index, unit in enumerate(coded):
        error = usual * math.log(max(unit.error, 1.0) / usual)
        count = horizon if index == INTER_UNITS else 1
        cost += count * (unit.bits + lambda_ * error * unit.frames)
    return cost


def _try(coder: UnitEncoder, frames: Sequence[Planes], qp: int, lead: int) -> list[Coded]:
    """The first units with a lead."""
    config, before, first = coder.model.config, coder.save(), 0
    coded = []
    for index in range(1 + INTER_UNITS):
        part = frames[first : first + config.unit_frames(index == 0)]
        first += len(part)
        qp_here = qp - lead_of(lead, index)
        unit = coder.encode(part, qp=qp_here, intra=index == 0)
        error = 0.0
        for source, shown in zip(part, unit.shown, strict=False):
            parts = zip((6, 1, 1), source, shown, strict=True)
            error += sum(w * np.square(a.astype(np.float32) - b).mean() for w, a, b in parts)
        scale = part[0][0].size / 8 / len(part) / 4 ** (coder.geometry.bit_depth - 8)
        coded.append(Coded(8 * len(unit.stream), float(error) * scale, len(part)))
    coder.restore(before)
    return coded
