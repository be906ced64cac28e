"""The motion of a unit: a field of vectors, and blocks where it does not hold."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ui2c import _core
from ui2c.unit.planes import CELL, Planes


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

        Of forward blocks of the frame `index`: its motion; of blocks between the frames (None): the
        first frame's less the last one's.
        """
        if not self.step or self.vectors is None:
            return np.zeros((rows, columns, 2), np.int16)
        first, last = self.vectors[0], self.vectors[-1]
        motion = first - last if index is None else self.vectors[index]
        row, column = (np.arange(n) * CELL // self.step for n in (rows, columns))
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
        if not self.step or self.vectors is None:
            return [reference] * frames
        return _core.compensate(reference, self.step, self.vectors, bit_depth=bit_depth)


NO_FIELD = Field(0, None, 0)


def with_halves(last: NDArray[np.int16]) -> NDArray[np.int16]:
    """Vectors of both frames of a unit from the last one's, `[1, rows, columns, 2]`; half a quarter
    sample is rounded up."""
    return np.concatenate(((last + 1) >> 1, last))


@dataclass(frozen=True)
class UnitMotion:
    """What predicts the frames of an inter unit."""

    field: Field
    forward: tuple[_core.Blocks | None, ...]
    """For each frame, blocks of the reference that mend what the field predicts."""
    between: _core.Blocks | None = None
    """Blocks of the unit's last frame that join the prediction of its first."""

    def predict(self, reference: Planes, bit_depth: int = 8) -> list[Planes]:
        """The frames' predictions from the reference."""
        predicted = self.field.predict(reference, len(self.forward), bit_depth)
        return [
            mend(base, reference, blocks, bit_depth)
            for base, blocks in zip(predicted, self.forward, strict=True)
        ]


def mend(base: Planes, other: Planes, blocks: _core.Blocks | None, bit_depth: int = 8) -> Planes:
    """`base` with the blocks from `other`."""
    return base if blocks is None else _core.apply_blocks(base, other, blocks, bit_depth=bit_depth)
