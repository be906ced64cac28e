"""Units coded and decoded one by one, and taken apart or put together by hand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ui2c import _core
from ui2c.network.model import Model
from ui2c.unit.coder import DecodedUnit, EncodedUnit, UnitDecoder, UnitEncoder
from ui2c.unit.field import UnitMotion, mend
from ui2c.unit.planes import Geometry, Planes
from ui2c.unit.syntax import get_motion, put_motion

from support.clips import equal


def geometry_of(frame: Planes) -> Geometry:
    height, width = frame[0].shape
    return Geometry(width, height, 8 if frame[0].dtype == "uint8" else 10)


def frames_of_units(model: Model, frames: Sequence[Planes]) -> list[Sequence[Planes]]:
    """The frames of each unit, the first of which is intra."""
    first, each = (model.config.unit_frames(intra) for intra in (True, False))
    starts = [0, *range(first, len(frames), each)]
    return [frames[start : start + (each if start else first)] for start in starts]


def code_units(
    model: Model, frames: Sequence[Planes], qp: int = 30, *, motion: str = "default"
) -> list[EncodedUnit]:
    coder = UnitEncoder(model, geometry_of(frames[0]), motion=motion)
    return [
        coder.encode(part, qp=qp, intra=index == 0)
        for index, part in enumerate(frames_of_units(model, frames))
    ]


def decode_unit(coder: UnitDecoder, unit: EncodedUnit, stream: bytes | None = None) -> DecodedUnit:
    """The unit, perhaps with another stream."""
    return coder.decode(
        unit.stream if stream is None else stream,
        qp=unit.qp,
        intra=unit.intra,
        motion_step=unit.motion_step,
        log2_lanes=unit.log2_lanes,
    )


def check_unit(coder: UnitDecoder, unit: EncodedUnit) -> None:
    """The decoder shows and remembers what the encoder said."""
    decoded = decode_unit(coder, unit)
    assert len(decoded.shown) == len(unit.shown)
    assert all(equal(a, b) for a, b in zip(decoded.shown, unit.shown, strict=True))
    assert decoded.feature_hash == unit.feature_hash


class Parts(NamedTuple):
    """What a unit says beside its latents."""

    motion: UnitMotion | None
    filters: _core.Filters


class _Twin:
    """A second coder of units, written from docs/bitstream.md on the session alone."""

    def __init__(self, model: Model, geometry: Geometry) -> None:
        self.model, self.geometry = model, geometry
        self.session = model.session(
            width=geometry.coded_width, height=geometry.coded_height, bit_depth=geometry.bit_depth
        )
        self.reference = geometry.grey()
        self.filters = _core.Filters()

    def begin(self, qp: int, motion: UnitMotion | None) -> list[Planes]:
        """Begins a unit; the predictions of its frames."""
        predicted = [self.geometry.grey()] * 2
        if motion is None:
            self.session.begin(qp=qp, intra=True, step=0, vectors=None, known=predicted)
            return predicted
        predicted = motion.predict(self.reference, self.geometry.bit_depth)
        known = [self.joined(motion, predicted, predicted[1]), predicted[1]]
        step, vectors = motion.field.step, motion.field.vectors
        self.session.begin(qp=qp, intra=False, step=step, vectors=vectors, known=known)
        return predicted

    def joined(
        self, motion: UnitMotion | None, predicted: Sequence[Planes], last: Planes
    ) -> Planes:
        blocks = None if motion is None else motion.between
        return mend(predicted[0], last, blocks, self.geometry.bit_depth)

    def render(self, motion: UnitMotion | None, predicted: Sequence[Planes]) -> tuple[Planes, ...]:
        last = self.reference = self.session.frame(1, predicted[1])
        decoded = [last]
        if motion is not None:
            decoded.insert(0, self.session.frame(0, self.joined(motion, predicted, last)))
        depth = self.geometry.bit_depth
        shown = (_core.apply_filters(f, self.filters, bit_depth=depth) for f in decoded)
        return tuple(self.geometry.crop(frame) for frame in shown)


class UnitWriter(_Twin):
    """Codes units with the motion and the filters that it is told, which no search need like.

    For models of two frames a unit that have motion.
    """

    def write(
        self,
        frames: Sequence[Planes],
        *,
        qp: int,
        motion: UnitMotion | None,
        filters: _core.Filters | None = None,
        log2_lanes: int | None = None,
    ) -> EncodedUnit:
        """An intra unit where `motion` is None."""
        model, session, intra = self.model, self.session, motion is None
        sources = [self.geometry.pad(frame) for frame in frames]
        sources += [sources[-1]] * (2 - len(sources))
        coder = _core.RansEncoder()
        bits = 0.0 if motion is None else put_motion(coder, motion, self.geometry)
        predicted = self.begin(qp, motion)
        expected = [self.joined(motion, predicted, sources[1]), predicted[1]]
        z = session.analyse(sources, expected)
        coder.put(model.hyper_tables, session.hyper_scales(), z)
        scales = session.scales(z)
        coder.put(model.tables, scales, session.quantise())
        session.synthesise()
        before = _core.Filters() if intra else self.filters
        self.filters = filters or _core.Filters()
        coder.put_filters(before, model.default_filters(qp, intra), self.filters)
        shown = self.render(motion, predicted)
        lanes, stream = coder.finish(log2_lanes)
        step = 0 if motion is None else motion.field.step
        return EncodedUnit(intra, qp, step, lanes, stream, session.digest(), bits, shown)


class UnitReader(_Twin):
    """Takes units apart."""

    def read(self, unit: _core.CodedUnit | EncodedUnit) -> Parts:
        model, session = self.model, self.session
        coder = _core.RansDecoder(unit.stream, unit.log2_lanes)
        motion = None
        if not unit.intra:
            motion = get_motion(coder, unit.motion_step, 2, self.geometry)
        predicted = self.begin(unit.qp, motion)
        z = coder.get(model.hyper_tables, session.hyper_scales())
        y = coder.get(model.tables, session.scales(z))
        before = _core.Filters() if unit.intra else self.filters
        self.filters = coder.get_filters(before, model.default_filters(unit.qp, unit.intra))
        coder.finish()
        session.synthesise(y)
        self.render(motion, predicted)
        return Parts(motion, self.filters)


def take_apart(
    model: Model, geometry: Geometry, units: Iterable[_core.CodedUnit | EncodedUnit]
) -> list[Parts]:
    """What the units of a stream say, from its first on."""
    reader = UnitReader(model, geometry)
    return [reader.read(unit) for unit in units]
