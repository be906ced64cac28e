"""How an encoder finds motion: fields and blocks, priced for the quality they are coded at.

Frames here are planes of the coded size. Nothing in this file binds a decoder.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ui2c import _core

if TYPE_CHECKING:
    from ui2c.network.weights import Model

Plane = NDArray[Any]
Planes = tuple[Plane, ...]
"""Y, U and V of a 4:2:0 picture: uint8 at 8 bits, uint16 above."""

LEAST_WEIGHT = 100.0
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
    slow = model.config.trunk >= LARGE and next(model.codec.parameters()).device.type == "cpu"
    return "slow" if slow else "default"


class Field(NamedTuple):
    """A motion field: int16 `[frames, rows, columns, 2]`, one vector per `step` luma samples.

    Step 0 stands for none. What is coded, also of blocks, are multiples of `2^shift` quarter
    samples. If `halved`, the first frame's are half the last one's (`with_halves`), and not coded.
    """

    step: int
    vectors: NDArray[np.int16] | None
    shift: int
    halved: bool = False

    def guesses(self, index: int | None, rows: int, columns: int) -> NDArray[np.int16]:
        """What the field says of the vectors of blocks, `[rows, columns, 2]`.

        Of forward blocks of the frame `index`: its motion; of backward blocks (None): the first
        frame's less the last one's.
        """
        if not self.step or self.vectors is None:
            return np.zeros((rows, columns, 2), np.int16)
        first, last = self.vectors[0], self.vectors[-1]
        motion = first - last if index is None else self.vectors[index]
        row, column = (np.arange(n) * 16 // self.step for n in (rows, columns))
        return np.ascontiguousarray(motion[row[:, None], column])

    def bits(self) -> float:
        """What it takes in the stream."""
        if not self.step or self.vectors is None:
            return 0.0
        return _core.motion_bits(self.coded())

    def coded(self) -> NDArray[np.int16]:
        """The vectors that the stream has, in their unit."""
        if self.vectors is None:
            raise ValueError("a unit without a field")
        vectors = self.vectors[-1:] if self.halved else self.vectors
        return np.ascontiguousarray(vectors >> self.shift)

    def predict(self, reference: Planes, frames: int, bit_depth: int = 8) -> list[Planes]:
        """What it makes of the reference, for each of so many frames."""
        y, u, v = reference
        if not self.step or self.vectors is None:
            return [(y, u, v)] * frames
        return list(_core.compensate((y, u, v), self.step, self.vectors, bit_depth=bit_depth))


def with_halves(last: NDArray[np.int16]) -> NDArray[np.int16]:
    """Vectors of both frames of a unit from the last one's, `[1, rows, columns, 2]`; half a quarter
    sample is rounded up."""
    return np.concatenate(((last + 1) >> 1, last))


def search_field(
    reference: Plane,
    frames: Sequence[Plane],
    weight: float,
    shift: int,
    *,
    bit_depth: int = 8,
    effort: str = "default",
) -> Field:
    """The motion of luma planes from that of the reference, at λ = `weight`."""
    step, vectors = _core.search_motion(
        reference,
        np.stack(frames),
        bit_depth=bit_depth,
        lagrangian=FIELD_PRICE * motion_lagrangian(weight, shift),
        shift=shift,
        effort=effort,
    )
    return Field(step, vectors, shift)


def choose_field(
    search: Callable[[int], Field], cost: Callable[[Field], float], usual: int
) -> Field:
    """The motion of a unit in the precision that suits it: what `search` finds with that shift.

    Quarters suit a slow pan of fine detail at any qp, halves most else where rates are low. Whole
    samples are never tried: what they spare, the units to come pay for.
    """

    def weighed(field: Field) -> float:
        return cost(field) * (USUAL if field.shift == usual else 1.0)

    return min((search(shift) for shift in (0, 1)), key=weighed)


def choose_halved(
    field: Field,
    cost: Callable[[Field], float],
    others: Callable[[Field], Sequence[Field]] = lambda halved: [halved],
) -> Field:
    """The field, or the one whose first frame moves half as far as the last if that costs less.

    `others` may turn that one into some that are better.
    """
    if not field.step or field.vectors is None:
        return field
    halved = field._replace(vectors=with_halves(field.vectors[-1:]), halved=True)
    return min((field, *others(halved)), key=cost)


def search_joint(
    field: Field,
    halved: Field,
    reference: Plane,
    frames: Sequence[Plane],
    weight: float,
    *,
    bit_depth: int = 8,
) -> list[Field]:
    """Fields found for two frames together, from what was found for each: one whose last vectors
    are told from the first ones, and one whose first are half the last ones.

    Luma planes, at λ = `weight`. Takes about as long as a slow search.
    """

    def search(of: Callable[..., Any], start: Field) -> tuple[int, NDArray[np.int16]]:
        step, vectors = of(
            reference,
            np.stack(frames),
            start.step,
            start.coded() << start.shift,
            bit_depth=bit_depth,
            lagrangian=FIELD_PRICE * motion_lagrangian(weight, start.shift),
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
    weight: float,
    bit_depth: int = 8,
) -> float:
    """About how many bits a unit takes with a field, given its luma planes and their prediction.

    A residual of variance v in an 8 × 8 block takes log2(1 + v / d) / 2 bits a sample at the
    distortion d; the networks need half of that.
    """
    distortion = motion_lagrangian(weight, 0) / 2
    bits = field.bits()
    for prediction, frame in zip(predicted, frames, strict=True):
        difference = prediction.astype(np.float32) - frame
        difference *= 0.5 ** (bit_depth - 8)
        rows, columns = (side // 8 for side in difference.shape)
        squares = np.square(difference).reshape(rows, 8, columns, 8).mean(axis=(1, 3))
        bits += 16 * float(np.log2(1 + squares / distortion).sum())
    return bits


def search_forward(
    source: Plane,
    predicted: Plane,
    reference: Plane,
    field: Field,
    index: int,
    weight: float,
    bit_depth: int = 8,
) -> _core.Blocks | None:
    """Blocks of the reference where the field predicts the frame `index` badly; luma planes."""
    if weight < LEAST_WEIGHT:
        return None
    return _core.search_blocks(
        source,
        predicted,
        reference,
        field.guesses(index, *cells(source)),
        lagrangian=motion_lagrangian(weight, field.shift),
        shift=field.shift,
        bit_depth=bit_depth,
        trust=block_trust(weight),
    )


def search_between(
    source: Plane, predicted: Plane, last: Plane, field: Field, weight: float, bit_depth: int = 8
) -> _core.Blocks | None:
    """Blocks of a unit's last frame that better the prediction of its first; luma planes.

    `last` is a source frame, too: the decoded one is not there yet.
    """
    return _core.search_blocks(
        source,
        predicted,
        last,
        field.guesses(None, *cells(source)),
        lagrangian=motion_lagrangian(weight, field.shift),
        shift=field.shift,
        bit_depth=bit_depth,
        trust=block_trust(weight),
    )


def search_backward(
    source: Plane, first: Plane, last: Plane, field: Field, weight: float, bit_depth: int = 8
) -> _core.Blocks | None:
    """Blocks of a unit's last decoded frame where its first, of `source`, is poor; luma planes."""
    return _core.search_blocks(
        source,
        first,
        last,
        field.guesses(None, *cells(source)),
        # Half of what a bit of latents costs: better for the mean of the frames' PSNR.
        lagrangian=32512.5 / weight,
        shift=field.shift,
        bit_depth=bit_depth,
    )


def cells(luma: Plane) -> tuple[int, int]:
    """Rows and columns of the cells that blocks are in."""
    height, width = luma.shape
    return -(-height // 16), -(-width // 16)


def motion_lagrangian(weight: float, shift: int) -> float:
    """What a bit of motion may cost, in squared 8-bit codes, where λ is `weight`.

    A bit of latents costs 65025 / λ. The coarser the latents, the more a better prediction spares
    the units to come, which the search does not see: from λ 1830 down to 96 the price falls to 0.35
    of that (found on training clips). Vectors that are coarse, by `shift`, may cost a quarter more.
    """
    coarse = math.log(1830 / weight) / math.log(19.1)
    return float(0.35 ** min(max(coarse, 0), 1)) * 65025 / weight * (1.25 if shift else 1.0)


def block_trust(weight: float) -> float:
    """How far the search for forward blocks trusts its own estimate of the bits they save, at λ.

    More than it says where rates are high: what is better there spares the units to come, too. The
    coarser the latents, the less of a residual is coded.
    """
    coarse = math.log(1830 / weight) / math.log(6.1)
    return 2.8 * float(0.18 ** min(max(coarse, 0), 1))
