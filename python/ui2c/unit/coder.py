"""One unit at a time: pictures to a coded unit and back.

Both sides run the same steps wherever the result feeds the next unit, so what the encoder
reconstructs is what the decoder shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ui2c import _core
from ui2c.unit.field import NO_FIELD, UnitMotion, mend
from ui2c.unit.filters import FilterFit, fresh_fit
from ui2c.unit.motion import find_motion
from ui2c.unit.planes import Geometry, Planes
from ui2c.unit.syntax import get_motion, put_motion

if TYPE_CHECKING:
    from ui2c.network.model import Model

CYCLE = 4
"""Inter units after which the encoder makes choices anew that last: precision, filters."""


@dataclass(frozen=True)
class EncodedUnit:
    """What the bitstream carries for one unit, what it cost, and what a decoder will show."""

    intra: bool
    qp: int
    motion_step: int
    log2_lanes: int
    stream: bytes
    feature_hash: int
    motion_bits: float
    """Bits of the motion field and of blocks, inside the stream."""
    shown: tuple[Planes, ...]


@dataclass(frozen=True)
class DecodedUnit:
    """The frames of a unit, and the hash of the decoder's state after it."""

    shown: tuple[Planes, ...]
    feature_hash: int


class EncoderState(NamedTuple):
    """What one unit leaves to the next in an encoder."""

    network: Any
    reference: Planes | None
    fit: FilterFit
    shift: int | None
    """The last choice of `Field.shift`, if there was one since an intra unit."""
    since_intra: int
    """Units since the last intra unit, itself included."""


class _Coder:
    """What both sides share."""

    def __init__(self, model: Model, geometry: Geometry) -> None:
        self.model, self.geometry = model, geometry
        self._network = model.session(
            width=geometry.coded_width, height=geometry.coded_height, bit_depth=geometry.bit_depth
        )
        self._frames = model.config.frames_per_unit

    def _predict(self, motion: UnitMotion | None, reference: Planes | None) -> list[Planes]:
        """The frames of a unit as far as motion tells; the blank picture where there is none."""
        if motion is None or reference is None or not self.model.config.motion:
            return [self.geometry.grey()] * self._frames
        return motion.predict(reference, self.geometry.bit_depth)

    def _begin(
        self, qp: int, intra: bool, motion: UnitMotion | None, predicted: Sequence[Planes]
    ) -> None:
        field = NO_FIELD if motion is None else motion.field
        known = self._joined(predicted, motion, predicted[-1])
        self._network.begin(qp=qp, intra=intra, step=field.step, vectors=field.vectors, known=known)

    def _joined(
        self, predicted: Sequence[Planes], motion: UnitMotion | None, last: Planes
    ) -> list[Planes]:
        """The predictions, the first with its blocks of `last`, whatever is known of that."""
        between = None if motion is None else motion.between
        first = mend(predicted[0], last, between, self.geometry.bit_depth)
        return [first, *predicted[1:]]

    def _render(
        self, predicted: Sequence[Planes], motion: UnitMotion | None, intra: bool
    ) -> list[Planes]:
        """The frames of the unit, the last of them the next reference; a still is one alone."""
        last = self._network.frame(self._frames - 1, predicted[-1])
        if intra or self._frames == 1:
            return [last]
        return [self._network.frame(0, self._joined(predicted, motion, last)[0]), last]

    def _show(self, frames: Sequence[Planes], filters: _core.Filters) -> tuple[Planes, ...]:
        depth = self.geometry.bit_depth
        return tuple(
            self.geometry.crop(_core.apply_filters(frame, filters, bit_depth=depth))
            for frame in frames
        )


class UnitEncoder(_Coder):
    """Codes the units of one sequence in order; `motion` is how long to search for it."""

    def __init__(self, model: Model, geometry: Geometry, *, motion: str = "default") -> None:
        super().__init__(model, geometry)
        self._effort = motion
        self._reference: Planes | None = None
        self._fit = fresh_fit()
        self._shift: int | None = None
        self._since_intra = 0

    def save(self) -> EncoderState:
        """All that the next unit depends on."""
        return EncoderState(
            self._network.save(), self._reference, self._fit, self._shift, self._since_intra
        )

    def restore(self, state: EncoderState) -> None:
        """Undoes all units since the state was saved."""
        network, self._reference, self._fit, self._shift, self._since_intra = state
        self._network.restore(network)

    def encode(self, frames: Sequence[Planes], *, qp: int, intra: bool) -> EncodedUnit:
        """Codes 1 … `config.unit_frames(intra)` pictures; a short unit repeats its last one.

        Raises ValueError for another number of pictures.
        """
        most = self.model.config.unit_frames(intra)
        if not 1 <= len(frames) <= most:
            raise ValueError(f"{len(frames)} frames for a unit of {most}")
        sources = [self.geometry.pad(frame) for frame in frames]
        sources += [sources[-1]] * (self._frames - len(sources))
        if intra:
            self._fit, self._shift, self._since_intra = fresh_fit(), None, 0
        coder = _core.RansEncoder()
        motion, predicted = self._find_motion(sources, qp, intra)
        motion_bits = 0.0 if motion is None else put_motion(coder, motion, self.geometry)
        self._begin(qp, intra, motion, predicted)

        network, model = self._network, self.model
        # The last frame as it is: decoded it will be nearly that.
        z = network.analyse(sources, self._joined(predicted, motion, sources[-1]))
        coder.put(model.hyper_tables, network.hyper_scales(), z)
        scales = network.scales(z)
        coder.put(model.tables, scales, network.quantise())
        network.synthesise()
        decoded = self._render(predicted, motion, intra)

        before, defaults = self._fit.filters, model.default_filters(qp, intra)
        self._fit = self._fit.after(
            decoded,
            sources[-len(decoded) :],
            qp=qp,
            bit_depth=self.geometry.bit_depth,
            defaults=defaults,
            often=self._since_intra % CYCLE == 0,
        )
        coder.put_filters(before, defaults, self._fit.filters)
        self._reference = decoded[-1]
        self._since_intra += 1
        log2_lanes, stream = coder.finish()
        return EncodedUnit(
            intra,
            qp,
            0 if motion is None else motion.field.step,
            log2_lanes,
            stream,
            network.digest(),
            motion_bits,
            self._show(decoded, self._fit.filters),
        )

    def _find_motion(
        self, sources: Sequence[Planes], qp: int, intra: bool
    ) -> tuple[UnitMotion | None, list[Planes]]:
        if intra or not self.model.config.motion:
            return None, self._predict(None, None)
        if self._reference is None:
            raise ValueError("the first unit must be intra")
        # The precision is chosen for a few units at once: that takes as long as two searches.
        motion, predicted = find_motion(
            self._reference,
            [source[0] for source in sources],
            qp=qp,
            bit_depth=self.geometry.bit_depth,
            effort=self._effort,
            shift=self._shift if self._since_intra % CYCLE else None,
        )
        if self._effort != "fast":
            self._shift = motion.field.shift
        return motion, predicted


class UnitDecoder(_Coder):
    """Decodes the units of one sequence in order."""

    def __init__(self, model: Model, geometry: Geometry) -> None:
        super().__init__(model, geometry)
        self._reference: Planes | None = None
        self._filters = _core.Filters()

    def decode(
        self, stream: bytes, *, qp: int, intra: bool, motion_step: int = 0, log2_lanes: int = 0
    ) -> DecodedUnit:
        """The frames of a unit. Raises `ui2c.CorruptError` if the stream does not fit it."""
        if not intra and self._reference is None:
            raise _core.CorruptError("an inter unit before the first intra unit")
        moves = self.model.config.motion and not intra
        if motion_step and not moves:
            raise _core.CorruptError("a motion field in a unit that cannot have one")
        coder = _core.RansDecoder(stream, log2_lanes)
        motion = get_motion(coder, motion_step, self._frames, self.geometry) if moves else None
        predicted = self._predict(motion, self._reference)
        self._begin(qp, intra, motion, predicted)

        network, model = self._network, self.model
        z = coder.get(model.hyper_tables, network.hyper_scales())
        y = coder.get(model.tables, network.scales(z))
        before = _core.Filters() if intra else self._filters
        filters = coder.get_filters(before, model.default_filters(qp, intra))
        coder.finish()
        network.synthesise(y)
        decoded = self._render(predicted, motion, intra)
        self._reference, self._filters = decoded[-1], filters
        return DecodedUnit(self._show(decoded, filters), network.digest())
