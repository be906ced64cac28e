"""Motion that no search need like."""

import numpy as np
from ui2c import _core
from ui2c.unit.field import Field, UnitMotion, with_halves
from ui2c.unit.planes import Geometry


def random_blocks(
    rows: int, columns: int, seed: int, *, shift: int = 0, reach: int = 40
) -> _core.Blocks:
    """Of all modes; vectors are multiples of `2^shift`."""
    random = np.random.default_rng(seed)
    modes = random.integers(0, 5, (rows, columns)).astype(np.uint8)
    vectors = random.integers(-reach, reach + 1, (rows, columns, 4, 2)).astype(np.int16)
    vectors[modes % 2 == 1] = vectors[modes % 2 == 1][:, :1]
    vectors[modes == 0] = 0
    return _core.Blocks(modes, vectors << shift)


def random_motion(
    geometry: Geometry,
    seed: int,
    *,
    step: int = 16,
    shift: int = 0,
    halved: bool = False,
    frames: int = 2,
    blocks: bool = True,
) -> UnitMotion:
    """A rough pan, and blocks everywhere unless there shall be none."""
    random = np.random.default_rng(seed)
    vectors = None
    if step:
        rows, columns = (-(-s // step) for s in (geometry.coded_height, geometry.coded_width))
        shape = (1 if halved else frames, rows, columns, 2)
        coded = random.integers(-9, 10, shape) + np.array([7, -4])
        vectors = coded.astype(np.int16) << shift
        vectors = with_halves(vectors) if halved else vectors
    forward = [
        random_blocks(*geometry.cells, seed + k, shift=shift) if blocks else None
        for k in range(frames + 1)
    ]
    between = forward.pop()
    field = Field(step, vectors, shift, halved and step > 0)
    return UnitMotion(field, tuple(forward), between if frames == 2 else None)


def same_blocks(a: _core.Blocks | None, b: _core.Blocks | None) -> bool:
    if a is None or b is None:
        return a is b
    return np.array_equal(a.modes, b.modes) and np.array_equal(a.vectors, b.vectors)


def same_motion(a: UnitMotion, b: UnitMotion) -> bool:
    """All that is coded, and what it means."""
    return (
        a.field._replace(vectors=None) == b.field._replace(vectors=None)
        and (a.field.step == 0 or np.array_equal(a.field.vectors, b.field.vectors))
        and all(same_blocks(x, y) for x, y in zip(a.forward, b.forward, strict=True))
        and same_blocks(a.between, b.between)
    )
