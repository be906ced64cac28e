"""How an encoder finds motion: fields and blocks, priced for the quality they are coded at.

Encoder and training come by here. Frames are planes of the coded size. Nothing in this file binds a
decoder.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ui2c import _core
from ui2c.network.config import lagrangian_of, usual_shift
from ui2c.unit.field import Field, UnitMotion, mend, with_halves
from ui2c.unit.planes import CELL, Plane, Planes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ui2c.network.model import Model


LEAST_LAMBDA = 100.0
"""λ below which forward blocks are not looked for: they hardly pay there, and take time."""

FIELD_PRICE = 0.35
"""What a bit of a field may cost as a share of a bit of blocks: a better field also betters chroma,
carries the feature along and spares blocks, none of which its search sees."""

USUAL = 0.985
"""What the cost of the usual precision counts: another must be clearly better."""

LARGE = 128
"""Width of a network that takes at least seven times as long on a processor as a slow search."""


def usual_effort(model: "Model") -> str:
    """How long to search unless told: "slow" where the networks take far longer anyway."""
    return "slow" if model.config.trunk >= LARGE and model.on_processor else "default"


def find_motion(
    reference: Planes,
    luma: Sequence[Plane],
    *,
    qp: int,
    bit_depth: int = 8,
    effort: str = "default",
    shift: int | None = None,
) -> tuple[UnitMotion, list[Planes]]:
    """The motion of an inter unit, and the predictions of its frames.

    Args:
        reference: the last decoded frame.
        luma: Y of the unit's one or two frames, as they should be.
        qp: of the unit, which prices motion.
        effort: "fast", "default" or "slow".
        shift: precision of the vectors as chosen for an earlier unit; None chooses one, which takes
            as long as two searches.
    """
    search = _Search(reference, luma, lagrangian_of(qp), bit_depth, effort)
    field = search.field(shift, usual_shift(qp))
    predicted = field.predict(reference, len(luma), bit_depth)
    if effort == "fast":
        return UnitMotion(field, (None,) * len(luma)), predicted
    forward = tuple(search.forward(field, k, predicted[k][0]) for k in range(len(luma)))
    predicted = [
        mend(base, reference, blocks, bit_depth)
        for base, blocks in zip(predicted, forward, strict=True)
    ]
    between = search.between(field, predicted[0][0]) if len(luma) == 2 else None
    return UnitMotion(field, forward, between), predicted


class _Search:
    """One unit's."""

    def __init__(
        self,
        reference: Planes,
        luma: Sequence[Plane],
        lambda_: float,
        bit_depth: int,
        effort: str,
    ) -> None:
        self.reference, self.luma = reference, luma
        self.lambda_, self.bit_depth, self.effort = lambda_, bit_depth, effort

    def field(self, shift: int | None, usual: int) -> Field:
        """The best field; of two frames perhaps one whose first vectors are half the last ones."""
        if self.effort == "fast":
            return self._search(usual)
        if shift is None:
            # Quarters suit a slow pan of fine detail at any qp, halves most else where rates are
            # low. Whole samples are never tried: what they spare, the units to come pay for.
            field = min(
                (self._search(shift) for shift in (0, 1)),
                key=lambda field: self._cost(field) * (USUAL if field.shift == usual else 1.0),
            )
        else:
            field = self._search(shift)
        if len(self.luma) < 2 or not field.step or field.vectors is None:
            return field
        halved = field._replace(vectors=with_halves(field.vectors[-1:]), halved=True)
        others = [halved]
        if self.effort == "slow":
            others = search_joint(
                field, halved, self.reference[0], self.luma, self.lambda_, bit_depth=self.bit_depth
            )
        return min((field, *others), key=self._cost)

    def forward(self, field: Field, index: int, predicted: Plane) -> _core.Blocks | None:
        """Blocks of the reference where the field predicts the frame `index` badly."""
        if self.lambda_ < LEAST_LAMBDA:
            return None
        return self._blocks(self.luma[index], predicted, self.reference[0], field, index)

    def between(self, field: Field, predicted: Plane) -> _core.Blocks | None:
        """Blocks of the last frame that better the prediction of the first.

        Found on the last frame as it should be: the decoded one is not there yet.
        """
        return self._blocks(self.luma[0], predicted, self.luma[-1], field, None)

    def _search(self, shift: int) -> Field:
        return search_field(
            self.reference[0],
            self.luma,
            self.lambda_,
            shift,
            bit_depth=self.bit_depth,
            effort=self.effort,
        )

    def _cost(self, field: Field) -> float:
        predicted = field.predict(self.reference, len(self.luma), self.bit_depth)
        luma = [frame[0] for frame in predicted]
        return field_cost(field, luma, self.luma, self.lambda_, self.bit_depth)

    def _blocks(
        self, source: Plane, base: Plane, other: Plane, field: Field, index: int | None
    ) -> _core.Blocks | None:
        rows, columns = (-(-side // CELL) for side in source.shape)
        return _core.search_blocks(
            source,
            base,
            other,
            field.guesses(index, rows, columns),
            lagrangian=motion_lagrangian(self.lambda_, field.shift),
            shift=field.shift,
            bit_depth=self.bit_depth,
            trust=block_trust(self.lambda_),
        )


def search_field(
    reference: Plane,
    frames: Sequence[Plane],
    lambda_: float,
    shift: int,
    *,
    bit_depth: int = 8,
    effort: str = "default",
) -> Field:
    """The motion of luma planes from that of the reference, at λ."""
    step, vectors = _core.search_motion(
        reference,
        np.stack(frames),
        bit_depth=bit_depth,
        lagrangian=FIELD_PRICE * motion_lagrangian(lambda_, shift),
        shift=shift,
        effort=effort,
    )
    return Field(step, vectors, shift)


def search_joint(
    field: Field,
    halved: Field,
    reference: Plane,
    frames: Sequence[Plane],
    lambda_: float,
    *,
    bit_depth: int = 8,
) -> list[Field]:
    """Fields found for two frames together, from what was found for each: one whose last vectors
    are told from the first ones, and one whose first are half the last ones.

    Luma planes, at λ. Takes about as long as a slow search.
    """

    def search(of: "Callable[..., Any]", start: Field) -> tuple[int, NDArray[np.int16]]:
        step, vectors = of(
            reference,
            np.stack(frames),
            start.step,
            start.coded() << start.shift,
            bit_depth=bit_depth,
            lagrangian=FIELD_PRICE * motion_lagrangian(lambda_, start.shift),
            shift=start.shift,
        )
        return step, vectors

    step, vectors = search(_core.search_related, field)
    finer, last = search(_core.search_halves, halved)
    return [
        field._replace(step=step, vectors=vectors),
        halved._replace(step=finer, vectors=with_halves(last)),
    ]


def field_cost(
    field: Field,
    predicted: Sequence[Plane],
    frames: Sequence[Plane],
    lambda_: float,
    bit_depth: int = 8,
) -> float:
    """About how many bits a unit takes with a field, given its luma planes and their prediction.

    A residual of variance v in an 8 × 8 block takes log2(1 + v / d) / 2 bits a sample at the
    distortion d; the networks need half of that.
    """
    distortion = motion_lagrangian(lambda_, 0) / 2
    bits = field.bits()
    for prediction, frame in zip(predicted, frames, strict=True):
        difference = prediction.astype(np.float32) - frame
        difference *= 0.5 ** (bit_depth - 8)
        rows, columns = (side // 8 for side in difference.shape)
        squares = np.square(difference).reshape(rows, 8, columns, 8).mean(axis=(1, 3))
        bits += 16 * float(np.log2(1 + squares / distortion).sum())
    return bits


def motion_lagrangian(lambda_: float, shift: int) -> float:
    """What a bit of motion may cost, in squared 8-bit codes, where λ is `lambda_`.

    A bit of latents costs 65025 / λ. The coarser the latents, the more a better prediction spares
    the units to come, which the search does not see: from λ 1830 down to 96 the price falls to 0.35
    of that (found on training clips). Vectors that are coarse, by `shift`, may cost a quarter more.
    """
    coarse = math.log(1830 / lambda_) / math.log(19.1)
    return float(0.35 ** min(max(coarse, 0), 1)) * 65025 / lambda_ * (1.25 if shift else 1.0)


def block_trust(lambda_: float) -> float:
    """How far the search for forward blocks trusts its own estimate of the bits they save, at λ.

    More than it says where rates are high: what is better there spares the units to come, too. The
    coarser the latents, the less of a residual is coded.
    """
    coarse = math.log(1830 / lambda_) / math.log(6.1)
    return 2.8 * float(0.18 ** min(max(coarse, 0), 1))
