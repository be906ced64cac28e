"""A session without networks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ui2c import _core
from ui2c.network.config import config_for
from ui2c.network.model import Model
from ui2c.network.prior import SKIP
from ui2c.network.tables import gaussian_tables
from ui2c.unit.planes import CELL, Plane, Planes

LATENT_SCALE, HYPER_SCALE = 45, 30
"""Table indices of its symbols."""


@dataclass
class Told:
    """What it was told of one unit."""

    begin: dict[str, Any]
    frames: Sequence[Planes] = ()
    expected: Sequence[Planes] = ()
    bases: dict[int, Planes] = field(default_factory=dict)
    decoded: dict[int, Planes] = field(default_factory=dict)


class MeanSession:
    """Codes the mean of every cell's luma, of two frames; its z are their means over all cells."""

    def __init__(self, width: int, height: int, bit_depth: int) -> None:
        self.shape = 2, height // CELL, width // CELL
        self.top = (1 << bit_depth) - 1
        self.units: list[Told] = []
        self._digest = 0

    def begin(self, **told: Any) -> None:
        self.units.append(Told(told))

    def hyper_scales(self) -> NDArray[np.uint8]:
        return np.full(2, HYPER_SCALE, np.uint8)

    def analyse(self, frames: Sequence[Planes], expected: Sequence[Planes]) -> NDArray[np.int16]:
        self.units[-1].frames, self.units[-1].expected = frames, expected
        pairs = zip(frames, expected, strict=True)
        means = [self._means(a[0]) - self._means(b[0]) for a, b in pairs]
        self._y = np.round(means).astype(np.int16)
        self._z = self._y.mean(axis=(1, 2)).round().astype(np.int16)
        return self._z

    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        self._z = z
        return np.full(self.shape, LATENT_SCALE, np.uint8).ravel()

    def quantise(self) -> NDArray[np.int16]:
        self._y = self._y - self._z[:, None, None]
        return self._y.ravel()

    def synthesise(self, y: NDArray[np.int16] | None = None) -> None:
        symbols = self._y if y is None else y.reshape(self.shape)
        self._change = symbols + self._z[:, None, None]
        self._digest = _core.crc32c(self._change.tobytes(), self._digest)

    def frame(self, index: int, base: Planes) -> Planes:
        change = np.kron(self._change[index], np.ones((CELL, CELL), np.int64))
        luma = (base[0] + change).clip(0, self.top).astype(base[0].dtype)
        self.units[-1].bases[index] = base
        self.units[-1].decoded[index] = luma, base[1], base[2]
        return luma, base[1], base[2]

    def digest(self) -> int:
        return self._digest

    def save(self) -> int:
        return self._digest

    def restore(self, state: int) -> None:
        self._digest = state

    def _means(self, luma: Plane) -> NDArray[np.float64]:
        _, rows, columns = self.shape
        means: NDArray[np.float64] = luma.reshape(rows, CELL, columns, CELL).mean(axis=(1, 3))
        return means


class MeanEngine:
    """Keeps its sessions, so that one can see what they were told."""

    on_processor = True

    def __init__(self) -> None:
        self.sessions: list[MeanSession] = []

    def session(self, *, width: int, height: int, bit_depth: int) -> MeanSession:
        self.sessions.append(MeanSession(width, height, bit_depth))
        return self.sessions[-1]


def mean_model() -> Model:
    """A model whose latents are means."""
    tables = _core.Tables(*gaussian_tables(), SKIP)
    return Model(config_for("nano"), MeanEngine(), tables, tables, b"the mean")
