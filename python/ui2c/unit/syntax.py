"""The motion of an inter unit in its stream: "Segments" of docs/bitstream.md."""

import numpy as np

from ui2c import _core
from ui2c.unit.field import NO_FIELD, Field, UnitMotion, with_halves
from ui2c.unit.planes import Geometry

MAX_COMPONENT = 2047
"""Of a motion vector, in quarter samples."""

PRECISION_BITS = 2
COARSEST = 2
"""Of vectors: the largest `Field.shift`."""


def put_motion(coder: _core.RansEncoder, motion: UnitMotion, geometry: Geometry) -> float:
    """Writes the motion; returns about how many bits it takes."""
    field, frames = motion.field, len(motion.forward)
    coder.put_bits(field.shift, PRECISION_BITS)
    bits = field.bits()
    if field.step:
        if frames == 2:
            coder.put_bits(int(field.halved), 1)
        coder.put_motion(field.coded())
    for index, blocks in enumerate(motion.forward):
        bits += coder.put_blocks(blocks, field.guesses(index, *geometry.cells), field.shift)
    if frames == 2:
        guesses = field.guesses(None, *geometry.cells)
        bits += coder.put_blocks(motion.between, guesses, field.shift)
    return bits


def get_motion(coder: _core.RansDecoder, step: int, frames: int, geometry: Geometry) -> UnitMotion:
    """Reads what `put_motion` wrote; raises `ui2c.CorruptError` for what it never writes."""
    field = _get_field(coder, step, frames, geometry)
    forward = tuple(
        coder.get_blocks(field.guesses(index, *geometry.cells), field.shift)
        for index in range(frames)
    )
    between = None
    if frames == 2:
        between = coder.get_blocks(field.guesses(None, *geometry.cells), field.shift)
    return UnitMotion(field, forward, between)


def _get_field(coder: _core.RansDecoder, step: int, frames: int, geometry: Geometry) -> Field:
    shift = coder.get_bits(PRECISION_BITS)
    if shift > COARSEST:
        raise _core.CorruptError(f"motion vectors in units of 2^{shift} quarter samples")
    if not step:
        return NO_FIELD._replace(shift=shift)
    halved = frames == 2 and bool(coder.get_bits(1))
    rows, columns = (-(-s // step) for s in (geometry.coded_height, geometry.coded_width))
    vectors = coder.get_motion(1 if halved else frames, rows, columns) << shift
    if np.abs(vectors).max() > MAX_COMPONENT:
        raise _core.CorruptError(f"a motion vector beyond {MAX_COMPONENT} quarter samples")
    return Field(step, with_halves(vectors) if halved else vectors, shift, halved)
