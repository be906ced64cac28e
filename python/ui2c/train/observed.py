"""What a model makes of clips, seen at the seam to its networks: symbols, and frames unfiltered."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ui2c.network.engine import Engine, Session
from ui2c.network.model import Model
from ui2c.network.prior import SCALES, SKIP
from ui2c.network.tables import LARGEST
from ui2c.unit.coder import UnitEncoder
from ui2c.unit.planes import Geometry, Planes


class SymbolCounts:
    """How often magnitudes of symbols were coded: of y and of z, each `[SCALES, LARGEST + 2]`,
    the last of them for all that are larger."""

    def __init__(self) -> None:
        self.y, self.z = np.zeros((2, SCALES, LARGEST + 2), np.int64)

    @staticmethod
    def add(
        counts: NDArray[np.int64], indexes: NDArray[np.uint8], symbols: NDArray[np.int16]
    ) -> None:
        """Counts symbols, given the table index of each; both flat."""
        coded = indexes >= SKIP
        np.add.at(counts, (indexes[coded], np.minimum(np.abs(symbols[coded]), LARGEST + 1)), 1)


class ObservedSession:
    """A session that counts what an encoder codes and keeps the frames of the unit at hand."""

    def __init__(self, session: Session, counts: SymbolCounts) -> None:
        self._session, self._counts = session, counts
        self.frames: dict[int, Planes] = {}
        self.begin, self.hyper_scales = session.begin, session.hyper_scales
        self.synthesise, self.digest = session.synthesise, session.digest
        self.save, self.restore = session.save, session.restore

    def analyse(self, frames: Sequence[Planes], expected: Sequence[Planes]) -> NDArray[np.int16]:
        self.frames = {}
        z = self._session.analyse(frames, expected)
        SymbolCounts.add(self._counts.z, self._session.hyper_scales(), z)
        return z

    def scales(self, z: NDArray[np.int16]) -> NDArray[np.uint8]:
        self._indexes = self._session.scales(z)
        return self._indexes

    def quantise(self) -> NDArray[np.int16]:
        y = self._session.quantise()
        SymbolCounts.add(self._counts.y, self._indexes, y)
        return y

    def frame(self, index: int, base: Planes) -> Planes:
        self.frames[index] = self._session.frame(index, base)
        return self.frames[index]


class ObservedEngine:
    """An engine whose last session can be looked at."""

    def __init__(self, engine: Engine, counts: SymbolCounts) -> None:
        self._engine, self._counts = engine, counts
        self.on_processor = engine.on_processor
        self.last: ObservedSession | None = None

    def session(self, *, width: int, height: int, bit_depth: int) -> ObservedSession:
        session = self._engine.session(width=width, height=height, bit_depth=bit_depth)
        self.last = ObservedSession(session, self._counts)
        return self.last


def coded(
    model: Model, clip: Sequence[Planes], qp: int, counts: SymbolCounts
) -> Iterator[tuple[list[Planes], Sequence[Planes]]]:
    """Units of a clip of 8-bit planes, coded at `qp`: frames before the post-filter, and sources.

    Symbols are added to `counts`.
    """
    height, width = clip[0][0].shape
    engine = ObservedEngine(model.engine, counts)
    coder = UnitEncoder(replace(model, engine=engine), Geometry(width, height))
    assert engine.last is not None
    start = 0
    while start < len(clip):
        intra = start == 0
        sources = clip[start : start + model.config.unit_frames(intra)]
        coder.encode(sources, qp=qp, intra=intra)
        # A still is the last frame alone.
        frames = [frame for _, frame in sorted(engine.last.frames.items())][: len(sources)]
        yield frames, sources
        start += len(sources)
